//! One line of an OpenSSH configuration file: a keyword and its words.

/// The keyword in lower case, and its arguments; `None` for blank lines and comments.
/// `Err` when a quote is not closed.
pub(super) fn split(line: &str) -> Result<Option<(String, Vec<String>)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line
        .find(|c: char| c.is_whitespace() || c == '=')
        .unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    // `Key value`, `Key=value` and `Key = value` are all the same.
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some((keyword.to_ascii_lowercase(), words(rest)?)))
}

fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut chars = text.trim().chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        if c == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote: Option<char> = None;
        while let Some(&c) = chars.peek() {
            match quote {
                None if c.is_whitespace() => break,
                None if c == '"' || c == '\'' => quote = Some(c),
                Some(open) if c == open => quote = None,
                _ => word.push(c),
            }
            chars.next();
        }
        if quote.is_some() {
            return Err("a quote is not closed");
        }
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> (String, Vec<String>) {
        split(line).unwrap().unwrap()
    }

    #[test]
    fn all_the_ways_to_write_a_line() {
        let expected = ("hostname".to_owned(), vec!["web".to_owned()]);
        for line in [
            "HostName web",
            "  hostname=web",
            "HOSTNAME = web # why",
            "HostName \"web\"",
        ] {
            assert_eq!(parts(line), expected, "{line}");
        }
        assert_eq!(parts("IdentityFile \"~/my keys/id\"").1, ["~/my keys/id"]);
        assert_eq!(parts("Host a b !c").1, ["a", "b", "!c"]);
        assert_eq!(split("# note"), Ok(None));
        assert_eq!(split("   "), Ok(None));
        assert!(split("Host \"a").is_err());
    }
}
