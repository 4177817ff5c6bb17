//! Runs one command and tells what it cost: time, processor, bytes on the hosts' cables.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::Error;
use crate::host::Host;
use crate::process;

/// No deployment takes longer; whatever does hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Linux counts processor time for programs in hundredths, whatever its own tick is.
const TICKS_A_SECOND: f64 = 100.0;

/// The cables of the hosts that a command talks to.
#[derive(Debug, Clone)]
pub(super) struct Cables(Vec<String>);

/// What a command cost.
#[derive(Debug, Clone)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// User and system time of the command and of all that it waited for.
    pub(super) cpu_seconds: f64,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) said: String,
}

impl Cables {
    pub(super) fn of(hosts: &[Host], tag: &str) -> Self {
        Self(
            hosts
                .iter()
                .map(|host| format!("lsv{tag}-{}", host.index))
                .collect(),
        )
    }

    /// Of a command that talks to no host.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    /// Bytes to the hosts and from them, since the cables were made. The machine's end of a cable
    /// sends what its host receives.
    fn bytes(&self) -> Result<(u64, u64), Error> {
        let mut sum = (0, 0);
        for cable in &self.0 {
            let read = |name: &str| -> Result<u64, Error> {
                let path = format!("/sys/class/net/{cable}/statistics/{name}");
                let text = fs_err::read_to_string(path)?;
                Ok(text.trim().parse().unwrap_or_default())
            };
            sum.0 += read("tx_bytes")?;
            sum.1 += read("rx_bytes")?;
        }
        Ok(sum)
    }
}

/// Runs it to its end. Nothing else of this process may wait for children meanwhile.
pub(super) fn run(command: &mut Command, cables: &Cables) -> Result<Cost, Error> {
    let bytes = cables.bytes()?;
    let cpu = childrens_seconds()?;
    let begun = Instant::now();
    let (success, said) = output(command)?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu_seconds = childrens_seconds()? - cpu;
    let after = cables.bytes()?;
    if !success {
        return Err(Error::Command {
            command: process::words(command),
            said,
        });
    }
    Ok(Cost {
        seconds,
        cpu_seconds,
        up: after.0 - bytes.0,
        down: after.1 - bytes.1,
        said,
    })
}

/// Whether it succeeded, and what it said, on both outputs if it failed.
fn output(command: &mut Command) -> Result<(bool, String), Error> {
    // In a group of its own, so that the limit reaches what it started too.
    command.process_group(0).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (done, ended) = mpsc::channel::<()>();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            let late = ended.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout);
            if let (true, Some(group)) = (late, group) {
                // If it has just ended there is nobody left to stop.
                let _ = kill_process_group(group, Signal::KILL);
            }
        });
        let errors = scope.spawn(move || text(err.as_mut()));
        let mut said = text(out.as_mut());
        let errors = errors.join().unwrap_or_default();
        let status = child.wait()?;
        drop(done);
        if !status.success() {
            said.push_str(&errors);
        }
        Ok((status.success(), said))
    })
}

fn text(stream: Option<&mut impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What came before an error is still worth showing.
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Processor time of all children that were waited for, theirs included.
fn childrens_seconds() -> Result<f64, Error> {
    let stat = fs_err::read_to_string("/proc/self/stat")?;
    Ok(childrens_ticks(&stat) as f64 / TICKS_A_SECOND)
}

fn childrens_ticks(stat: &str) -> u64 {
    // The name in brackets may hold spaces; user and system time of children are fields 16 and 17.
    let rest = stat.rsplit_once(')').map_or(stat, |(_, rest)| rest);
    rest.split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_childrens_time_is_found_behind_any_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 10 20 0 0 3 4 50 60 20 0 1 0 9 0";
        assert_eq!(childrens_ticks(stat), 110);
    }

    #[test]
    fn the_processor_time_of_a_child_is_seen_and_a_failure_told() {
        let none = Cables::none();
        let mut busy = Command::new("sh");
        busy.args([
            "-c",
            "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done",
        ]);
        let cost = run(&mut busy, &none).unwrap();
        assert!(cost.cpu_seconds > 0.0 && cost.said == "done\n", "{cost:?}");
        let mut failing = Command::new("sh");
        let error = run(failing.args(["-c", "echo why >&2; exit 3"]), &none).unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
    }
}
