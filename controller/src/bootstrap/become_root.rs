//! Who was let in, and how they become root.

use longshore_shared::digest::Sha256Digest;

/// Asks everything that has to be known before the agent comes, in one call. What a login script
/// prints comes before the first line.
pub(super) const PROBE: &str = "sh -c 'echo longshore-probe; id -u; uname -m; \
    if [ -r /usr/local/bin/longshore-agent ]; then sha256sum < /usr/local/bin/longshore-agent; else echo -; fi; \
    if [ \"$(id -u)\" = 0 ]; then echo root; \
    elif ! command -v sudo >/dev/null 2>&1; then echo none; \
    elif [ \"$(sudo -n id -u 2>/dev/null)\" = 0 ]; then echo sudo; \
    elif LC_ALL=C sudo -n -v 2>&1 | grep -q -e \"password is required\" -e \"authentication is required\"; then echo password; \
    else echo none; fi'";
const FIRST_LINE: &str = "longshore-probe";

/// What the probe told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probed {
    /// As `uname -m` says it.
    pub(super) machine: String,
    /// Of the agent that is there.
    pub(super) agent: Option<Sha256Digest>,
    pub(super) way: Way,
}

/// How a person becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    IsRoot,
    Sudo,
    SudoWithPassword,
    None,
}

impl Probed {
    /// Reads what the probe printed; nothing where it did not run.
    pub(super) fn read(said: &str) -> Option<Self> {
        let (_, said) = said.split_once(FIRST_LINE)?;
        let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let (_uid, machine, agent, way) =
            (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        let digest = agent.split_whitespace().next()?;
        Some(Self {
            machine: machine.to_owned(),
            agent: Sha256Digest::parse(digest).ok(),
            way: match way {
                "root" => Way::IsRoot,
                "sudo" => Way::Sudo,
                "password" => Way::SudoWithPassword,
                _ => Way::None,
            },
        })
    }
}

impl Way {
    /// What is put before a command. The password comes on standard input, and in no list of
    /// processes.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::IsRoot | Self::None => "",
            Self::Sudo => "sudo -n ",
            // With -k it is read in any case: where sudo still knew somebody, the password would be
            // the agent's first line.
            Self::SudoWithPassword => "sudo -k -S -p \"\" ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_read_behind_whatever_a_login_prints() {
        let digest = Sha256Digest::of(b"agent");
        let said = format!("Welcome!\nlongshore-probe\n1000\nx86_64\n{digest}  -\nsudo\n");
        let probed = Probed::read(&said).unwrap();
        assert_eq!(probed.agent, Some(digest));
        assert_eq!((probed.machine.as_str(), probed.way), ("x86_64", Way::Sudo));
        let bare = Probed::read("longshore-probe\n0\naarch64\n-\nroot\n").unwrap();
        assert_eq!((bare.agent, bare.way), (None, Way::IsRoot));
        assert_eq!(Probed::read("This account is not available"), None);
    }
}
