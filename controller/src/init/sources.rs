//! Reads the texts of a repository, a bounded part of it.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

const LARGEST: u64 = 1024 * 1024;
const MOST_FILES: usize = 500;
const DEEPEST: usize = 3;
/// Folders in which nothing of the app itself lies.
const FOREIGN: [&str; 7] = [
    "node_modules",
    "venv",
    "env",
    "tests",
    "test",
    "dist",
    "build",
];

/// A file of code, by its path in the repository.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
}

/// The text of one file, if it is there and is text.
pub(super) fn text(root: &Path, path: &str) -> Option<String> {
    let mut text = String::new();
    let file = fs::File::open(root.join(path)).ok()?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Code files whose names end so, those near the root first, in the order of their names.
pub(super) fn all(root: &Path, endings: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    for _ in 0..DEEPEST {
        let mut deeper = Vec::new();
        for folder in &folders {
            for (name, is_folder) in items(&root.join(folder)) {
                let path = format!("{folder}{name}");
                if is_folder {
                    deeper.push(format!("{path}/"));
                } else if found.len() < MOST_FILES
                    && endings.iter().any(|ending| name.ends_with(ending))
                    && let Some(text) = text(root, &path)
                {
                    found.push(Source { path, text });
                }
            }
        }
        folders = deeper;
    }
    found
}

fn items(folder: &Path) -> Vec<(String, bool)> {
    let Ok(items) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<(String, bool)> = items
        .flatten()
        .filter_map(|item| {
            let name = item.file_name().into_string().ok()?;
            // Links are not followed: they may lead anywhere, and in circles.
            let kind = item.file_type().ok()?;
            let own = !name.starts_with('.') && !FOREIGN.contains(&name.as_str());
            (own && (kind.is_file() || kind.is_dir())).then_some((name, kind.is_dir()))
        })
        .collect();
    found.sort();
    found
}

/// The texts in quotes of a line of code.
pub(super) fn quotes(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(begin) = rest.find(['"', '\'']) {
        let (_, after) = rest.split_at(begin);
        let mark = if after.starts_with('"') { '"' } else { '\'' };
        let Some(inner) = after.get(1..) else { break };
        let Some(end) = inner.find(mark) else { break };
        found.push(&inner[..end]);
        rest = &inner[end + 1..];
    }
    found
}

/// Whether a list of packages names this one.
pub(super) fn names_package(text: &str, package: &str) -> bool {
    text.to_ascii_lowercase()
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .any(|word| word == package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_packages_are_found() {
        assert_eq!(quotes("a = x / \"b\" / 'c'"), ["b", "c"]);
        assert_eq!(quotes("it's \u{e4}"), Vec::<&str>::new());
        assert!(names_package("Django>=4\nfoo", "django"));
        assert!(names_package(
            "dependencies = [\"flask[async]~=3\"]",
            "flask"
        ));
        assert!(!names_package("flask-login", "flask"));
    }
}
