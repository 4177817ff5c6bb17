//! Accounts and groups, as the system's own files have them.

use std::collections::{BTreeMap, BTreeSet};

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    /// Beside its own.
    pub(super) groups: BTreeSet<String>,
    /// It expired on purpose.
    pub(super) locked: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: BTreeMap<String, Account>,
    groups: BTreeSet<String>,
}

impl Accounts {
    pub(super) fn read() -> Self {
        let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
        Self::parse(
            &read("/etc/passwd"),
            &read("/etc/group"),
            &read("/etc/shadow"),
        )
    }

    fn parse(passwd: &str, group: &str, shadow: &str) -> Self {
        let expired: BTreeSet<&str> = shadow
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .filter(|fields| matches!(fields.get(7), Some(&("0" | "1"))))
            .filter_map(|fields| fields.first().copied())
            .collect();
        let mut all = Self::default();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, _, _, home, shell] = fields[..] else {
                continue;
            };
            let Ok(uid) = uid.parse() else { continue };
            let account = Account {
                uid,
                home: home.to_owned(),
                shell: shell.to_owned(),
                groups: BTreeSet::new(),
                locked: expired.contains(name),
            };
            all.accounts.insert(name.to_owned(), account);
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, _, members] = fields[..] else {
                continue;
            };
            all.groups.insert(name.to_owned());
            for member in members.split(',').filter(|member| !member.is_empty()) {
                if let Some(account) = all.accounts.get_mut(member) {
                    account.groups.insert(name.to_owned());
                }
            }
        }
        all
    }

    pub(super) fn get(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// Whoever is in a group.
    pub(super) fn members(&self, group: &str) -> impl Iterator<Item = &str> {
        let member = move |(_, account): &(&String, &Account)| account.groups.contains(group);
        let members = self.accounts.iter().filter(member);
        members.map(|(name, _)| name.as_str())
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_with_their_groups_and_locks() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\nops1:x:1001:1001::/home/ops1:/bin/bash\nbad\n",
            "sudo:x:27:ops1,gone\ndev:x:1002:ops1\nempty:x:1003:\n",
            "root:*:1::::::\nops1:!:19000:0:99999:7::1:\n",
        );
        let ops = accounts.get("ops1").unwrap();
        assert_eq!((ops.uid, ops.locked), (1001, true));
        assert_eq!(ops.groups.iter().collect::<Vec<_>>(), ["dev", "sudo"]);
        assert!(accounts.has_group("empty") && !accounts.has_group("gone"));
        assert!(!accounts.get("root").unwrap().locked);
    }
}
