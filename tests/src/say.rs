//! The one place of the lab that prints.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the lab's only printing module"
)]

use std::error::Error;

/// Prints a line of a story: what happens now.
pub fn step(text: &str) {
    eprintln!("\n== {text}");
}

/// Prints a line of detail.
pub fn line(text: &str) {
    eprintln!("   {text}");
}

/// Prints what was asked for, alone, so that it can be piped.
pub fn answer(text: &str) {
    println!("{text}");
}

/// Prints an error with its causes.
pub fn error(error: &dyn Error) {
    eprintln!("\nerror: {}", causes(error));
}

/// An error and its causes in one text.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str("\n  caused by: ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
