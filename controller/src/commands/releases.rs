//! `longshore releases ENV`: which releases the hosts keep.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use clap::Args;
use longshore_shared::instance::Instance;
use longshore_shared::wire::latest::{ReleaseState, ReleaseStatus};
use semver::Version;

use super::asking::{self, Answers};
use super::host_args::HostArgs;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::{bytes, columns};
use crate::terminal_text::one_line;

/// List the releases that hosts keep, and which one serves
///
/// Any good one of them can be gone back to with `longshore rollback ENV VERSION`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore releases production
  longshore releases production --app cortico --json")]
pub(crate) struct ReleasesArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    pub(crate) environment: String,

    #[command(flatten)]
    pub(crate) hosts: HostArgs,
}

pub(crate) async fn run(args: &ReleasesArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let answers = asking::ask(environment, &args.hosts, context).await?;
    let header = [
        "APP", "VERSION", "COMMIT", "STAGED", "SIZE", "SIGNER", "HOSTS",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for ((app, version), kept) in collect(&answers) {
        let release = kept.release;
        rows.push(vec![
            app.to_string(),
            version.to_string(),
            release.commit.chars().take(12).collect(),
            release.staged.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            bytes(release.bytes),
            release.signer.clone(),
            kept.places.join(", "),
        ]);
    }
    if rows.len() == 1 && answers.exit == Exit::Done {
        context.ui.answer("No host keeps a release yet.");
        rows.clear();
    }
    for line in columns(&rows) {
        context.ui.answer(&one_line(&line));
    }
    answers.say_failures(context);
    context.ui.machine(&answers.result_line("releases"));
    Ok(answers.exit)
}

/// One release, and on which hosts it is what.
struct Kept<'a> {
    release: &'a ReleaseStatus,
    places: Vec<String>,
}

/// Releases by app and version, the newest version first.
fn collect(answers: &Answers) -> Vec<((&Instance, &Version), Kept<'_>)> {
    // The same version of another commit is another release, and one that was signed again on some
    // hosts only has two who stand for it.
    let mut all: BTreeMap<(&Instance, Reverse<&Version>, &str, &str), Kept<'_>> = BTreeMap::new();
    for answer in &answers.hosts {
        for app in answer.said.iter().flat_map(|said| &said.apps) {
            for release in &app.releases {
                let kept = all
                    .entry((
                        &app.app,
                        Reverse(&release.version),
                        &release.commit,
                        &release.signer,
                    ))
                    .or_insert(Kept {
                        release,
                        places: Vec::new(),
                    });
                kept.places
                    .push(format!("{} ({})", answer.host, word(release.state)));
            }
        }
    }
    all.into_iter()
        .map(|((app, Reverse(version), _, _), kept)| ((app, version), kept))
        .collect()
}

fn word(state: ReleaseState) -> &'static str {
    match state {
        ReleaseState::Live => "live",
        ReleaseState::Warm => "warm",
        ReleaseState::Good => "good",
        ReleaseState::Bad => "bad",
        ReleaseState::Staged => "staged",
        ReleaseState::Unknown => "?",
    }
}
