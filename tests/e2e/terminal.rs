//! A person at a terminal: `script` gives the program one, and what is asked is answered.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use longshore_lab::process;

use crate::patience::until;

/// Longer than Longshore itself waits for a host: what it then says is what failed.
const LONGEST: u64 = 90;

/// A program that runs at a terminal.
pub(crate) struct Terminal {
    script: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    pub(crate) fn start(command: &Command) -> Result<Self, Box<dyn Error>> {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command"]);
        script
            .arg(process::words(command))
            .arg("/dev/null")
            .env_clear();
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(key, value);
            }
        }
        if let Some(folder) = command.get_current_dir() {
            script.current_dir(folder);
        }
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = script.stderr(Stdio::null()).spawn()?;
        let mut from = script.stdout.take().ok_or("it shows nothing")?;
        let shown = Arc::new(Mutex::new(String::new()));
        let writes = Arc::clone(&shown);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = from.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                writes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Ok(Self { script, shown })
    }

    /// All that was shown so far.
    pub(crate) fn shown(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.clone()
    }

    /// Waits for a question and answers it.
    pub(crate) fn answer(&mut self, question: &str, answer: &str) -> Result<(), Box<dyn Error>> {
        let asked = until(question, LONGEST, || Ok(self.shown().contains(question)));
        asked.map_err(|error| format!("{error}; shown was: {}", self.shown()))?;
        self.shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        let to = self.script.stdin.as_mut().ok_or("nobody listens")?;
        // Whoever hides what is typed throws away what was typed before.
        thread::sleep(std::time::Duration::from_secs(2));
        to.write_all(format!("{answer}\n").as_bytes())?;
        Ok(to.flush()?)
    }

    /// The exit code, and what was shown since the last answer.
    pub(crate) fn end(mut self) -> Result<(Option<i32>, String), Box<dyn Error>> {
        let mut code = None;
        let ended = until("the end", 2 * LONGEST, || {
            code = self.script.try_wait()?;
            Ok(code.is_some())
        });
        if ended.is_err() {
            self.script.kill()?;
            self.script.wait()?;
        }
        ended.map_err(|error| format!("{error}; shown was: {}", self.shown()))?;
        Ok((code.and_then(|code| code.code()), self.shown()))
    }
}
