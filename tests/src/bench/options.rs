//! `cargo lab bench`'s own words.

use std::path::PathBuf;

use lexopt::prelude::{Long, Value, ValueExt};
use thiserror::Error;

use super::MOST_RUNS;

const MOST_HOSTS: usize = 50;

/// How much to measure, and where to put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Numbers of hosts; each gets hosts of its own.
    pub groups: Vec<usize>,
    /// Repetitions, of which the medians are told.
    pub runs: usize,
    /// Bootstrap alone is measured, and nothing else.
    pub bootstrap: bool,
    /// A missed goal is a failure.
    pub check: bool,
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
}

/// Words that mean nothing here.
#[derive(Debug, Error)]
pub enum BadOptions {
    /// Not what the option takes.
    #[error("`cargo lab bench {option}` takes {takes}")]
    Value {
        /// The option.
        option: &'static str,
        /// What it takes.
        takes: String,
    },
    /// No option at all.
    #[error(transparent)]
    Options(#[from] lexopt::Error),
}

impl Options {
    /// Reads the words that follow `bench`.
    pub fn read(words: &[String]) -> Result<Self, BadOptions> {
        let mut options = Self {
            groups: vec![1, 10],
            runs: 3,
            bootstrap: false,
            check: false,
            json: None,
        };
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(word) = parser.next()? {
            match word {
                Value(word) if word == "bootstrap" => options.bootstrap = true,
                Long("quick") => (options.groups, options.runs) = (vec![1, 3], 1),
                Long("hosts") => options.groups = groups(&parser.value()?.string()?)?,
                Long("runs") => options.runs = runs(&parser.value()?.string()?)?,
                Long("check") => options.check = true,
                Long("json") => options.json = Some(parser.value()?.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

fn groups(text: &str) -> Result<Vec<usize>, BadOptions> {
    let groups: Option<Vec<usize>> = text
        .split(',')
        .map(|part| {
            part.parse()
                .ok()
                .filter(|count| (1..=MOST_HOSTS).contains(count))
        })
        .collect();
    let distinct = |groups: &Vec<usize>| groups.windows(2).all(|two| two[0] < two[1]);
    groups.filter(distinct).ok_or_else(|| BadOptions::Value {
        option: "--hosts",
        takes: format!("rising numbers from 1 to {MOST_HOSTS}, such as 1,10"),
    })
}

fn runs(text: &str) -> Result<usize, BadOptions> {
    let runs = text
        .parse()
        .ok()
        .filter(|runs| (1..=MOST_RUNS).contains(runs));
    runs.ok_or_else(|| BadOptions::Value {
        option: "--runs",
        takes: format!("a number from 1 to {MOST_RUNS}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options, BadOptions> {
        Options::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        let options = read(&["--quick", "--hosts", "2,4", "--check"]).unwrap();
        assert_eq!((options.groups, options.runs), (vec![2, 4], 1));
        assert!(options.check);
        assert_eq!(read(&[]).unwrap().groups, [1, 10]);
        assert!(read(&["bootstrap", "--runs", "1"]).unwrap().bootstrap);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for words in [
            ["--hosts", "0"],
            ["--hosts", "3,1"],
            ["--runs", "99"],
            ["x", "y"],
        ] {
            assert!(read(&words).is_err(), "{words:?}");
        }
    }
}
