//! Counts what an agent asks of the kernel, from outside.

use std::error::Error;
use std::io::BufRead as _;
use std::thread;

use longshore_lab::host::Host;

use crate::ambush;

/// Every call of these kinds that the agent of `host` makes while `work` is done, by name.
pub(crate) fn during(
    host: &Host,
    kinds: &str,
    work: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<Vec<String>, Box<dyn Error>> {
    let words = ["-e", &format!("trace={kinds}")];
    let (mut strace, said) = ambush::attach(ambush::agent(host)?, &words)?;
    let watcher = thread::spawn(move || {
        let lines = said.lines().map_while(Result::ok);
        // A call that another thread interrupts is told in two lines.
        let begun = lines.filter(|line| !line.contains(" resumed>"));
        begun.filter_map(|line| called(&line)).collect()
    });
    let worked = work();
    strace.kill()?;
    strace.wait()?;
    worked?;
    watcher
        .join()
        .map_err(|_| "the watch of strace failed".into())
}

/// The name in `[pid 12] fsync(3) = 0`.
fn called(line: &str) -> Option<String> {
    let (before, _) = line.split_once('(')?;
    let name = before.rsplit(' ').next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_name.then(|| name.to_owned())
}
