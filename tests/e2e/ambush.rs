//! Kills the agent at an exact point of its work, from outside and without its help.
//!
//! The ledger writes each step down, durably, before the step is begun: one `fsync`. strace stops
//! the agent at every one of them, so that it can be killed at the n-th and nowhere else. The links
//! are made durable in the same way, so they are such points too.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use longshore_lab::host::Host;
use rustix::process::{Pid, Signal, kill_process};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PATIENCE: Duration = Duration::from_secs(120);

/// An agent that is watched, and is killed at a durable write of its own.
#[derive(Debug)]
pub(crate) struct Ambush {
    strace: Child,
    watcher: JoinHandle<usize>,
}

impl Ambush {
    /// Watches the agent of `host`. It is killed at its `at`-th durable write from now on; an `at`
    /// that it never comes to only counts.
    pub(crate) fn lay(host: &Host, at: usize) -> Result<Self> {
        let agent = agent(host)?;
        let words = ["-e", "trace=fsync", "-e", "inject=fsync:signal=STOP"];
        let (strace, said) = attach(agent, &words)?;
        let tracer = Pid::from_child(&strace);
        let watcher = thread::spawn(move || watch(said, agent, tracer, at));
        Ok(Self { strace, watcher })
    }

    /// Ends the watch. How many durable writes were seen.
    pub(crate) fn end(mut self) -> Result<usize> {
        // Asked to end, strace may wait for ever for a thread that has died meanwhile.
        self.strace.kill()?;
        self.strace.wait()?;
        self.watcher
            .join()
            .map_err(|_| "the watch of strace failed".into())
    }
}

fn watch(said: BufReader<ChildStderr>, agent: Pid, tracer: Pid, at: usize) -> usize {
    let (seen, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            // A stop takes effect a moment after it is told, so going on is said again and again.
            while !ended.load(Ordering::SeqCst) {
                let before = seen.load(Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
                // A write that is told just now may be the one to die at.
                if before != at && seen.load(Ordering::SeqCst) == before {
                    let _ended_already = kill_process(agent, Signal::CONT);
                }
            }
        });
        for line in said.lines().map_while(std::result::Result::ok) {
            // What is durable now is this write; the step behind it has not begun.
            if line.contains("fsync(") && seen.fetch_add(1, Ordering::SeqCst) + 1 == at {
                let _ended_already = kill_process(agent, Signal::KILL);
                // A traced process is not gone before its tracer has taken note, or is gone too.
                let _ended_already = kill_process(tracer, Signal::KILL);
            }
        }
        // A last stop may have been under way when the tracer ended.
        if seen.load(Ordering::SeqCst) < at {
            thread::sleep(Duration::from_millis(1000));
        }
        ended.store(true, Ordering::SeqCst);
    });
    seen.into_inner()
}

/// A strace that watches all threads of a process, and what it says from now on.
pub(crate) fn attach(process: Pid, words: &[&str]) -> Result<(Child, BufReader<ChildStderr>)> {
    let mut strace = Command::new("strace")
        .arg("-f")
        .args(words)
        .args(["-p", &process.as_raw_nonzero().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let said = strace.stderr.take().ok_or("strace has no standard error")?;
    let mut said = BufReader::new(said);
    let mut line = String::new();
    while !line.contains("attached") {
        line.clear();
        if said.read_line(&mut line)? == 0 {
            strace.wait()?;
            return Err("strace did not attach to the agent".into());
        }
    }
    Ok((strace, said))
}

/// The agent's number on this machine.
pub(crate) fn agent(host: &Host) -> Result<Pid> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let shown = host.sh("systemctl show --property=MainPID,ActiveState longshore-agent")?;
        let inside = shown.lines().find_map(|line| line.strip_prefix("MainPID="));
        let inside: u32 = inside.unwrap_or("0").parse()?;
        if inside > 0
            && shown.contains("ActiveState=active")
            && let Some(outside) = outside(host, inside)
        {
            return Ok(outside);
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err("the agent does not run".into())
}

/// A host's processes have numbers of their own; the machine knows them by both.
fn outside(host: &Host, inside: u32) -> Option<Pid> {
    let space = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let own = space(&host.leader()?.to_string())?;
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut fitting = pids.filter(|pid| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let last = numbers.and_then(|numbers| numbers.split_whitespace().last());
        last == Some(inside.to_string().as_str()) && space(pid).as_ref() == Some(&own)
    });
    Pid::from_raw(fitting.next()?.parse().ok()?)
}
