//! What the words of an inventory may look like. Many of them end up in files of a host.

pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

/// What can be written into `allowed_signers` as it is.
pub(super) fn is_principal(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('#')
        && text
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '"' | ',' | '\\' | '!'))
}

/// What `useradd` takes everywhere.
pub(super) fn is_account(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

pub(super) fn is_repository(text: &str) -> bool {
    !text.starts_with('-') && !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic())
}

pub(crate) fn is_user(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// As the agent reads it: one that it does not take would make a host's whole host.toml unreadable.
pub(crate) fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

pub(super) fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && !name.starts_with('-') && domain.contains('.')
    }) && text.chars().all(|c| c.is_ascii_graphic())
}

pub(super) fn is_url(text: &str) -> bool {
    text.starts_with("https://") && text.chars().all(|c| c.is_ascii_graphic())
}

pub(super) fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control)
}

pub(super) fn is_package(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+' | b'.'))
}

pub(super) fn is_zone(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'))
    };
    text.split('/').all(part)
}

pub(super) fn is_sysctl(text: &str) -> bool {
    text.contains('.')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

pub(super) fn is_size(text: &str) -> bool {
    text == "0" || bytes(text).is_some()
}

pub(super) fn is_port(text: &str) -> bool {
    text.split_once('/').is_some_and(|(port, protocol)| {
        matches!(protocol, "tcp" | "udp") && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// `512M` and `2G`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.strip_suffix('G') {
        Some(number) => (number, 1 << 30),
        None => (text.strip_suffix('M')?, 1 << 20),
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_they_should_be() {
        assert_eq!(bytes("2G"), Some(2 << 30));
        for wrong in ["", "G", "0M", "1T", "99999999999999999999G"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert!(is_port("80/tcp") && is_port("51820/udp"));
        for wrong in ["80", "0/tcp", "70000/tcp", "80/icmp", "{ 1 }/tcp"] {
            assert!(!is_port(wrong), "{wrong}");
        }
        assert!(is_zone("Europe/Berlin") && is_zone("UTC"));
        assert!(!is_zone("../etc/passwd") && !is_zone("/UTC") && !is_zone(""));
        assert!(is_domain("www.example.com"));
        for wrong in ["Www.example.com", "a..b", "-a.b", "a_b", "a.b;", ""] {
            assert!(!is_domain(wrong), "{wrong}");
        }
        assert!(is_package("libpq-dev") && !is_package("--yes") && !is_package("a b"));
    }
}
