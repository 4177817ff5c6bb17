//! Users and groups written straight into a host's files before it boots, which costs nothing;
//! running `useradd` in each host would cost more than the boot.

/// One user of a host.
#[derive(Debug, Clone)]
pub struct User {
    /// Login name.
    pub name: &'static str,
    /// Number, also of the user's own group.
    pub uid: u32,
    /// Groups beside the user's own.
    pub groups: &'static [&'static str],
}

/// May deploy: in the group that the agent listens to.
pub const OPERATOR: User = User {
    name: "ops1",
    uid: 2001,
    groups: &["longshore"],
};
/// May log in and nothing else.
pub const STRANGER: User = User {
    name: "stranger",
    uid: 2002,
    groups: &[],
};
/// Whom a provider made, on hosts where root may not log in.
pub const PROVIDERS: User = User {
    name: "debian",
    uid: 1000,
    groups: &["sudo"],
};
/// The group that may open the agent's socket.
pub const AGENT_GROUP: &str = "longshore";
/// Its number.
pub const AGENT_GROUP_ID: u32 = 990;

/// The four files of a host's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accounts {
    /// `/etc/passwd`
    pub passwd: String,
    /// `/etc/shadow`
    pub shadow: String,
    /// `/etc/group`
    pub group: String,
    /// `/etc/gshadow`
    pub gshadow: String,
}

impl Accounts {
    /// Adds a group without members.
    pub fn add_group(&mut self, name: &str, id: u32) {
        self.group.push_str(&format!("{name}:x:{id}:\n"));
        self.gshadow.push_str(&format!("{name}:!::\n"));
    }

    /// Adds a user without password, with a group of its own.
    pub fn add_user(&mut self, user: &User) {
        let User { name, uid, groups } = user;
        self.add_group(name, *uid);
        self.passwd
            .push_str(&format!("{name}:x:{uid}:{uid}::/home/{name}:/bin/bash\n"));
        self.shadow
            .push_str(&format!("{name}:*:19000:0:99999:7:::\n"));
        for group in *groups {
            self.group = join(&self.group, group, name);
            self.gshadow = join(&self.gshadow, group, name);
        }
    }
}

/// Adds a member to the last field of a group's line.
fn join(file: &str, group: &str, member: &str) -> String {
    let wanted = format!("{group}:");
    let mut joined = String::new();
    for line in file.lines() {
        joined.push_str(line);
        if line.starts_with(&wanted) {
            if !line.ends_with(':') {
                joined.push(',');
            }
            joined.push_str(member);
        }
        joined.push('\n');
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_in_all_four_files() {
        let mut accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\n".into(),
            shadow: "root:*:1::::::\n".into(),
            group: "root:x:0:\n".into(),
            gshadow: "root:*::\n".into(),
        };
        accounts.add_group(AGENT_GROUP, AGENT_GROUP_ID);
        accounts.add_user(&OPERATOR);
        assert!(accounts.group.contains("longshore:x:990:ops1\n"));
        assert!(accounts.gshadow.contains("longshore:!::ops1\n"));
        assert!(
            accounts
                .passwd
                .contains("ops1:x:2001:2001::/home/ops1:/bin/bash\n")
        );
        assert!(accounts.shadow.contains("ops1:*:"));
    }
}
