//! The only module that prints. Answers go to standard output; progress, notes and errors to
//! standard error. With `--json`, standard output carries machine lines alone and everything for
//! people moves to standard error.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};

use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::ssh::AskPassphrase;

/// Where the words of one command go.
#[derive(Debug)]
pub struct Ui {
    json: bool,
    bars: Option<MultiProgress>,
    /// One question at a time; held by nobody but those who ask.
    asking: Mutex<()>,
    out: Mutex<Out>,
    left: AtomicBool,
}

/// While a question is open, lines wait here and whoever says them goes on.
#[derive(Debug, Default)]
struct Out {
    question: Question,
    waiting: Vec<(To, String)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Question {
    #[default]
    None,
    Open,
    /// The terminal shows nothing of what is typed.
    Secret,
}

impl Out {
    /// Shows what was said meanwhile.
    fn end_question(&mut self) {
        self.question = Question::None;
        for (to, line) in self.waiting.drain(..) {
            drop(print(to, &line));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Out,
    Err,
}

impl Ui {
    pub fn new(json: bool) -> Self {
        // In a CI log a bar is noise, and "dumb" terminals cannot redraw one.
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let bars = (io::stderr().is_terminal() && !dumb).then(MultiProgress::new);
        Ui {
            json,
            bars,
            asking: Mutex::default(),
            out: Mutex::default(),
            left: AtomicBool::default(),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The bars of this run, if standard error is a terminal that can redraw lines.
    pub fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// A line of the answer that the person asked for.
    pub fn answer(&self, line: &str) {
        if self.json {
            self.note(line);
        } else {
            self.write(To::Out, line);
        }
    }

    /// A line about how the work goes; never part of the answer.
    pub fn note(&self, line: &str) {
        self.write(To::Err, line);
    }

    /// One object of `--json`; silent without it.
    pub fn machine(&self, object: &str) {
        if self.json {
            self.write(To::Out, object);
        }
    }

    /// The error that ends the command: heading, causes, and after a blank line the hints.
    pub fn error(&self, error: &CommandError) {
        let mut text = format!("{} {}", heading("error:"), error.message());
        for cause in error.causes() {
            text.push_str("\nCaused by: ");
            text.push_str(&cause);
        }
        if !error.all_hints().is_empty() {
            text.push('\n');
            for hint in error.all_hints() {
                text.push('\n');
                text.push_str(hint);
            }
        }
        self.abandon_question();
        self.note(&text);
    }

    /// Whether somebody is there who could answer.
    pub fn can_ask(&self) -> bool {
        io::stderr().is_terminal() && io::stdin().is_terminal()
    }

    /// Asks a question that only a person at a terminal can answer; nobody's answer is no.
    pub fn confirm(&self, question: &str) -> bool {
        self.can_ask()
            && matches!(
                self.read_answer(&format!("{question} [y/N] ")).as_str(),
                "y" | "Y" | "yes"
            )
    }

    /// Asks for a line; an empty one means what is offered.
    pub fn ask_line(&self, question: &str, offered: &str) -> String {
        let answer = self.read_answer(&format!("{question} [{offered}]: "));
        if answer.is_empty() {
            offered.to_owned()
        } else {
            answer
        }
    }

    fn read_answer(&self, prompt: &str) -> String {
        let ask = || {
            let mut err = io::stderr();
            // If the question cannot be shown, the answer will not come either.
            let _ = write!(err, "{prompt}");
            let _ = err.flush();
            let mut answer = String::new();
            match io::stdin().read_line(&mut answer) {
                Ok(_) => answer.trim().to_owned(),
                Err(_) => String::new(),
            }
        };
        self.question(Question::Open, ask)
    }

    /// Has the terminal for one question. Lines that others say meanwhile are shown after it, and
    /// bars are hidden until then: nobody waits for the person but whoever asked.
    fn question<T>(&self, question: Question, ask: impl FnOnce() -> T) -> T {
        let _one_at_a_time = self.asking.lock();
        self.out().question = question;
        if let Some(bars) = &self.bars {
            // A terminal that cannot be cleared shows the question below the bars.
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let answer = ask();
        let mut out = self.out();
        out.end_question();
        if let Some(bars) = &self.bars {
            bars.set_draw_target(ProgressDrawTarget::stderr());
        }
        answer
    }

    /// The command ends although nobody has answered: whoever asked is not waited for.
    fn abandon_question(&self) {
        let mut out = self.out();
        if out.question == Question::None {
            return;
        }
        if out.question == Question::Secret {
            // Whoever asked would have turned it on again, and does not come to that any more.
            let _ = std::process::Command::new("stty").arg("echo").status();
        }
        drop(print(To::Err, ""));
        out.end_question();
    }

    /// A panic while it was held leaves nothing half written here.
    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, to: To, line: &str) {
        let mut out = self.out();
        if out.question != Question::None {
            out.waiting.push((to, line.to_owned()));
            return;
        }
        let written = match &self.bars {
            Some(bars) => bars.suspend(|| print(to, line)),
            None => print(to, line),
        };
        if to == To::Out && written.is_err() {
            self.left.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody reads any more what is answered. A closed pipe (`longshore status | head`) is the
    /// reader's choice and no error; what would go on for ever ends by it.
    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

fn print(to: To, line: &str) -> io::Result<()> {
    let stream: &mut dyn Write = match to {
        To::Out => &mut io::stdout(),
        To::Err => &mut io::stderr(),
    };
    writeln!(stream, "{line}")?;
    stream.flush()
}

impl Ui {
    /// Asks for what nobody may see; nothing where nobody is there.
    pub fn ask_secret(&self, what: &str) -> Option<String> {
        if !io::stderr().is_terminal() {
            return None;
        }
        let ask = || {
            let mut err = io::stderr();
            // If the question cannot be shown, the answer will not come either.
            let _ = write!(err, "{what}: ");
            let _ = err.flush();
            console::Term::stderr().read_secure_line().ok()
        };
        self.question(Question::Secret, ask)
    }
}

impl AskPassphrase for Ui {
    fn ask(&self, file: &Path) -> Option<String> {
        self.ask_secret(&format!("Passphrase of {}", file.display()))
    }
}

fn heading(word: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stderr().is_terminal() && !plain {
        format!("\u{1b}[1;31m{word}\u{1b}[0m")
    } else {
        word.to_owned()
    }
}

/// What clap has to say: help, or what is wrong with the words that were typed.
pub fn clap_message(error: &clap::Error) -> Exit {
    // As for every other line, a closed pipe is the reader's choice.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn nobody_waits_for_a_question_but_whoever_asked() {
        let ui = Arc::new(Ui::new(true));
        let waiting = |ui: &Ui| ui.out().waiting.len();
        ui.question(Question::Open, || {
            let (said, heard) = mpsc::channel();
            let other = Arc::clone(&ui);
            std::thread::spawn(move || {
                other.note("a line of another host");
                said.send(()).unwrap();
            });
            heard.recv_timeout(Duration::from_secs(5)).unwrap();
            assert_eq!(waiting(&ui), 1);
        });
        assert_eq!(waiting(&ui), 0);
        // What ends the command is said although nobody has answered.
        ui.question(Question::Open, || {
            ui.note("a line of another host");
            ui.error(&CommandError::usage("interrupted"));
            assert_eq!(waiting(&ui), 0);
        });
    }
}
