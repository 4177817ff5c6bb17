//! The verbs, one file each: its arguments and one function that runs it.

mod asking;
pub(crate) mod build;
pub(crate) mod deploy;
mod fleet_run;
pub(crate) mod host_args;
pub(crate) mod releases;
pub(crate) mod rollback;
pub(crate) mod status;
pub(crate) mod version;
mod version_arg;
