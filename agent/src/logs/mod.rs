//! What an app and all around it say on this host: journald's lines, and nginx's own file of errors.

mod journal_lines;
mod nginx_lines;

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, SyncSender};

use jiff::Timestamp;
use longshore_shared::name::ProcessName;
use longshore_shared::wire::latest::{LogLine, LogSource};

use crate::command::CommandError;
use crate::layout::AppLayout;

/// Lines that were read and are not sent yet.
const MOST_WAITING: usize = 256;
/// The end of a longer line says nothing to a person.
const LONGEST_TEXT: usize = 16 * 1024;
/// Whoever may look at logs is not to fill the memory of what runs as root.
const MOST_KEPT: usize = 8 << 20;
const CUT: &str = "(there is more before this than is kept at once: ask for less, or by --since)";
/// journald's lines are JSON of a few fields; a longer one is passed over.
const LONGEST_RAW: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// All of it, where nothing is named.
    pub(crate) of: Vec<LogSource>,
    pub(crate) processes: Vec<ProcessName>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) lines: u32,
    pub(crate) follow: bool,
    pub(crate) grep: Option<String>,
    /// Whose errors nginx is to be asked for.
    pub(crate) domain: Option<String>,
}

impl Wanted {
    fn has(&self, source: LogSource) -> bool {
        (self.of.is_empty() && self.processes.is_empty()) || self.of.contains(&source)
    }
}

/// Lines that come one after the other.
pub(crate) struct Lines(Receiver<LogLine>);

/// What reads them: it ends when this is dropped, and with it the lines.
#[derive(Default)]
pub(crate) struct Programs(Vec<Child>);

impl Lines {
    pub(crate) fn of(
        layout: &AppLayout,
        wanted: &Wanted,
    ) -> Result<(Self, Programs), CommandError> {
        let (sender, lines) = mpsc::sync_channel(MOST_WAITING);
        let mut all = Programs::default();
        // Whoever follows has been told already what was said last. journald itself counts lines that are
        // not looked through.
        let last = (!wanted.follow).then_some(wanted.lines as usize);
        let looked_through = last.filter(|_| wanted.grep.is_some());
        if let Some(words) = journal_lines::words(layout, wanted) {
            let grep = wanted.grep.clone();
            all.read(
                "journalctl",
                &words,
                sender.clone(),
                looked_through,
                move |raw| journal_lines::parse(raw).filter(|line| has(line, grep.as_deref())),
            )?;
        }
        if let Some(domain) = wanted
            .domain
            .clone()
            .filter(|_| wanted.has(LogSource::Nginx))
        {
            let words = nginx_lines::words(wanted);
            let (since, grep) = (wanted.since, wanted.grep.clone());
            all.read("tail", &words, sender, last, move |raw| {
                nginx_lines::parse(raw, &domain)
                    .filter(|line| since.is_none_or(|since| line.at >= since))
                    .filter(|line| has(line, grep.as_deref()))
            })?;
        }
        Ok((Self(lines), all))
    }

    /// Waits for the next line, then takes all that are there. Nothing is the end.
    pub(crate) fn next(&self) -> Vec<LogLine> {
        let first = self.0.recv().ok();
        let more = self.0.try_iter().take(MOST_WAITING);
        first.into_iter().chain(more).collect()
    }
}

impl Programs {
    fn read(
        &mut self,
        program: &str,
        words: &[String],
        sender: SyncSender<LogLine>,
        last: Option<usize>,
        parse: impl Fn(&[u8]) -> Option<LogLine> + Send + 'static,
    ) -> Result<(), CommandError> {
        let failed = |source| CommandError::Start {
            program: program.to_owned(),
            source,
        };
        let mut child = Command::new(program)
            .args(words)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take();
        self.0.push(child);
        let output = output.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        std::thread::Builder::new()
            .name("log lines".to_owned())
            .spawn(move || pass_on(output, &sender, last, parse))
            .map_err(failed)?;
        Ok(())
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for program in &mut self.0 {
            // One that has ended needs no ending.
            let _ended = program.kill();
            let _reaped = program.wait();
        }
    }
}

/// Passes on each line as it comes, or the last so many when all of them are known.
fn pass_on(
    output: impl Read,
    sender: &SyncSender<LogLine>,
    last: Option<usize>,
    parse: impl Fn(&[u8]) -> Option<LogLine>,
) {
    let mut output = BufReader::new(output);
    let mut raw = Vec::new();
    let mut kept: VecDeque<LogLine> = VecDeque::new();
    let (mut bytes, mut cut) = (0, false);
    loop {
        raw.clear();
        match (&mut output).take(LONGEST_RAW).read_until(b'\n', &mut raw) {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
        let Some(line) = parse(&raw) else { continue };
        let Some(last) = last else {
            match sender.send(line) {
                Ok(()) => continue,
                Err(_) => return,
            }
        };
        bytes += line.text.len();
        kept.push_back(line);
        while kept.len() > last || bytes > MOST_KEPT {
            cut = kept.len() <= last;
            bytes -= kept.pop_front().map_or(bytes, |line| line.text.len());
        }
    }
    if let Some(first) = kept.front().filter(|_| cut) {
        let told = LogLine {
            text: CUT.to_owned(),
            ..first.clone()
        };
        kept.push_front(told);
    }
    // Whoever wanted them may have left.
    let _all_sent = kept.into_iter().try_for_each(|line| sender.send(line));
}

fn has(line: &LogLine, words: Option<&str>) -> bool {
    words.is_none_or(|words| line.text.contains(words))
}

/// A text of a line, within bounds.
fn bounded(text: &str) -> String {
    let text = text.trim_end();
    if text.len() <= LONGEST_TEXT {
        return text.to_owned();
    }
    let start = text.get(..text.floor_char_boundary(LONGEST_TEXT));
    format!("{}… ({} bytes)", start.unwrap_or_default(), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(raw: &str, last: usize) -> Vec<String> {
        let (sender, lines) = mpsc::sync_channel(MOST_WAITING);
        let parse = |raw: &[u8]| {
            Some(LogLine {
                at: Timestamp::UNIX_EPOCH,
                of: "app".to_owned(),
                text: String::from_utf8_lossy(raw).trim_end().to_owned(),
            })
        };
        pass_on(raw.as_bytes(), &sender, Some(last), parse);
        drop(sender);
        lines.iter().map(|line| line.text).collect()
    }

    #[test]
    fn the_last_lines_are_kept_and_no_more_than_fits() {
        assert_eq!(passed_on("a\nb\nc\n", 2), ["b", "c"]);
        let long = format!("{}\n", "x".repeat(MOST_KEPT / 16)).repeat(20);
        let told = passed_on(&long, 100);
        assert_eq!((told.len(), told[0].as_str()), (17, CUT));
    }
}
