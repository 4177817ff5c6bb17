//! How hosts are named on the command line and in the inventory: a name, a glob, or a role.

use std::fmt;

/// One `NAME`, `GLOB` or `@role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    Name(String),
    Role(String),
}

impl HostPattern {
    pub fn new(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(role) => HostPattern::Role(role.to_owned()),
            None => HostPattern::Name(text.to_owned()),
        }
    }

    pub fn matches<'a>(&self, name: &str, roles: impl IntoIterator<Item = &'a str>) -> bool {
        match self {
            HostPattern::Name(pattern) => glob(pattern, name),
            HostPattern::Role(pattern) => roles.into_iter().any(|role| glob(pattern, role)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Name(name) => f.write_str(name),
            HostPattern::Role(role) => write!(f, "@{role}"),
        }
    }
}

/// `*` stands for any run of characters, `?` for one; everything else for itself.
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where to take up again when a star must swallow one character more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || text.get(t) == Some(&c) => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    p = after_star;
                    t = from + 1;
                    retry = Some((after_star, t));
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, name) in [
            ("web-1", "web-1"),
            ("web-*", "web-12"),
            ("*", ""),
            ("w?b*1", "web-11"),
            ("**-1", "a-1-1"),
        ] {
            assert!(glob(pattern, name), "{pattern} on {name}");
        }
        for (pattern, name) in [
            ("web-1", "web-12"),
            ("web", "web-1"),
            ("?", ""),
            ("*-2", "web-1"),
        ] {
            assert!(!glob(pattern, name), "{pattern} on {name}");
        }
    }

    #[test]
    fn an_at_sign_means_a_role() {
        assert!(HostPattern::new("@web").matches("db-1", ["web"]));
        assert!(!HostPattern::new("web").matches("db-1", ["web"]));
    }

    #[test]
    fn a_hostile_pattern_ends_soon() {
        let pattern = "*a".repeat(200);
        assert!(!glob(&pattern, &"a".repeat(199)));
    }
}
