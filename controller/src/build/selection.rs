//! Which of the built files go into the release: `[build] include` and `exclude`.

use longshore_shared::app_file::Build;
use longshore_shared::path_pattern::PathPattern;
use thiserror::Error;

use crate::inventory::glob;

/// A pattern that is about nothing.
#[derive(Debug, Error)]
#[error("[build] `{list}` has the pattern {pattern:?}, and nothing that was built fits it")]
pub struct SelectionError {
    list: &'static str,
    pattern: String,
}

/// Whether each path goes in. Every pattern has to fit one of them: one that fits nothing is a slip,
/// and would let something in or out that somebody relies on.
pub(super) fn select<'a>(
    build: &Build,
    paths: impl Iterator<Item = &'a str> + Clone,
) -> Result<Vec<bool>, SelectionError> {
    for (list, patterns) in [("include", &build.include), ("exclude", &build.exclude)] {
        for pattern in patterns {
            if !paths.clone().any(|path| matches(pattern, path)) {
                return Err(SelectionError {
                    list,
                    pattern: pattern.to_string(),
                });
            }
        }
    }
    let any = |patterns: &[PathPattern], path| patterns.iter().any(|one| matches(one, path));
    Ok(paths
        .map(|path| {
            (build.include.is_empty() || any(&build.include, path)) && !any(&build.exclude, path)
        })
        .collect())
}

/// Whether the pattern names `path`, or a folder that `path` is in.
fn matches(pattern: &PathPattern, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.as_str().trim_end_matches('/').split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts(&pattern, &path)
}

/// The rest of a path that is left when the pattern is used up is inside what was named.
fn parts(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], _) => true,
        (["**"], _) => !path.is_empty(),
        (["**", rest @ ..], _) => {
            (0..path.len()).any(|at| parts(rest, path.get(at..).unwrap_or_default()))
        }
        ([_, ..], []) => false,
        ([name, rest @ ..], [first, inner @ ..]) => glob(name, first) && parts(rest, inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::try_from(text.to_owned()).unwrap()
    }

    fn matches(pattern: &str, path: &str) -> bool {
        super::matches(&self::pattern(pattern), path)
    }

    #[test]
    fn patterns_name_files_and_whole_folders() {
        for (pattern, path) in [
            ("a", "a"),
            ("a", "a/b/c"),
            ("a/", "a/b"),
            ("*.map", "app.map"),
            ("*", "a/b"),
            ("a/*", "a/b/c"),
            ("?.py", "a.py"),
            ("**", "a/b"),
            ("**/*.map", "app.map"),
            ("**/*.map", "a/b/app.map"),
            ("a/**/z", "a/z"),
            ("a/**/z", "a/b/c/z"),
            ("static/**", "static/a/b"),
            ("**/node_modules", "x/node_modules/y"),
            ("a*b*c", "axxbxxbc"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a", "ab"),
            ("a/b", "a"),
            ("*.map", "a/app.map"),
            ("?.py", "ab.py"),
            ("a/**/z", "b/a/z"),
            ("static/**", "static"),
            ("a/*/c", "a/c"),
            ("[a]", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_excluded_stays_out_even_where_it_is_included() {
        let build = Build {
            include: vec![pattern("app/"), pattern("wheels/")],
            exclude: vec![pattern("**/tests")],
            ..Build::default()
        };
        let paths = ["app/a.py", "app/tests/t.py", "docs/x", "wheels/a.whl"];
        let selected = select(&build, paths.into_iter()).unwrap();
        assert_eq!(selected, [true, false, false, true]);
        let all = select(&Build::default(), paths.into_iter()).unwrap();
        assert_eq!(all, [true; 4]);
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_named() {
        let build = Build {
            exclude: vec![pattern("**/*.mpa")],
            ..Build::default()
        };
        let error = select(&build, ["a.map"].into_iter()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`exclude` has the pattern \"**/*.mpa\"")
        );
    }
}
