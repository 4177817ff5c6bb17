//! `longshore`, the controller: reads the inventory, plans, opens one SSH session per host, asks the
//! agents, and reports.
//!
//! Data goes one way: `inventory` → `plan` → `ssh` → `agent_client` → `event` → `report`.

pub mod agent_client;
mod agents;
mod bootstrap;
pub mod build;
mod cli;
mod commands;
mod completions;
mod context;
pub mod did_you_mean;
pub mod error;
pub mod event;
pub mod exit_code;
pub mod fleet;
mod global_args;
mod import;
pub mod init;
pub mod inventory;
pub mod plan;
pub mod release;
mod report;
pub mod rollout;
mod sealed;
pub mod signing;
pub mod ssh;
pub mod terminal_text;
pub mod toml_file;
mod trust;
pub mod ui;
pub mod versions;

pub use cli::main_impl;
