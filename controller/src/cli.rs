//! The command line as a tree of types, and the way from arguments to an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::commands;
use crate::completions;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit_code::Exit;
use crate::global_args::GlobalArgs;
use crate::report::error_line;
use crate::ui::{self, Ui};

/// Ships signed releases to plain servers over SSH.
///
/// Longshore pushes a signed tarball to an agent on each host, starts the new release beside the
/// old one, and moves traffic when it is healthy. Nothing but SSH is opened.
#[derive(Debug, Parser)]
#[command(
    name = "longshore",
    version,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "\
Exit codes:
  0    done (with --skip-offline: on every host that could be reached)
  1    failed, and every host serves what it served before
  2    usage or configuration; nothing was connected
  3    failed, and the fleet is mixed: the output says which host serves what
  4    refused: preflight, lock, signature, policy
  130  interrupted; how to go on is printed

Examples:
  longshore init
  longshore bootstrap staging
  longshore next-version
  longshore build
  longshore deploy staging --release dist/cortico-1.4.0.tar.gz
  longshore status production
  longshore rollback production"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// Print the version; `longshore version` says more
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "Options")]
    version: (),
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(commands::init::InitArgs),
    Inventory(commands::inventory::InventoryArgs),
    NextVersion(commands::next_version::NextVersionArgs),
    Bump(commands::bump::BumpArgs),
    #[command(alias = "setup")]
    Bootstrap(commands::bootstrap::BootstrapArgs),
    Build(commands::build::BuildArgs),
    Deploy(commands::deploy::DeployArgs),
    Stage(commands::stage::StageArgs),
    Rollback(commands::rollback::RollbackArgs),
    Return(commands::return_to_branch::ReturnArgs),
    Preview(commands::preview::PreviewArgs),
    Restart(commands::restart::RestartArgs),
    Maintenance(commands::maintenance::MaintenanceArgs),
    Settings(commands::settings::SettingsArgs),
    Status(commands::status::StatusArgs),
    Releases(commands::releases::ReleasesArgs),
    Logs(commands::logs::LogsArgs),
    Sync(commands::sync::SyncArgs),
    Ssh(commands::ssh::SshArgs),
    Open(commands::open::OpenArgs),
    Config(commands::config::ConfigArgs),
    Exec(commands::exec::ExecArgs),
    Run(commands::run::RunArgs),
    Verify(commands::verify::VerifyArgs),
    Signers(commands::signers::SignersArgs),
    Version(commands::version::VersionArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::completions::ManArgs),
}

impl Verb {
    fn name(&self) -> &'static str {
        match self {
            Verb::Init(_) => "init",
            Verb::Inventory(_) => "inventory import",
            Verb::NextVersion(_) => "next-version",
            Verb::Bump(_) => "bump",
            Verb::Bootstrap(_) => "bootstrap",
            Verb::Build(_) => "build",
            Verb::Deploy(_) => "deploy",
            Verb::Stage(_) => "stage",
            Verb::Rollback(_) => "rollback",
            Verb::Return(_) => "return",
            Verb::Preview(args) => args.what.name(),
            Verb::Restart(_) => "restart",
            Verb::Maintenance(_) => "maintenance",
            Verb::Settings(args) => args.what.name(),
            Verb::Status(_) => "status",
            Verb::Releases(_) => "releases",
            Verb::Logs(_) => "logs",
            Verb::Sync(_) => "sync",
            Verb::Ssh(_) => "ssh",
            Verb::Open(_) => "open",
            Verb::Config(_) => "config",
            Verb::Exec(_) => "exec",
            Verb::Run(_) => "run",
            Verb::Verify(_) => "verify",
            Verb::Signers(_) => "signers",
            Verb::Version(_) => "version",
            Verb::Completions(_) => "completions",
            Verb::Man(_) => "man",
        }
    }
}

/// Runs the program: arguments in, exit code out.
pub fn main_impl() -> ExitCode {
    completions::answer(Cli::command);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return words_that_make_no_sense(&error).into(),
    };
    start_logging(cli.global.verbose);
    let context = Context::new(Arc::new(Ui::new(cli.global.json)), cli.global);
    let verb = cli.verb.name();
    let exit = match run(cli.verb, &context) {
        Ok(exit) => exit,
        Err(error) => {
            context.ui.error(&error);
            context.ui.machine(&error_line(verb, &error));
            error.kind().exit()
        }
    };
    exit.into()
}

/// Help, or what is wrong with what was typed; scripts that asked for JSON get their last line.
fn words_that_make_no_sense(error: &clap::Error) -> Exit {
    let exit = ui::clap_message(error);
    if exit == Exit::Usage && std::env::args_os().any(|word| word == "--json") {
        let message = error.to_string();
        let first = message.lines().next().unwrap_or_default();
        let first = first.trim_start_matches("error: ");
        Ui::new(true).machine(&error_line("", &CommandError::usage(first)));
    }
    exit
}

fn run(verb: Verb, context: &Context) -> Result<Exit, CommandError> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        CommandError::failed("cannot start the threads that talk to hosts").caused_by(error)
    })?;
    let exit = match verb {
        Verb::Init(args) => commands::init::run(&args, context),
        Verb::Inventory(args) => commands::inventory::run(&args, context),
        Verb::NextVersion(args) => commands::next_version::run(&args, context),
        Verb::Bump(args) => commands::bump::run(&args, context),
        Verb::Bootstrap(args) => runtime.block_on(commands::bootstrap::run(&args, context)),
        Verb::Build(args) => commands::build::run(&args, context),
        Verb::Deploy(args) => runtime.block_on(commands::deploy::run(&args, context)),
        Verb::Stage(args) => runtime.block_on(commands::stage::run(&args, context)),
        Verb::Return(args) => runtime.block_on(commands::return_to_branch::run(&args, context)),
        Verb::Rollback(args) => runtime.block_on(commands::rollback::run(&args, context)),
        Verb::Settings(args) => runtime.block_on(commands::settings::run(&args, context)),
        Verb::Preview(args) => runtime.block_on(commands::preview::run(&args, context)),
        Verb::Restart(args) => runtime.block_on(commands::restart::run(&args, context)),
        Verb::Maintenance(args) => runtime.block_on(commands::maintenance::run(&args, context)),
        Verb::Status(args) => runtime.block_on(commands::status::run(&args, context)),
        Verb::Logs(args) => runtime.block_on(commands::logs::run(&args, context)),
        Verb::Releases(args) => runtime.block_on(commands::releases::run(&args, context)),
        Verb::Run(args) => runtime.block_on(commands::run::run(&args, context)),
        Verb::Exec(args) => runtime.block_on(commands::exec::run(&args, context)),
        Verb::Open(args) => commands::open::run(&args, context),
        Verb::Config(args) => commands::config::run(&args, context),
        Verb::Ssh(args) => runtime.block_on(commands::ssh::run(&args, context)),
        Verb::Sync(args) => runtime.block_on(commands::sync::run(&args, context)),
        Verb::Verify(args) => commands::verify::run(&args, context),
        Verb::Signers(args) => runtime.block_on(commands::signers::run(&args, context)),
        Verb::Version(args) => commands::version::run(&args, context),
        Verb::Completions(args) => commands::completions::completions(&args, context),
        Verb::Man(args) => commands::completions::man(&args, Cli::command()),
    };
    // A name lookup that never answers must not hold up the end of the program.
    runtime.shutdown_background();
    exit
}

fn start_logging(verbose: u8) {
    let default = match verbose {
        0 => "error,russh=off",
        1 => "longshore=debug,russh=off",
        _ => "longshore=trace,russh=debug",
    };
    let filter =
        EnvFilter::try_from_env("LONGSHORE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // A second start in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_may_follow_the_verb() {
        let cli = Cli::try_parse_from([
            "longshore",
            "status",
            "staging",
            "--json",
            "--on",
            "@web",
            "--on",
            "db-*",
            "-v",
        ])
        .unwrap();
        assert!(cli.global.json);
        assert_eq!(cli.global.verbose, 1);
        let Verb::Status(status) = cli.verb else {
            panic!("not status")
        };
        assert_eq!(status.hosts.on, ["@web", "db-*"]);
    }

    #[test]
    fn usage_errors_are_exit_2_and_help_is_exit_0() {
        let code = |words: &[&str]| Cli::try_parse_from(words).unwrap_err().exit_code();
        assert_eq!(code(&["longshore", "deploy"]), 2);
        assert_eq!(code(&["longshore", "deplyo", "x"]), 2);
        assert_eq!(
            code(&[
                "longshore",
                "deploy",
                "x",
                "--ref",
                "a",
                "--version",
                "1.0.0"
            ]),
            2
        );
        assert_eq!(code(&["longshore", "deploy", "-h"]), 0);
    }
}
