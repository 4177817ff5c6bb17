//! Names of signers, and the patterns that stand for them, matched as OpenSSH does.

/// Whether `pattern` stands for all of `name`: `*` is any text, `?` any one character.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // The last star, and where in the name its text begins: all that ever has to be tried again.
    let (mut at, mut in_name) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(in_name) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(b'?') => (at, in_name) = (at + 1, in_name + 1),
            Some(same) if same == character => (at, in_name) = (at + 1, in_name + 1),
            _ => match star {
                Some((starred, begun)) => {
                    star = Some((starred, begun + 1));
                    (at, in_name) = (starred + 1, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|left| *left == b'*')
}

/// Whether a list such as `*@example.com,!ci@example.com` stands for `name`. One pattern with `!`
/// that fits is enough to say no.
pub(super) fn list_matches(list: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not.as_bytes(), name.as_bytes()) => return false,
            Some(_) => {}
            None => found |= matches(pattern.as_bytes(), name.as_bytes()),
        }
    }
    found
}

/// Whether a key that signs for `principals` may act as `wanted`. Both can hold patterns; two that
/// could but need not mean the same are not taken for the same.
pub(super) fn may_act_as(principals: &str, wanted: &str) -> bool {
    let literal = |text: &str| !text.contains(['*', '?', '!', ',']);
    if literal(wanted) {
        return list_matches(principals, wanted);
    }
    let mut names = principals.split(',');
    names.any(|name| {
        let stands = literal(name) && list_matches(principals, name);
        name == wanted || (stands && list_matches(wanted, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_openssh() {
        for (list, name, fits) in [
            ("a@b", "a@b", true),
            ("a@b", "A@b", false),
            ("*", "", true),
            ("*@b", "x@b", true),
            ("*@b", "x@bc", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a*b", "xxaxxb", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("x,*@b", "y@b", true),
            ("*@b,!y@b", "y@b", false),
            ("!y@b", "z@b", false),
            ("", "x", false),
        ] {
            assert_eq!(list_matches(list, name), fits, "{list:?} and {name:?}");
        }
    }

    #[test]
    fn two_patterns_are_not_taken_for_the_same_by_chance() {
        assert!(may_act_as("ci@x,dev@x", "ci@x"));
        assert!(may_act_as("*@x", "ci@x"));
        assert!(may_act_as("ci@x", "*@x"));
        assert!(may_act_as("*@x", "*@x"));
        assert!(!may_act_as("*@x", "c*@x"));
        assert!(!may_act_as("dev@x", "ci@x"));
        assert!(!may_act_as("ci@x", "*,!ci@x"));
        assert!(!may_act_as("ci@x,!ci@x", "*@x"));
    }
}
