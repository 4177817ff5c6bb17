//! What the lab does when it is told to: one file for each order.

pub mod bench;
pub mod demo;
pub mod dist;
pub mod down;
pub mod longshore;
pub mod ssh;
pub mod test;
pub mod up;

use std::error::Error;
use std::process::ExitCode;

/// How an order ended: an error is printed with all its causes, and nobody tells them apart.
pub type Done = Result<ExitCode, Box<dyn Error>>;
