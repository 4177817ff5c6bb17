//! Stories told on real hosts. They need root, and run only where `LONGSHORE_LAB_E2E=1` says that
//! hosts may be booted: `cargo lab test e2e [NAME]`. Everywhere else they are listed as ignored.

mod agent;
mod ambush;
mod answers;
mod backups;
mod bare;
mod bootstrap_faults;
mod branches;
mod broken_releases;
mod calls;
mod daily;
mod deployments;
mod dist;
mod drift;
mod firewall;
mod first_steps;
mod guides;
mod hostile_controller;
mod hostile_steps;
mod hosts;
mod killed_agent;
mod large;
mod line;
mod load;
mod logins;
mod migrations;
mod outages;
mod patience;
mod people;
mod power_cut;
mod preview_databases;
mod preview_faults;
mod previews;
mod processes;
mod pushes;
mod refusals;
mod rights;
mod sealed_faults;
mod secrets;
mod settings;
mod settings_and_code;
mod sites;
mod stage;
mod terminal;
mod tls;
mod told;
mod two_apps;
mod week;
mod wire;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use longshore_lab::gates::MAY_BOOT_HOSTS;
use longshore_lab::{privilege, say};
use told::Story;

/// Every story; a new file adds its own here.
const STORIES: &[&[Story]] = &[
    // The longest first: the last ones would otherwise be waited for alone.
    drift::STORIES,
    week::STORIES,
    guides::STORIES,
    hosts::STORIES,
    load::STORIES,
    deployments::STORIES,
    broken_releases::STORIES,
    outages::STORIES,
    killed_agent::STORIES,
    refusals::STORIES,
    rights::STORIES,
    power_cut::STORIES,
    hostile_steps::STORIES,
    hostile_controller::STORIES,
    two_apps::STORIES,
    settings::STORIES,
    daily::STORIES,
    branches::STORIES,
    migrations::STORIES,
    previews::STORIES,
    preview_faults::STORIES,
    preview_databases::STORIES,
    processes::STORIES,
    sites::STORIES,
    backups::STORIES,
    settings_and_code::STORIES,
    sealed_faults::STORIES,
    agent::STORIES,
    dist::STORIES,
    first_steps::STORIES,
    large::STORIES,
    pushes::STORIES,
    bare::STORIES,
    firewall::STORIES,
    people::STORIES,
    bootstrap_faults::STORIES,
    tls::STORIES,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let allowed = std::env::var(MAY_BOOT_HOSTS).is_ok_and(|value| value == "1");
    let may_run = allowed && privilege::is_root();
    // A story waits for hosts most of the time, so more of them run than there are processors; and while
    // one waits for several hosts at once, others have those that are free.
    arguments.test_threads = arguments.test_threads.or(Some(stage::HOSTS + 2));
    let trials: Vec<Trial> = STORIES
        .iter()
        .flat_map(|file| file.iter())
        .map(|story| {
            let (name, tell) = (story.name, story.tell);
            Trial::test(name, move || told::run(name, tell)).with_ignored_flag(!may_run)
        })
        .collect();
    let count = trials.len();
    let filter = arguments.filter.clone();
    let conclusion = libtest_mimic::run(&arguments, trials);
    stage::strike();
    if let Some(filter) = filter.filter(|_| conclusion.num_passed + conclusion.num_failed == 0)
        && may_run
        && !arguments.list
    {
        say::line(&format!(
            "no story has {filter:?} in its name; `--list` lists them"
        ));
        return ExitCode::FAILURE;
    }
    if !may_run && !arguments.list {
        say::line(&format!(
            "left out: {count} end-to-end stories. They boot hosts, which needs root and \
             {MAY_BOOT_HOSTS}=1; `cargo lab test e2e` runs them"
        ));
    }
    conclusion.exit_code()
}
