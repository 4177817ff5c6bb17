//! Which version a release gets.

use semver::Version;

/// The version that tags such as `v1.4.0` give their commit; of several, the highest.
pub(super) fn of_tags(tags: &[String]) -> Option<(Version, &str)> {
    tags.iter()
        .filter_map(|tag| {
            let version = Version::parse(tag.strip_prefix('v')?).ok()?;
            Some((version, tag.as_str()))
        })
        .max_by(|one, other| one.0.cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_with_a_v_count_and_the_highest_wins() {
        let tags = ["v1.9.0", "v1.10.0", "2.0.0", "v3", "vx", "v1.10.0-rc.1"].map(str::to_owned);
        assert_eq!(of_tags(&tags), Some((Version::new(1, 10, 0), "v1.10.0")));
        assert_eq!(of_tags(&["stable".to_owned()]), None);
    }
}
