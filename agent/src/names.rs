//! Users and groups by number and by name.
//!
//! A static binary cannot load the libraries of NSS: names come from the two files, and from
//! `getent` where those do not have them.

use std::path::Path;
use std::process::Command;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Who somebody is, and every group they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// The person with this user number.
pub(crate) fn person(uid: u32) -> Option<Person> {
    let line = lookup(PASSWD, "passwd", &uid.to_string(), |fields| {
        field(fields, 2) == Some(&uid.to_string())
    })?;
    let fields: Vec<&str> = line.split(':').collect();
    let name = (*fields.first()?).to_owned();
    let primary = *fields.get(3)?;
    let mut groups = Vec::new();
    for line in lines(GROUP).into_iter().chain(groups_elsewhere(&name)) {
        let fields: Vec<&str> = line.split(':').collect();
        let (Some(group), Some(number)) = (fields.first(), fields.get(2)) else {
            continue;
        };
        let members = fields.get(3).copied().unwrap_or_default();
        if *number == primary || members.split(',').any(|member| member == name) {
            groups.push((*group).to_owned());
        }
    }
    Some(Person { name, groups })
}

/// The number of the user with this name, and of their group.
pub(crate) fn user(name: &str) -> Option<(u32, u32)> {
    let line = lookup(PASSWD, "passwd", name, |fields| {
        field(fields, 0) == Some(name)
    })?;
    let fields: Vec<&str> = line.split(':').collect();
    Some((
        field(&fields, 2)?.parse().ok()?,
        field(&fields, 3)?.parse().ok()?,
    ))
}

/// The number of the group with this name.
pub(crate) fn group(name: &str) -> Option<u32> {
    let line = lookup(GROUP, "group", name, |fields| {
        field(fields, 0) == Some(name)
    })?;
    line.split(':').nth(2)?.parse().ok()
}

fn field<'a>(fields: &[&'a str], at: usize) -> Option<&'a str> {
    fields.get(at).copied()
}

fn lookup(
    file: &str,
    database: &str,
    key: &str,
    wanted: impl Fn(&[&str]) -> bool,
) -> Option<String> {
    let fits = |line: &String| wanted(&line.split(':').collect::<Vec<_>>());
    // A directory service answers for one key, and rarely lists all that it knows.
    let elsewhere = || output(Command::new("getent").args(["--", database, key]));
    lines(file)
        .into_iter()
        .find(fits)
        .or_else(|| elsewhere().into_iter().find(fits))
}

fn lines(file: &str) -> Vec<String> {
    let text = fs_err::read_to_string(Path::new(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The groups that only a directory service knows of, in the form of `/etc/group`.
fn groups_elsewhere(name: &str) -> Vec<String> {
    if lookup_is_local(name) {
        return Vec::new();
    }
    let groups = output(Command::new("id").args(["-Gn", "--", name])).join(" ");
    groups
        .split_whitespace()
        .map(|group| format!("{group}:x:?:{name}"))
        .collect()
}

fn lookup_is_local(name: &str) -> bool {
    lines(PASSWD)
        .iter()
        .any(|line| line.split(':').next() == Some(name))
}

fn output(command: &mut Command) -> Vec<String> {
    let Ok(output) = command.output() else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_by_number_and_by_name() {
        let root = person(0).unwrap();
        assert_eq!(root.name, "root");
        assert!(root.groups.contains(&"root".to_owned()));
        assert_eq!(user("root"), Some((0, 0)));
        assert_eq!(group("root"), Some(0));
        assert_eq!(user("nobody-of-this-name"), None);
    }
}
