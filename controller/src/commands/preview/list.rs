//! `longshore preview list ENV`: which previews there are, and until when.

use clap::Args;
use longshore_shared::wire::latest::AppStatus;

use crate::commands::asking::{self, Answer};
use crate::commands::host_args::HostArgs;
use crate::commands::status::remark;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::report::columns;
use crate::terminal_text::one_line;

pub(super) const VERB: &str = "preview list";

/// List the previews of an environment, whose they are and until when
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  longshore preview list dev
  longshore preview list dev --json")]
pub(crate) struct ListArgs {
    /// The environment, as the inventory calls it
    #[arg(value_name = "ENV")]
    environment: String,

    #[command(flatten)]
    hosts: HostArgs,
}

pub(super) async fn run(args: &ListArgs, context: &Context) -> Result<Exit, CommandError> {
    let inventory = context.inventory()?;
    let environment = inventory.environment(&args.environment)?;
    let mut answers = asking::ask(environment, &args.hosts, context).await?;
    for said in answers.hosts.iter_mut().flat_map(|answer| &mut answer.said) {
        said.apps.retain(|app| app.preview.is_some());
    }
    let header = [
        "NAME", "APP", "BRANCH", "WHERE", "VERSION", "HEALTH", "BY", "UNTIL", "HOST",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut remarks = Vec::new();
    for answer in &answers.hosts {
        for app in answer.said.iter().flat_map(|said| &said.apps) {
            rows.extend(row(answer, app));
            remarks.extend(remark(answer.host.as_str(), app));
        }
    }
    if rows.len() == 1 && answers.exit == Exit::Done {
        let name = &environment.name;
        context.ui.answer(&format!(
            "{name} has no preview. Make one: longshore preview up {name} --ref my-branch"
        ));
        rows.clear();
    }
    for line in columns(&rows).iter().chain(&remarks) {
        context.ui.answer(&one_line(line));
    }
    answers.say_failures(context);
    context.ui.machine(&answers.result_line(VERB));
    Ok(answers.exit)
}

fn row(answer: &Answer, app: &AppStatus) -> Option<Vec<String>> {
    let preview = app.preview.as_ref()?;
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let health = match app.healthy {
        Some(true) => "healthy",
        Some(false) => "NOT HEALTHY",
        None => "-",
    };
    Some(vec![
        app.app.preview()?.to_string(),
        app.app.app().to_string(),
        preview.git_ref.clone(),
        or_dash(preview.url.clone()),
        or_dash(app.version.as_ref().map(ToString::to_string)),
        health.to_owned(),
        preview.who.clone(),
        preview.until.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        answer.host.to_string(),
    ])
}
