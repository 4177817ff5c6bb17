//! The agent's executable; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore_agent::main_impl()
}
