//! `longshore bump`: the next release's changelog, commit and tag.

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;

use crate::build::Repository;
use crate::context::Context;
use crate::error::{CommandError, ErrorKind};
use crate::exit_code::Exit;
use crate::report::result_line;
use crate::versions::{Asked, Effect, Plan};

/// Make the next release: a section of CHANGELOG.md, its commit and an annotated tag
///
/// Shows everything first and asks. The section tells of the commits since the last tag, as Added,
/// Changed and Fixed; it goes above the older ones, and the rest of the file stays as it is. The tag
/// is signed where git is set up to (tag.gpgSign). Nothing is pushed without --push; then the branch
/// and the tag are, both or neither. If a step fails, those before it are taken back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore bump                  as the commits say: see `longshore next-version`
  longshore bump major --push
  longshore bump patch --yes      for scripts")]
pub(crate) struct BumpArgs {
    /// Which number rises; auto takes what the commits say
    #[arg(value_enum, default_value_t = Kind::Auto, value_name = "KIND")]
    pub(crate) kind: Kind,

    /// Push the branch and the tag to the branch's remote
    #[arg(long)]
    pub(crate) push: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Major,
    Minor,
    Patch,
    Auto,
}

impl Kind {
    fn effect(self) -> Option<Effect> {
        match self {
            Kind::Major => Some(Effect::Major),
            Kind::Minor => Some(Effect::Minor),
            Kind::Patch => Some(Effect::Patch),
            Kind::Auto => None,
        }
    }

    /// The command that asks nothing.
    fn typed(self, push: bool) -> String {
        let kind = self.to_possible_value();
        let kind = kind.as_ref().map_or("auto", |kind| kind.get_name());
        let push = if push { " --push" } else { "" };
        format!("longshore bump {kind}{push} --yes")
    }
}

pub(crate) fn run(args: &BumpArgs, context: &Context) -> Result<Exit, CommandError> {
    let now = Timestamp::now().to_string();
    let date = now.split('T').next().unwrap_or_default();
    let asked = Asked {
        effect: args.kind.effect(),
        push: args.push,
        date,
    };
    let plan = Plan::new(Repository::find(&context.folder()?)?, &asked)?;
    for line in plan.lines() {
        context.ui.answer(&line);
    }
    if !context.global.yes {
        if !context.ui.can_ask() {
            return Err(
                CommandError::usage("nothing was changed: there is no terminal to ask at").hint(
                    format!(
                        "To do it without a question: {}",
                        args.kind.typed(args.push)
                    ),
                ),
            );
        }
        if !context.ui.confirm("Make this release?") {
            return Err(CommandError::new(
                ErrorKind::Refused,
                "nothing was changed, as you said",
            ));
        }
    }
    plan.carry_out()?;
    let tag = plan.tag();
    context.ui.answer(&if args.push {
        format!("{tag} is made and pushed.")
    } else {
        format!("{tag} is made. To push it: git push --follow-tags")
    });
    let rest = Rest {
        version: plan.version.to_string(),
        tag: &tag,
        last_tag: plan.last_tag.as_deref(),
        branch: &plan.branch,
        changelog: plan.file_name(),
        pushed: args.push,
    };
    context.ui.machine(&result_line("bump", Exit::Done, rest));
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Rest<'a> {
    version: String,
    tag: &'a str,
    last_tag: Option<&'a str>,
    branch: &'a str,
    changelog: String,
    pushed: bool,
}
