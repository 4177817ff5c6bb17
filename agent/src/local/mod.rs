//! What can be done on the host itself at three in the morning, without any controller.

mod client;
mod rollback;
mod run;
mod view;

pub(crate) use rollback::rollback;
pub(crate) use run::run;
pub(crate) use view::{history, logs, status};

use thiserror::Error;

use client::Client;

use crate::command::CommandError;
use crate::ledger::LedgerError;
use crate::server::ConnectError;
use crate::trusted_file::TrustedFileError;

/// Why a local verb did not do its work.
#[derive(Debug, Error)]
pub(crate) enum LocalError {
    #[error(transparent)]
    Host(#[from] TrustedFileError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("this host knows no app {app} (it knows: {known})")]
    UnknownApp { app: String, known: String },
    #[error(
        "{app} has no earlier release that was good: `longshore-agent status` lists what is here"
    )]
    NothingEarlier { app: String },
    #[error("the agent does not talk as it should")]
    Talk(#[source] std::io::Error),
    #[error(
        "the agent left in the middle: it goes on by itself; `longshore-agent status` tells how it ended"
    )]
    Left,
    #[error("{what}\nNext: {next}")]
    Refused { what: String, next: String },
    #[error("{what}\n{}\nNext: {next}", log.join("\n"))]
    Failed {
        what: String,
        next: String,
        log: Vec<String>,
    },
}

/// Whether the agent of this host answers.
pub(crate) fn greeted() -> Result<(), LocalError> {
    Client::connect().map(drop)
}
