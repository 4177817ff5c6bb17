//! A release's version as people type it.

use semver::Version;

/// Reads `1.4.0`, and says what is meant where something else was typed.
pub(super) fn parse(text: &str) -> Result<Version, String> {
    let trimmed = text.strip_prefix('v').unwrap_or(text);
    let full = match trimmed.split('.').count() {
        1 => format!("{trimmed}.0.0"),
        2 => format!("{trimmed}.0"),
        _ => trimmed.to_owned(),
    };
    Version::parse(text).map_err(|_| match Version::parse(&full) {
        Ok(meant) => format!("a version is three numbers; did you mean {meant}?"),
        Err(error) => format!("a version is three numbers, such as 1.4.0 ({error})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_said() {
        assert_eq!(
            parse("1.4.0-rc.1"),
            Ok(Version::parse("1.4.0-rc.1").unwrap())
        );
        for (typed, meant) in [("v1.4.0", "1.4.0"), ("1", "1.0.0"), ("1.4", "1.4.0")] {
            let error = parse(typed).unwrap_err();
            assert!(
                error.ends_with(&format!("did you mean {meant}?")),
                "{error}"
            );
        }
        assert!(parse("newest").unwrap_err().contains("such as 1.4.0"));
    }
}
