//! The resident agent: server → intake → activate, with what happened in the ledger.
//!
//! It is crash-only. A stop at any moment, by a signal or a power cut, is made good at the next
//! start by `recovery`, from the operations that the ledger has as running.

mod activate;
mod agent;
mod cli;
mod command;
mod events;
mod host;
mod intake;
mod journal;
mod layout;
mod ledger;
mod links;
mod local;
mod locks;
mod logs;
mod maintenance;
mod names;
mod operation;
mod peer;
mod preflight;
mod preview;
mod recovery;
mod run_unit;
mod server;
mod settings;
mod setup;
mod status;
mod step_unit;
mod system_file;
mod systemd;
mod trash;
mod trust;
mod trusted_file;

pub use cli::main_impl;
