//! The lab of Longshore: real Debian hosts on one machine, and everything that is done to them in
//! tests, demonstrations and benchmarks.
//!
//! Nothing of the product lives here. The lab drives the product as people do: through the
//! `longshore` binary, over SSH, on hosts with their own systemd, sshd and nginx.

pub mod accounts;
pub mod base;
pub mod bench;
pub mod binaries;
pub mod cgroup;
pub mod cli;
pub mod commands;
pub mod controller;
mod fuzz;
pub mod gates;
pub mod host;
pub mod inventory;
pub mod keys;
pub mod lab;
pub mod load;
pub mod machine;
pub mod network;
pub mod place;
pub mod plain;
pub mod privilege;
pub mod process;
pub mod provision;
pub mod sample;
pub mod say;
