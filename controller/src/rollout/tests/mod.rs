//! Rollouts over real SSH sessions on loopback, to agents that the tests play.

mod agent;

use std::sync::{Arc, Mutex};

use longshore_shared::name::{EnvironmentName, HostName};
use longshore_shared::wire::latest::PreviewWish;
use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use semver::Version;
use tokio::sync::watch;

use super::*;
use crate::event::{HostEvent, Report};
use crate::exit_code::Exit;
use crate::inventory::Host;
use crate::ssh::test_server::{Plays, Server, new_key};
use crate::ssh::{Keyring, NobodyToAsk, Surroundings};
use agent::{PlayedAgent, Trouble};

#[derive(Default)]
struct Heard(Mutex<Vec<RunEvent>>);

impl Report for Heard {
    fn event(&self, event: RunEvent) {
        self.0.lock().unwrap().push(event);
    }
}

struct Fleet {
    _folder: tempfile::TempDir,
    around: Surroundings,
    hosts: Vec<Host>,
    agents: Vec<Arc<PlayedAgent>>,
    heard: Arc<Heard>,
}

impl Fleet {
    async fn with(troubles: &[Trouble]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = new_key();
        let around = surroundings(&folder, &key);
        let mut hosts = Vec::new();
        let mut agents = Vec::new();
        for (index, trouble) in troubles.iter().enumerate() {
            let name = HostName::new(format!("web-{}", index + 1)).unwrap();
            let agent = PlayedAgent::new(&name, *trouble);
            let played = Arc::clone(&agent);
            let play = move |stream| -> crate::ssh::test_server::Playing {
                Box::pin(Arc::clone(&played).play(stream))
            };
            let server = Server::start(&key, Plays::Agent(Arc::new(play))).await;
            hosts.push(Host {
                name,
                address: server.address.to_string().parse().unwrap(),
                user: Some("deploy".into()),
                roles: vec![],
                host_keys: vec![server.host_key],
            });
            agents.push(agent);
        }
        Fleet {
            _folder: folder,
            around,
            hosts,
            agents,
            heard: Arc::default(),
        }
    }

    fn job(&self, goal: Goal) -> Job {
        let environment = EnvironmentName::new("staging").unwrap();
        Job {
            verb: "deploy",
            plan: Plan {
                environment: environment.clone(),
                app: "cortico".parse().unwrap(),
                preview: None,
                domain: None,
                hosts: self.hosts.clone(),
                first: self.hosts[0].name.clone(),
            },
            goal,
            skip_offline: false,
            past_migrations: false,
            reach: Reach {
                around: Arc::new(self.around.clone()),
                keyring: Arc::new(Keyring::new(Arc::new(NobodyToAsk))),
                report: self.heard.clone(),
                environment,
            },
            interrupts: Interrupts::never(),
        }
    }

    async fn deploy(&self) -> RunEnd {
        roll_out(self.job(Goal::Kept(Version::new(2, 0, 0)))).await
    }

    fn live(&self) -> Vec<String> {
        let live =
            |agent: &Arc<PlayedAgent>| agent.live.lock().unwrap().clone().unwrap().to_string();
        self.agents.iter().map(live).collect()
    }

    fn orders(&self, index: usize) -> Vec<&'static str> {
        self.agents[index].orders.lock().unwrap().clone()
    }

    /// Nobody listens where the last host is said to be.
    async fn last_is_down(&mut self) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let last = self.hosts.last_mut().unwrap();
        last.address = last.address.clone().with_port(port);
    }
}

fn surroundings(folder: &tempfile::TempDir, key: &PrivateKey) -> Surroundings {
    let text = key.to_openssh(LineEnding::LF).unwrap();
    let id = folder.path().join("id");
    std::fs::write(&id, text.as_bytes()).unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, format!("IdentityFile {}\n", id.display())).unwrap();
    Surroundings {
        home: folder.path().to_owned(),
        config,
        local_user: None,
        forced_user: None,
        agent_socket: None,
    }
}

fn serving(major: u64) -> Serving {
    Serving::Version(Version::new(major, 0, 0))
}

fn outcomes(end: &RunEnd) -> Vec<Outcome> {
    end.hosts.iter().map(|host| host.outcome).collect()
}

use Outcome::*;

#[tokio::test(flavor = "multi_thread")]
async fn all_hosts_switch_and_the_first_one_migrates() {
    let fleet = Fleet::with(&[Trouble::None; 3]).await;
    let end = fleet.deploy().await;
    assert_eq!((end.exit, outcomes(&end)), (Exit::Done, vec![Switched; 3]));
    assert_eq!(fleet.live(), ["2.0.0"; 3]);
    assert_eq!(fleet.orders(0), ["lock", "preflight", "migrate", "switch"]);
    assert_eq!(fleet.orders(1), ["lock", "preflight", "switch"]);
    assert_eq!(end.hosts[0].before, serving(1));
    let again = fleet.deploy().await;
    assert_eq!(
        (again.exit, outcomes(&again)),
        (Exit::Done, vec![Unchanged; 3])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_new_preview_that_fails_nothing_is_left() {
    for (trouble, exit, orders) in [
        (Trouble::None, Exit::Done, &["migrate", "switch"][..]),
        (Trouble::PreviewIsNotMade, Exit::Failed, &["drop preview"]),
        (Trouble::PreviewWasThere, Exit::Failed, &[]),
    ] {
        let fleet = Fleet::with(&[trouble]).await;
        let mut job = fleet.job(Goal::Kept(Version::new(2, 0, 0)));
        job.plan.app = "cortico--login".parse().unwrap();
        job.plan.preview = Some(PreviewWish {
            git_ref: Some("login".to_owned()),
            seconds: None,
        });
        assert_eq!(roll_out(job).await.exit, exit, "{trouble:?}");
        let mut all = vec!["lock", "preflight", "keep preview", "make preview"];
        all.extend(orders);
        assert_eq!(fleet.orders(0), all, "{trouble:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_host_fails_the_others_go_back() {
    let fleet = Fleet::with(&[Trouble::None, Trouble::SwitchFails, Trouble::None]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Failed, vec![Reverted, Failed, Reverted])
    );
    assert_eq!(fleet.live(), ["1.0.0"; 3]);
    let failure = end.hosts[1].failure.as_ref().unwrap();
    assert_eq!(failure.log, ["ImportError"]);
    assert_eq!(end.hosts[1].serves, serving(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_refuses_to_switch_sends_the_others_back_too() {
    let fleet = Fleet::with(&[Trouble::None, Trouble::SwitchRefused]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Failed, vec![Reverted, Refused])
    );
    assert_eq!(fleet.live(), ["1.0.0"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_go_back_makes_the_fleet_mixed_and_says_so() {
    let fleet = Fleet::with(&[Trouble::ReturnFails, Trouble::SwitchFails]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Mixed, vec![Switched, Failed])
    );
    assert_eq!(end.hosts[0].serves, serving(2));
    assert!(end.hosts[0].failure.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_stops_the_rollout_and_all_others_are_still_asked() {
    let mut fleet = Fleet::with(&[Trouble::None, Trouble::NoRoom, Trouble::None]).await;
    fleet.last_is_down().await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Refused, vec![Skipped, Refused, Unreachable])
    );
    assert_eq!(fleet.orders(0), ["lock", "preflight"]);
    assert_eq!(fleet.live(), ["1.0.0"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_offline_goes_on_with_those_that_answer() {
    let mut fleet = Fleet::with(&[Trouble::None, Trouble::None]).await;
    fleet.last_is_down().await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Failed, vec![Skipped, Unreachable])
    );
    let mut job = fleet.job(Goal::Kept(Version::new(2, 0, 0)));
    job.skip_offline = true;
    let end = roll_out(job).await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Done, vec![Switched, Skipped])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_what_it_should_be_is_never_left_out() {
    let fleet = Fleet::with(&[Trouble::None, Trouble::OtherEnvironment]).await;
    let mut job = fleet.job(Goal::Kept(Version::new(2, 0, 0)));
    job.skip_offline = true;
    let end = roll_out(job).await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Refused, vec![Skipped, Refused])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_before_traffic_moves_is_no_mixed_fleet() {
    for (skip_offline, broken, outcomes_then, exit) in [
        (
            false,
            Trouble::LineBreaksInPreflight,
            [Skipped, Unreachable],
            Exit::Failed,
        ),
        (
            true,
            Trouble::LineBreaksInPreflight,
            [Switched, Skipped],
            Exit::Done,
        ),
        // Whether it has migrated is not known: nobody may go on.
        (
            true,
            Trouble::LineBreaksInMigration,
            [Failed, Skipped],
            Exit::Failed,
        ),
    ] {
        let troubles = if broken == Trouble::LineBreaksInMigration {
            [broken, Trouble::None]
        } else {
            [Trouble::None, broken]
        };
        let fleet = Fleet::with(&troubles).await;
        let mut job = fleet.job(Goal::Kept(Version::new(2, 0, 0)));
        job.skip_offline = skip_offline;
        let end = roll_out(job).await;
        assert_eq!((end.exit, outcomes(&end)), (exit, outcomes_then.to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_of_every_host_is_told_before_anything_changes() {
    let fleet = Fleet::with(&[Trouble::NoRoom, Trouble::None, Trouble::NoRoom]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Refused, vec![Refused, Skipped, Refused])
    );
    let told = fleet
        .heard
        .0
        .lock()
        .unwrap()
        .iter()
        .filter(|event| {
            matches!(
                event,
                RunEvent::Host {
                    what: HostEvent::Problem(_),
                    ..
                }
            )
        })
        .count();
    assert_eq!(told, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_and_a_foreign_host_refuse() {
    let fleet = Fleet::with(&[Trouble::LockHeld, Trouble::None]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Refused, vec![Refused, Skipped])
    );
    // Who else begins now must find the other hosts free.
    assert_eq!(fleet.orders(1), ["preflight"]);
    let fleet = Fleet::with(&[Trouble::OtherEnvironment, Trouble::None]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Refused, vec![Refused, Skipped])
    );
    assert!(fleet.orders(0).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_moves_no_traffic() {
    let fleet = Fleet::with(&[Trouble::MigrationFails, Trouble::None]).await;
    let end = fleet.deploy().await;
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Failed, vec![Failed, Skipped])
    );
    assert_eq!(fleet.live(), ["1.0.0"; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_breaks_in_the_switch_is_made_anew_and_the_end_is_heard() {
    let fleet = Fleet::with(&[Trouble::None, Trouble::LineBreaks]).await;
    let end = fleet.deploy().await;
    assert_eq!((end.exit, outcomes(&end)), (Exit::Done, vec![Switched; 2]));
    assert!(fleet.orders(1).ends_with(&["switch", "attach"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_where_each_host_came_from_and_migrates_nothing() {
    let fleet = Fleet::with(&[Trouble::None; 2]).await;
    let end = roll_out(fleet.job(Goal::Back {
        to: None,
        with_settings: false,
        even_revoked: false,
    }))
    .await;
    assert_eq!((end.exit, outcomes(&end)), (Exit::Done, vec![Switched; 2]));
    assert_eq!(end.version, Some(Version::new(0, 9, 0)));
    assert_eq!(fleet.orders(0), ["lock", "status", "preflight", "switch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_undoes_the_step_in_hand_on_all_hosts() {
    let fleet = Fleet::with(&[Trouble::None, Trouble::SwitchHangs]).await;
    let (press, pressed) = watch::channel(0);
    let mut job = fleet.job(Goal::Kept(Version::new(2, 0, 0)));
    job.interrupts = Interrupts::of(pressed);
    let running = tokio::spawn(roll_out(job));
    for _ in 0..1000 {
        if fleet.orders(1).last() == Some(&"switch") && fleet.live()[0] == "2.0.0" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    press.send_replace(1);
    let end = running.await.unwrap();
    assert_eq!(
        (end.exit, outcomes(&end)),
        (Exit::Interrupted, vec![Reverted, Failed])
    );
    assert_eq!(fleet.live(), ["1.0.0"; 2]);
}
