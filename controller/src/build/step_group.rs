//! A step and everything that it starts, which end together.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// Ends the group when its input ends: at a time limit, or because Longshore itself was killed.
const GUARD: &str = "read -r _; kill -s KILL -- \"-$1\"";

/// A running step, in a process group of its own, and the guard of that group.
///
/// The guard is a process and not a handler of signals, so that not even `kill -9` of Longshore
/// leaves a step running that nobody sees.
#[derive(Debug)]
pub(super) struct StepGroup {
    pub(super) step: Child,
    guard: Child,
    leash: Option<ChildStdin>,
}

impl StepGroup {
    pub(super) fn start(step: &mut Command) -> io::Result<Self> {
        let mut step = step.process_group(0).spawn()?;
        let guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "sh", &step.id().to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(mut guard) => {
                let leash = guard.stdin.take();
                Ok(Self { step, guard, leash })
            }
            Err(error) => {
                step.kill()?;
                step.wait()?;
                Err(error)
            }
        }
    }

    /// Kills the step with all that it started, and waits for it.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        drop(self.leash.take());
        self.guard.wait()?;
        // Whatever became of the guard, nobody waits for a step that was to end.
        self.step.kill()?;
        self.step.wait()
    }
}

impl Drop for StepGroup {
    /// A step that has ended may have left something running, which is its own affair.
    fn drop(&mut self) {
        if matches!(self.step.try_wait(), Ok(None)) {
            drop(self.end());
            return;
        }
        drop(self.guard.kill());
        drop(self.guard.wait());
    }
}
