//! Makes text that came from elsewhere safe to show: a host must not be able to move the cursor,
//! set the clipboard or reorder the letters of a person's terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// One line of text without any control or direction-changing character; those are shown escaped.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\t' => safe.push(' '),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            c if is_dangerous(c) => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Several lines, each made safe on its own; at most `limit` of them, the last ones.
pub fn last_lines(text: &str, limit: usize) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(limit);
    lines
        .iter()
        .skip(skip)
        .map(|line| one_line(line.trim_end_matches('\r')).into_owned())
        .collect()
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(one_line("\u{1b}]52;c;aGk=\u{7}"), "\\u{1b}]52;c;aGk=\\u{7}");
        assert_eq!(one_line("a\u{9b}31mb"), "a\\u{9b}31mb");
        assert_eq!(one_line("user\u{202e}txt.exe"), "user\\u{202e}txt.exe");
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert!(matches!(one_line("café, 20 %"), Cow::Borrowed(_)));
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        assert_eq!(last_lines("a\r\nb\nc\n", 2), ["b", "c"]);
    }
}
