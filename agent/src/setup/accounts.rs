//! Accounts and groups, as the system's own files have them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use longshore_shared::setup::SetupFailure;

use super::plan::failed;

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Whoever is in this group may become root.
pub(super) const SUDO: &str = "sudo";
/// Accounts below it are the system's.
pub(super) const FIRST_UID: u32 = 1000;

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
    /// Beside its own.
    pub(super) groups: BTreeSet<String>,
    /// It expired on purpose.
    pub(super) locked: bool,
    /// Nobody can log in, whoever chose the day.
    pub(super) expired: bool,
    /// Whether there is a password that opens it.
    pub(super) password: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: BTreeMap<String, Account>,
    groups: BTreeMap<String, u32>,
}

impl Accounts {
    pub(super) fn read() -> Result<Self, SetupFailure> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self::parse(
            &read("/etc/passwd")?,
            &read("/etc/group")?,
            &read("/etc/shadow")?,
            now.unwrap_or_default().as_secs() / SECONDS_A_DAY,
        ))
    }

    /// `today` is counted in days since 1970, as `/etc/shadow` does.
    pub(super) fn parse(passwd: &str, group: &str, shadow: &str, today: u64) -> Self {
        let shadows: BTreeMap<&str, Shadow> =
            shadow.lines().filter_map(|line| secret(line)).collect();
        let mut all = Self::default();
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields[..] else {
                continue;
            };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
                continue;
            };
            let shadow = shadows.get(name);
            let expires = shadow.and_then(|shadow| shadow.expires);
            let account = Account {
                uid,
                gid,
                home: home.to_owned(),
                shell: shell.to_owned(),
                groups: BTreeSet::new(),
                locked: matches!(expires, Some(0 | 1)),
                expired: expires.is_some_and(|day| day <= today),
                password: shadow.is_some_and(|shadow| shadow.password),
            };
            all.accounts.insert(name.to_owned(), account);
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else {
                continue;
            };
            let Ok(gid) = gid.parse() else { continue };
            all.groups.insert(name.to_owned(), gid);
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

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Account)> {
        let all = self.accounts.iter();
        all.map(|(name, account)| (name.as_str(), account))
    }

    /// Whether the kernel would take them for a member: by their own group too, or by another name
    /// of the same one.
    pub(super) fn is_in(&self, account: &Account, group: &str) -> bool {
        let Some(wanted) = self.groups.get(group) else {
            return false;
        };
        let named = |name: &String| self.groups.get(name) == Some(wanted);
        account.gid == *wanted || account.groups.iter().any(named)
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }
}

/// Whatever language somebody wrote their name in. A file that is there and cannot be read says
/// nothing about who is here.
fn read(path: &str) -> Result<String, SetupFailure> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed(error)),
    }
}

/// What `/etc/shadow` knows of an account.
struct Shadow {
    password: bool,
    expires: Option<u64>,
}

fn secret(line: &str) -> Option<(&str, Shadow)> {
    let fields: Vec<&str> = line.split(':').collect();
    let (name, password) = (fields.first()?, fields.get(1)?);
    let shadow = Shadow {
        password: !password.is_empty() && !password.starts_with(['!', '*']),
        expires: fields.get(7).and_then(|day| day.parse().ok()),
    };
    Some((name, shadow))
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
            20_000,
        );
        let ops = accounts.get("ops1").unwrap();
        assert_eq!((ops.uid, ops.locked, ops.expired), (1001, true, true));
        assert_eq!(ops.groups.iter().collect::<Vec<_>>(), ["dev", "sudo"]);
        assert!(accounts.has_group("empty") && !accounts.has_group("gone"));
        let root = accounts.get("root").unwrap();
        assert!(!root.locked && !root.expired);
    }

    #[test]
    fn any_day_in_the_past_keeps_somebody_out() {
        let of = |shadow: &str| {
            let passwd = "ops1:x:1001:1001::/home/ops1:/bin/bash\n";
            let accounts = Accounts::parse(passwd, "", shadow, 20_000);
            let account = accounts.get("ops1").unwrap();
            (account.expired, account.locked, account.password)
        };
        assert_eq!(of("ops1:$y$x:1:::::19999:\n"), (true, false, true));
        assert_eq!(of("ops1:$y$x:1:::::20000:\n"), (true, false, true));
        assert_eq!(of("ops1:!$y$x:1:::::20001:\n"), (false, false, false));
        assert_eq!(of("ops1:*:1::::::\n"), (false, false, false));
        assert_eq!(of("ops1::1::::::\n"), (false, false, false));
        assert_eq!(of(""), (false, false, false));
    }

    #[test]
    fn a_group_is_what_its_number_says() {
        let accounts = Accounts::parse(
            "a:x:1001:27::/:/bin/sh\nb:x:1002:1002::/:/bin/sh\nc:x:1003:1003::/:/bin/sh\n",
            "sudo:x:27:\nother:x:27:b\ndev:x:30:c\n",
            "",
            0,
        );
        let is_in = |name: &str| accounts.is_in(accounts.get(name).unwrap(), "sudo");
        assert!(is_in("a") && is_in("b") && !is_in("c"));
        let c = accounts.get("c").unwrap();
        assert!(accounts.is_in(c, "dev") && !accounts.is_in(c, "nowhere"));
    }
}
