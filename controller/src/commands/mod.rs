//! The verbs, one file each: its arguments and one function that runs it.

mod asking;
pub(crate) mod bootstrap;
pub(crate) mod build;
mod build_check;
pub(crate) mod bump;
pub(crate) mod completions;
pub(crate) mod deploy;
pub(crate) mod exec;
mod fleet_run;
pub(crate) mod host_args;
pub(crate) mod init;
pub(crate) mod inventory;
pub(crate) mod logs;
pub(crate) mod next_version;
pub(crate) mod releases;
pub(crate) mod restart;
pub(crate) mod return_to_branch;
pub(crate) mod rollback;
pub(crate) mod settings;
pub(crate) mod signers;
pub(crate) mod ssh;
pub(crate) mod stage;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod verify;
pub(crate) mod version;
mod version_arg;
