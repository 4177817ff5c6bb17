//! Releases from end to end, on real git, real ssh-keygen and the real binary.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what stands in the way of a test fails it"
)]

mod app;
mod bill;
mod branches;
mod bump;
mod cache;
mod check;
mod crafted;
mod deploy_source;
mod hostile;
mod init;
mod kept_elsewhere;
mod keys;
mod large;
mod refusals;
mod reproducible;
mod round_trip;
mod selection;
mod steps;
mod verify;
mod versions;
