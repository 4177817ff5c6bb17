//! `longshore`, the controller: reads the inventory, plans, opens one SSH session per host, asks the
//! agents, and reports.
//!
//! Data goes one way: `inventory` → `plan` → `ssh` → `agent_client` → `event` → `report`.

mod cli;
mod commands;
mod context;
pub mod did_you_mean;
pub mod error;
pub mod exit_code;
pub mod inventory;
pub mod release;
mod report;
pub mod ssh;
pub mod terminal_text;
pub mod toml_file;
pub mod ui;

pub use cli::main_impl;
