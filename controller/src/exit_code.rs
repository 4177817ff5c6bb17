//! What the exit code of a command means: the table of the command line's contract.

use std::process::ExitCode;

/// How a command ended, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done; with `--skip-offline`, on every host that could be reached.
    Done,
    /// Failed, and every host serves what it served before, or went back to it.
    Failed,
    /// Wrong usage or configuration; nothing was connected.
    Usage,
    /// Failed, and the fleet is mixed: the output says which host serves what.
    Mixed,
    /// Refused: preflight, lock, signature, policy, window, approval.
    Refused,
    /// Interrupted; the lock is released, and how to go on is printed.
    Interrupted,
    /// What a command of the person's own ended with.
    Command(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Mixed => 3,
            Exit::Refused => 4,
            Exit::Interrupted => 130,
            Exit::Command(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn the_codes_are_those_of_the_contract() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Mixed,
            Exit::Refused,
            Exit::Interrupted,
        ];
        assert_eq!(codes.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }
}
