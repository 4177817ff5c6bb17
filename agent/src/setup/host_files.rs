//! What the agent reads: who the host is, and whom it trusts.

use longshore_shared::name::AppName;
use longshore_shared::setup::{DEPLOY_GROUP, Desired, OnLeave, PreviewRules, SetupFailure};
use longshore_shared::trust_file::{TrustFile, TrustRules};

use super::certificates;
use super::files::{self, Wanted};
use super::plan::{Planned, failed};
use crate::host::Host;
use crate::layout::{APPS, AppLayout, CONFIG, ETC, SETTINGS, STATE, TRUST};
use crate::trust;

pub(super) fn plan(desired: &Desired, planned: &mut Planned) -> Result<(), SetupFailure> {
    for (path, mode) in [
        (ETC, 0o755),
        (SETTINGS, 0o755),
        (APPS, 0o755),
        (STATE, 0o700),
    ] {
        files::plan_folder(planned, path, mode);
    }
    for app in serving() {
        if !desired.apps.contains_key(&app) {
            planned.lack(format!(
                "{app} serves here, and is not in the inventory: nothing tells of it any more, and nobody can deploy it. Put it back under its name; or take it off on the host: `systemctl disable --now 'longshore-{app}@*'`, then remove its site from nginx and {APPS}/{app}"
            ));
        }
    }
    let text = host_toml(desired);
    // What the agent could not read would stop every app of the host.
    if let Err(error) = toml::from_str::<Host>(&text) {
        planned.problem(
            format!("{CONFIG} would not be understood: {}", error.message()),
            "correct in the inventory what that names",
        );
        return Ok(());
    }
    files::plan(
        planned,
        Wanted::text(CONFIG, text, None),
        "who the host is, and what may live on it",
    );
    let installed = trust::installed().map_err(failed)?;
    let installed = installed
        .map(|signed| TrustFile::parse(&signed.text).map_err(failed))
        .transpose()?;
    if let Some(brought) = newer(desired, installed.as_ref())? {
        let what = format!(
            "~ whom the host trusts: number {}, as the others do",
            brought.serial
        );
        let signed = desired.signed_trust.clone();
        planned.change(what, move |_| match &signed {
            Some(signed) => trust::install(signed, &brought.rules).map_err(failed),
            None => Ok(()),
        });
        return Ok(());
    }
    match (&installed, &desired.trust) {
        (Some(installed), wanted) if installed.environment != desired.environment => {
            let what = format!(
                "- signers of {}, which this host belonged to",
                installed.environment
            );
            planned.change(what, |_| fs_err::remove_file(TRUST).map_err(failed));
            wanted
                .as_ref()
                .map_or(Ok(()), |wanted| trusted(wanted, planned))
        }
        // From then on only somebody whom the host trusts changes whom it trusts.
        (Some(installed), wanted) => {
            if wanted
                .as_ref()
                .is_some_and(|wanted| *wanted != installed.rules)
            {
                planned.lack(format!(
                    "the signers are not those of the inventory, so whoever was taken out may still release: longshore signers push {}",
                    desired.environment
                ));
            }
            trusted(&installed.rules, planned)
        }
        (None, Some(wanted)) => trusted(wanted, planned),
        (None, None) => {
            planned
                .note("no signers in the inventory ([fleet] signers): the host accepts no release");
            Ok(())
        }
    }
}

/// Apps that serve here, whatever the inventory has.
fn serving() -> Vec<AppName> {
    let folders = fs_err::read_dir(APPS).into_iter().flatten().flatten();
    let names = folders.filter_map(|folder| AppName::new(folder.file_name().to_str()?).ok());
    let mut apps: Vec<AppName> = names
        .filter(|app| AppLayout::new(&app.clone().into()).current().is_symlink())
        .collect();
    apps.sort();
    apps
}

/// What the environment's other hosts trust, where this one is behind them.
fn newer(
    desired: &Desired,
    installed: Option<&TrustFile>,
) -> Result<Option<TrustFile>, SetupFailure> {
    let Some(brought) = &desired.signed_trust else {
        return Ok(None);
    };
    let brought = TrustFile::parse(&brought.text).map_err(failed)?;
    let own = installed.filter(|installed| installed.environment == desired.environment);
    let is_newer = own.is_none_or(|own| own.serial < brought.serial);
    Ok((is_newer && brought.environment == desired.environment).then_some(brought))
}

fn trusted(rules: &TrustRules, planned: &mut Planned) -> Result<(), SetupFailure> {
    for (path, content) in trust::files_of(rules).map_err(failed)? {
        let wanted = Wanted {
            path: path.to_owned(),
            content,
            mode: 0o644,
            load: None,
        };
        files::plan(planned, wanted, "whom the host trusts");
    }
    Ok(())
}

fn host_toml(desired: &Desired) -> String {
    let mut text = format!(
        "# Made by longshore bootstrap: changes are overwritten.\n\
         environment = \"{}\"\nhost = \"{}\"\n\n[access]\ndeploy = [\"@{DEPLOY_GROUP}\"]\n",
        desired.environment, desired.host
    );
    if let Some(overrule) = &desired.overrule {
        text.push_str(&format!("overrule = {overrule:?}\n"));
    }
    if let Some(settings) = &desired.settings_by {
        text.push_str(&format!("settings = {settings:?}\n"));
    }
    for (name, app) in &desired.apps {
        text.push_str(&format!("\n[apps.{name}]\n"));
        if app.on_leave == OnLeave::Undo {
            text.push_str("on_leave = \"undo\"\n");
        }
        if app.single {
            text.push_str("single = true\n");
        }
        if let Some(rules) = &app.preview {
            text.push_str(&format!("preview = {}\n", previews(rules)));
        }
        let Some(domain) = &app.domain else { continue };
        text.push_str(&format!("domain = \"{domain}\"\n"));
        if let Some((certificate, key)) = certificates::places(name, app) {
            text.push_str(&format!(
                "tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}\n"
            ));
        }
    }
    text
}

fn previews(rules: &PreviewRules) -> String {
    let PreviewRules {
        domain,
        https,
        max,
        lasting,
        memory,
        processes,
    } = rules;
    let domain = domain.iter().map(|domain| format!("domain = {domain:?}, "));
    format!(
        "{{ {}https = {https}, max = {max}, for = \"{lasting}\", memory = \"{memory}\", processes = {processes} }}",
        domain.collect::<String>()
    )
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use longshore_shared::app_file::ByteSize;
    use longshore_shared::digest::Sha256Digest;
    use longshore_shared::name::{AppName, EnvironmentName, HostName};
    use longshore_shared::setup::{DesiredApp, DesiredSystem, PreviewRules};
    use longshore_shared::span::Span;

    use super::*;
    use crate::host::{Host, Right};
    use crate::names::Person;

    pub(in crate::setup) fn desired() -> Desired {
        let app = DesiredApp {
            domain: Some("www.example.com".to_owned()),
            tls: None,
            on_leave: OnLeave::Undo,
            single: true,
            preview: Some(PreviewRules {
                domain: Some("dev.example.com".to_owned()),
                https: false,
                max: 3,
                lasting: Span::seconds(3600),
                memory: ByteSize::mebibytes(256),
                processes: 99,
            }),
        };
        Desired {
            environment: EnvironmentName::new("production").unwrap(),
            host: HostName::new("web-1").unwrap(),
            apps: BTreeMap::from([
                (AppName::new("cortico").unwrap(), app),
                (AppName::new("jobs").unwrap(), DesiredApp::default()),
            ]),
            people: Vec::new(),
            deploy_keys: Vec::new(),
            overrule: Some(vec!["@leads".to_owned(), "ops1".to_owned()]),
            settings_by: Some(vec!["@dev".to_owned()]),
            trust: None,
            signed_trust: None,
            system: DesiredSystem {
                packages: BTreeSet::new(),
                timezone: None,
                swap: None,
                security_upgrades: true,
                clock_sync: true,
                journal: None,
                sysctl: BTreeMap::new(),
                docker: false,
                fail2ban: false,
                sudo_without_password: true,
            },
            sshd: None,
            firewall: None,
            acme: None,
            agent: Sha256Digest::of(b""),
            sudo_login: false,
            login_key: None,
        }
    }

    #[test]
    fn the_agent_reads_what_is_written_for_it() {
        let host: Host = toml::from_str(&host_toml(&desired())).unwrap();
        assert_eq!(host.environment.as_str(), "production");
        assert_eq!(host.host.as_str(), "web-1");
        for (name, group, may) in [
            ("ops1", "longshore", true),
            ("ann", "leads", true),
            ("bob", "sudo", false),
        ] {
            let person = Person {
                name: name.to_owned(),
                groups: vec![group.to_owned()],
            };
            assert_eq!(host.allows(&person, Right::Overrule), may, "{name}");
        }
        let domains: Vec<_> = host
            .apps
            .values()
            .map(|app| app.domain.as_ref().map(|domain| domain.as_str()))
            .collect();
        assert_eq!(domains, [Some("www.example.com"), None]);
        let singles: Vec<_> = host.apps.values().map(|app| app.single).collect();
        assert_eq!(singles, [true, false]);
        let rules = |name: &str| {
            let app = host.apps.get(&AppName::new(name).unwrap()).unwrap();
            app.preview.as_ref().map(|preview| preview.rules.clone())
        };
        let app = AppName::new("cortico").unwrap();
        assert_eq!(
            rules("cortico"),
            desired().apps.remove(&app).unwrap().preview
        );
        assert_eq!(rules("jobs"), None);
    }
}
