//! `longshore next-version`: what the next build would be called, and why.

use clap::Args;
use serde::Serialize;

use crate::build::Repository;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::result_line;
use crate::versions::{self, Ask};

/// Say what the next build would be called, and why
///
/// On a commit with a tag such as v1.4.0, that is 1.4.0. Elsewhere the last tag and the commits since
/// decide, by Conventional Commits: `feat:` makes a minor version, `!` or a `BREAKING CHANGE:` footer
/// a major one (a minor one before 1.0.0), anything else a patch; without any tag, 0.1.0. The build
/// comes before that release: 1.5.0-feature-login.7+g1a2b3c4 is the 7th commit since the tag, on
/// branch feature/login. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "\
Later builds of a branch have higher versions, by semver's precedence, until the next tag. What comes
after `+` does not count there: two builds of a branch that was rebased to another commit at the same
count are equals. So deploy tagged versions to environments that only go forward.

The branch is that of --ref, else the one checked out, else what CI says (GITHUB_HEAD_REF,
GITHUB_REF_NAME, CI_COMMIT_REF_NAME, BUILDKITE_BRANCH and others), else the only one that holds the
commit, else `detached`. After a tag such as v1.5.0-rc.1, builds are named to come after it.

Examples:
  longshore next-version
  longshore next-version --ref feature/login
  longshore next-version --json | jq -r .version")]
pub(crate) struct NextVersionArgs {
    /// The commit, branch or tag; else HEAD
    #[arg(long = "ref", value_name = "REF")]
    pub(crate) git_ref: Option<String>,
}

pub(crate) fn run(args: &NextVersionArgs, context: &Context) -> Result<Exit, CommandError> {
    let repository = Repository::find(&context.folder()?)?;
    let commit = repository.resolve(args.git_ref.as_deref().unwrap_or("HEAD"))?;
    let ask = Ask {
        commit: &commit,
        git_ref: args.git_ref.as_deref(),
        dirty: false,
    };
    let next = versions::next(&repository, &ask)?;
    context.ui.answer(&next.version.to_string());
    for reason in &next.reasons {
        context.ui.answer(&format!("  {reason}"));
    }
    if args.git_ref.is_none() && !repository.differences()?.is_empty() {
        context.ui.note("The working tree differs from this commit: commit first, or build with --allow-dirty, which marks the version as dirty.");
    }
    let rest = Rest {
        version: next.version.to_string(),
        reason: next.reasons.join(" "),
        tag: next.tag.as_deref(),
        last_tag: next.last_tag.as_deref(),
        commits: next.commits,
        branch: next.branch.as_ref().map(|branch| branch.name.as_str()),
        commit: &commit.hash,
    };
    let line = result_line("next-version", Exit::Done, rest);
    context.ui.machine(&line);
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Rest<'a> {
    version: String,
    reason: String,
    tag: Option<&'a str>,
    last_tag: Option<&'a str>,
    commits: u64,
    branch: Option<&'a str>,
    commit: &'a str,
}
