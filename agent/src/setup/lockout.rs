//! Whether the inventory would shut out the very person who bootstraps: nothing takes back what is
//! done to people, so nothing is done then.

use longshore_shared::setup::{Desired, DesiredPerson, SetupFailure};

use super::accounts::{Accounts, SUDO};

/// Why nothing may be done. `root_off` says whether sshd has turned root away already.
pub(super) fn problems(
    desired: &Desired,
    accounts: &Accounts,
    logged_in_as: Option<&str>,
    root_off: bool,
    is_ours: impl Fn(&str) -> bool,
    sudo_asks_not: impl Fn(&str) -> bool,
) -> Vec<SetupFailure> {
    let of_inventory = |name: &str| desired.people.iter().find(|person| person.name == name);
    let operator = logged_in_as.and_then(of_inventory);
    let mut problems = operator.map_or_else(Vec::new, |person| {
        let asks = !desired.system.sudo_without_password && !sudo_asks_not(&person.name);
        of_operator(person, desired, accounts, asks)
    });
    let root_off = root_off || will_be_off(desired, logged_in_as);
    let left_alone =
        logged_in_as.is_some_and(|name| of_inventory(name).is_none() && !is_ours(name));
    let becomes_root = |person: &DesiredPerson| {
        person.groups.contains(SUDO)
            && !person.keys.is_empty()
            && (desired.system.sudo_without_password || has_password(&person.name, accounts))
    };
    if root_off && !left_alone && !desired.people.iter().any(becomes_root) {
        let lack = if desired.system.sudo_without_password {
            "in group sudo with a key"
        } else {
            "in group sudo with a key and a password for sudo"
        };
        problems.push(SetupFailure {
            what: format!(
                "nobody could become root here any more: root may not log in, and the inventory has nobody {lack}"
            ),
            next: "give somebody under [people] a key and groups = [\"sudo\"], or say root_login = true under [setup.sshd]"
                .to_owned(),
        });
    }
    problems
}

/// Root is turned away once somebody else was seen to become root.
fn will_be_off(desired: &Desired, logged_in_as: Option<&str>) -> bool {
    let wanted = desired.sshd.as_ref().is_some_and(|sshd| !sshd.root_login);
    wanted && (desired.sudo_login || logged_in_as.is_some())
}

fn of_operator(
    person: &DesiredPerson,
    desired: &Desired,
    accounts: &Accounts,
    asks: bool,
) -> Vec<SetupFailure> {
    let name = &person.name;
    let mut problems = Vec::new();
    let mut problem = |what: String, next: String| problems.push(SetupFailure { what, next });
    let in_sudo_now = accounts
        .get(name)
        .is_some_and(|account| accounts.is_in(account, SUDO));
    let stays = person.groups.contains(SUDO);
    if in_sudo_now && !stays {
        problem(
            format!(
                "it is {name} who is logged in, and the inventory takes {name} out of group sudo: {name} could not become root again"
            ),
            format!(
                "add \"sudo\" to the groups of [people.{name}], or bootstrap as somebody else who stays in sudo"
            ),
        );
    }
    if let Some(key) = &desired.login_key
        && !person.keys.iter().any(|other| same_key(other, key))
    {
        problem(
            format!(
                "{name} logged in with a key that the inventory does not have: {name} would be shut out with it ({})",
                key.trim()
            ),
            format!(
                "add that key to the keys of [people.{name}], or log in with one that is there (IdentityFile in ~/.ssh/config)"
            ),
        );
    }
    if stays && asks && !has_password(name, accounts) {
        problem(
            format!(
                "sudo would ask {name} for a password, and {name} has none here: {name} could not become root again"
            ),
            format!(
                "run `sudo passwd {name}` on the host, or leave sudo_password = true out of [setup]"
            ),
        );
    }
    problems
}

fn has_password(name: &str, accounts: &Accounts) -> bool {
    accounts.get(name).is_some_and(|account| account.password)
}

/// By type and body: a comment opens nothing.
fn same_key(one: &str, other: &str) -> bool {
    let body = |key: &str| -> Vec<String> {
        let words = key.split_whitespace().take(2);
        words.map(str::to_owned).collect()
    };
    body(one) == body(other)
}

#[cfg(test)]
mod tests {
    use longshore_shared::setup::DesiredSshd;

    use super::super::host_files;
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nops1:x:1001:1001::/home/ops1:/bin/sh\n\
                          admin:x:1000:1000::/home/admin:/bin/sh\n";
    const GROUP: &str = "sudo:x:27:ops1,admin\n";

    fn ops(groups: &[&str]) -> DesiredPerson {
        DesiredPerson {
            name: "ops1".to_owned(),
            keys: vec!["ssh-ed25519 AAAA ops1".to_owned()],
            groups: groups.iter().map(ToString::to_string).collect(),
            dotfiles: None,
            adopt: false,
        }
    }

    fn desired(people: Vec<DesiredPerson>) -> Desired {
        Desired {
            people,
            sshd: Some(DesiredSshd {
                root_login: false,
                lines: Vec::new(),
            }),
            login_key: Some("ssh-ed25519 AAAA another-comment".to_owned()),
            ..host_files::tests::desired()
        }
    }

    fn told(desired: &Desired, shadow: &str, as_whom: Option<&str>, root_off: bool) -> Vec<String> {
        let accounts = Accounts::parse(PASSWD, GROUP, shadow, 20_000);
        let ours = |name: &str| name == "ops1";
        problems(desired, &accounts, as_whom, root_off, ours, |_| false)
            .into_iter()
            .map(|problem| problem.what)
            .collect()
    }

    #[test]
    fn whoever_bootstraps_stays_in_sudo_with_their_key() {
        let good = desired(vec![ops(&["sudo"])]);
        assert!(told(&good, "", Some("ops1"), true).is_empty());
        let other = DesiredPerson {
            name: "ops2".to_owned(),
            ..ops(&["sudo"])
        };
        let out = desired(vec![ops(&["dev"]), other.clone()]);
        let said = told(&out, "", Some("ops1"), true);
        assert!(
            said.len() == 1 && said[0].contains("out of group sudo"),
            "{said:?}"
        );
        // Somebody else may do it.
        assert!(told(&out, "", Some("ops2"), true).is_empty());
        assert!(told(&out, "", None, false).is_empty());

        let mut strange = good.clone();
        strange.login_key = Some("ssh-ed25519 BBBB ops1".to_owned());
        let said = told(&strange, "", Some("ops1"), true);
        assert!(said.len() == 1 && said[0].contains("BBBB"), "{said:?}");
        assert!(told(&strange, "", None, false).is_empty());
        strange.login_key = None;
        assert!(told(&strange, "", Some("ops1"), true).is_empty());
    }

    #[test]
    fn sudo_never_asks_for_a_password_that_nobody_has() {
        let mut asks = desired(vec![ops(&["sudo"])]);
        asks.system.sudo_without_password = false;
        for shadow in [
            "",
            "ops1:!:1::::::\n",
            "ops1:*:1::::::\n",
            "ops1::1::::::\n",
        ] {
            let said = told(&asks, shadow, Some("ops1"), false);
            assert!(said[0].contains("for a password"), "{shadow}: {said:?}");
        }
        assert!(told(&asks, "ops1:$y$x:1::::::\n", Some("ops1"), true).is_empty());
    }

    #[test]
    fn somebody_can_always_become_root() {
        let nobody = desired(vec![ops(&["dev"])]);
        // Root still comes in, and is not turned away before somebody else has.
        assert!(told(&nobody, "", None, false).is_empty());
        let said = told(&nobody, "", None, true);
        assert!(said[0].contains("nobody could become root"), "{said:?}");
        let mut seen = nobody.clone();
        seen.sudo_login = true;
        assert_eq!(told(&seen, "", None, false).len(), 1);
        // An account that Longshore leaves alone keeps its way in.
        assert!(told(&nobody, "", Some("admin"), true).is_empty());
        assert!(!told(&nobody, "", Some("ops1"), true).is_empty());

        let keyless = DesiredPerson {
            keys: Vec::new(),
            ..ops(&["sudo"])
        };
        assert_eq!(told(&desired(vec![keyless]), "", None, true).len(), 1);
        let mut asks = desired(vec![ops(&["sudo"])]);
        asks.system.sudo_without_password = false;
        assert_eq!(told(&asks, "", None, true).len(), 1);
        assert!(told(&asks, "ops1:$y$x:1::::::\n", None, true).is_empty());
    }
}
