//! `longshore preview up|list|renew|down ENV`: branches beside the others, each for a while.

mod end;
mod list;
mod up;

use clap::{Args, Subcommand};
use longshore_shared::span::Span;

use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;

/// Give a branch an instance of its own, beside the others and for a while
///
/// A preview runs one branch under its own name (my-branch.dev.example.com), as its own user, with its
/// app's settings and its own over them, and with what [preview] of the app file makes for it, such as a
/// database. It lives on the app's first host, within the bounds that the inventory sets, and is taken
/// away when its time has come.
#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    #[command(subcommand)]
    pub(crate) what: PreviewVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PreviewVerb {
    Up(up::UpArgs),
    List(list::ListArgs),
    Renew(end::RenewArgs),
    Down(end::DownArgs),
}

impl PreviewVerb {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            PreviewVerb::Up(_) => up::VERB,
            PreviewVerb::List(_) => list::VERB,
            PreviewVerb::Renew(_) => end::RENEW,
            PreviewVerb::Down(_) => end::DOWN,
        }
    }
}

pub(crate) async fn run(args: &PreviewArgs, context: &Context) -> Result<Exit, CommandError> {
    match &args.what {
        PreviewVerb::Up(args) => up::run(args, context).await,
        PreviewVerb::List(args) => list::run(args, context).await,
        PreviewVerb::Renew(args) => end::renew(args, context).await,
        PreviewVerb::Down(args) => end::down(args, context).await,
    }
}

fn span(text: &str) -> Result<Span, String> {
    let span = Span::try_from(text.to_owned()).map_err(|error| error.to_string())?;
    match span.duration().as_secs() {
        0 => Err("a preview has to be there for a while: write such as 7d".to_owned()),
        _ => Ok(span),
    }
}
