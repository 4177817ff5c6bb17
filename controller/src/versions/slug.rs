//! A branch's name as one identifier of a version.

/// What stands for a branch of which no letter can be kept.
const NAMELESS: &str = "branch";

/// `name` as an identifier of semver that is never a number: lower-case ASCII letters, digits and
/// single `-`, at most `longest` of them, at least one.
pub(crate) fn slug(name: &str, longest: usize) -> String {
    let mut slug = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(longest);
    let mut slug = slug.trim_end_matches('-').to_owned();
    if slug.is_empty() {
        NAMELESS.clone_into(&mut slug);
    } else if slug.bytes().all(|byte| byte.is_ascii_digit()) {
        // Of semver's own, numbers come before words and must not begin with zero.
        slug.insert(0, 'b');
    }
    slug.truncate(longest);
    slug
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_become_identifiers() {
        for (name, longest, expected) in [
            ("feature/login", 40, "feature-login"),
            ("Feature/LOGIN_form", 40, "feature-login-form"),
            ("--x--y--", 40, "x-y"),
            ("007", 40, "b007"),
            ("функция", 40, "branch"),
            ("", 40, "branch"),
            ("v1.2", 40, "v1-2"),
            ("12345678/abc", 8, "b1234567"),
            ("abcdefg/h", 8, "abcdefg"),
        ] {
            assert_eq!(slug(name, longest), expected);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_one_identifier_that_is_no_number(name in ".*", longest in 1_usize..60) {
            let slug = slug(&name, longest);
            prop_assert!(!slug.is_empty() && slug.len() <= longest);
            prop_assert!(semver::Prerelease::new(&slug).is_ok(), "{slug}");
            prop_assert!(slug.parse::<u128>().is_err() && !slug.contains('.'), "{slug}");
        }
    }
}
