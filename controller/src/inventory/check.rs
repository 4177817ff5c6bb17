//! From the file as written to an inventory that can be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use longshore_shared::name::{AppName, EnvironmentName, HostName};
use longshore_shared::setup::{DEPLOY_ACCOUNT, PreviewRules};
use russh::keys::PublicKey;
use toml::Spanned;

use super::file::{
    AppFile, CertificateFiles, EnvironmentFile, HostFile, InventoryFile, PersonFile, TlsFile,
};
use super::setup::SetupFile;
use super::words::{is_account, is_domain, is_principal, is_repository, is_user, is_word};
use super::{Address, Environment, EnvironmentApp, Host, HostPattern, Inventory, Person, Tls};
use crate::did_you_mean;
use crate::toml_file::{Complaint, SourceText};

/// The one environment that goes forward only where nothing else is said.
const PRODUCTION: &str = "production";
const LEAST_MEMORY: u64 = 64 << 20;
const LEAST_PROCESSES: u32 = 16;

pub(super) fn check(source: &SourceText, file: InventoryFile) -> Result<Inventory, Complaint> {
    let checker = Checker { source };
    let people = file
        .people
        .into_iter()
        .map(|(name, person)| {
            checker.person_name(&name)?;
            Ok((name.into_inner(), checker.person(person)?))
        })
        .collect::<Result<BTreeMap<String, Person>, Complaint>>()?;
    let mut environments = BTreeMap::new();
    // One address is one server: two names for it would be deployed to twice at once.
    let mut addresses = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (key, environment) in file.environments {
        let name = EnvironmentName::new(key.as_ref().as_str())
            .map_err(|error| checker.wrong(key.span(), error.to_string()))?;
        let fleet = Fleet {
            people: &people,
            setup: &file.setup,
        };
        let environment = checker.environment(
            name.clone(),
            environment,
            &fleet,
            &mut names,
            &mut addresses,
        )?;
        environments.insert(name, environment);
    }
    Ok(Inventory {
        path: source.path().to_owned(),
        signers: file.fleet.signers,
        revoked: file.fleet.revoked,
        people,
        environments,
    })
}

/// What holds for all environments.
struct Fleet<'a> {
    people: &'a BTreeMap<String, Person>,
    setup: &'a SetupFile,
}

struct Checker<'a> {
    source: &'a SourceText,
}

impl Checker<'_> {
    fn wrong(&self, span: Range<usize>, what: impl Into<String>) -> Complaint {
        self.source.complain(span, what, None)
    }

    fn environment(
        &self,
        name: EnvironmentName,
        file: EnvironmentFile,
        fleet: &Fleet<'_>,
        names: &mut BTreeMap<HostName, EnvironmentName>,
        addresses: &mut BTreeMap<Address, HostName>,
    ) -> Result<Environment, Complaint> {
        let mut hosts: Vec<Host> = Vec::new();
        for host in file.hosts {
            let (name_span, address_span) = (host.name.span(), host.address.span());
            let host = self.host(host)?;
            if let Some(other) = names.insert(host.name.clone(), name.clone()) {
                let what = if other == name {
                    format!("host `{}` is there twice", host.name)
                } else {
                    format!("host `{}` is already in environment `{other}`", host.name)
                };
                return Err(self.wrong(name_span, what));
            }
            if let Some(other) = addresses.insert(host.address.clone(), host.name.clone()) {
                return Err(self.wrong(
                    address_span,
                    format!(
                        "`{}` is already the address of host `{other}`",
                        host.address
                    ),
                ));
            }
            hosts.push(host);
        }
        let mut apps = BTreeMap::new();
        for (key, app) in file.apps {
            let app_name = AppName::new(key.as_ref().as_str())
                .map_err(|error| self.wrong(key.span(), error.to_string()))?;
            let app = self.app(app_name.clone(), key.span(), app, &hosts)?;
            apps.insert(app_name, app);
        }
        let release_by = file.release_by.map(|by| self.release_by(by, fleet.people));
        let deploy_keys = file.deploy_keys.iter();
        let deploy_keys = deploy_keys.map(|key| self.public_key(key.as_ref(), key.span()));
        Ok(Environment {
            release_by: release_by.transpose()?,
            overrule: file.overrule.map(|by| self.on_host(by)).transpose()?,
            settings_by: file.settings_by.map(|by| self.on_host(by)).transpose()?,
            forward_only: file.forward_only.unwrap_or(name.as_str() == PRODUCTION),
            people: self.accounts(file.people, fleet.people)?,
            deploy_keys: deploy_keys.collect::<Result<_, _>>()?,
            setup: file.setup.over(fleet.setup.clone()).check(self.source)?,
            name,
            hosts,
            apps,
        })
    }

    /// A group that nobody is in would be a rule that nobody meant.
    fn release_by(
        &self,
        entries: Vec<Spanned<String>>,
        people: &BTreeMap<String, Person>,
    ) -> Result<Vec<String>, Complaint> {
        for entry in &entries {
            let text = entry.as_ref();
            let what = match text.strip_prefix('@') {
                Some(group) => {
                    let signs = |person: &Person| {
                        !person.signing_keys.is_empty()
                            && person.groups.iter().any(|own| own == group)
                    };
                    (!people.values().any(signs))
                        .then(|| format!("nobody in group `{group}` has `signing_keys`"))
                }
                None => (!is_principal(text)).then(|| {
                    format!("`{text}` is no signer: write an address such as ci@example.com, or `@group`")
                }),
            };
            if let Some(what) = what {
                return Err(self.wrong(entry.span(), what));
            }
        }
        Ok(entries.into_iter().map(Spanned::into_inner).collect())
    }

    /// Names of the host: they need not be accounts that Longshore makes.
    fn on_host(&self, entries: Vec<Spanned<String>>) -> Result<Vec<String>, Complaint> {
        for entry in &entries {
            let text = entry.as_ref();
            if !is_account(text.strip_prefix('@').unwrap_or(text)) {
                let what = format!(
                    "`{text}` is no account, nor a group of a host: write a name, or \"@sudo\""
                );
                return Err(self.wrong(entry.span(), what));
            }
        }
        Ok(entries.into_iter().map(Spanned::into_inner).collect())
    }

    /// Who has an account, each named once.
    fn accounts(
        &self,
        entries: Option<Vec<Spanned<String>>>,
        people: &BTreeMap<String, Person>,
    ) -> Result<Vec<String>, Complaint> {
        let Some(entries) = entries else {
            return Ok(people.keys().cloned().collect());
        };
        let mut chosen = BTreeSet::new();
        for entry in &entries {
            let text = entry.as_ref();
            let before = chosen.len();
            let named = |name: &String, person: &Person| match text.strip_prefix('@') {
                Some(group) => person.groups.iter().any(|own| own == group),
                None => name == text,
            };
            let found: Vec<&String> = people
                .iter()
                .filter(|(name, person)| named(name, person))
                .map(|(name, _)| name)
                .collect();
            chosen.extend(found.iter().map(|name| (*name).clone()));
            if found.is_empty() {
                debug_assert_eq!(before, chosen.len());
                let meant = did_you_mean::nearest(text, people.keys().map(String::as_str));
                let what = format!("`{text}` is nobody of [people], nor a group of theirs");
                return Err(self.source.complain(entry.span(), what, meant));
            }
        }
        Ok(chosen.into_iter().collect())
    }

    fn host(&self, file: HostFile) -> Result<Host, Complaint> {
        let name = HostName::new(file.name.as_ref().as_str())
            .map_err(|error| self.wrong(file.name.span(), error.to_string()))?;
        let mut address: Address = file
            .address
            .as_ref()
            .parse()
            .map_err(|error| self.wrong(file.address.span(), format!("{error}")))?;
        if let Some(port) = file.port {
            let span = port.span();
            match (port.into_inner(), address.port()) {
                (0, _) => return Err(self.wrong(span, "`0` is not a port between 1 and 65535")),
                (port, Some(other)) if port != other => {
                    let what = format!("the address says port {other} already");
                    return Err(self.wrong(span, what));
                }
                (port, _) => address = address.with_port(port),
            }
        }
        let mut roles = Vec::new();
        for role in file.roles {
            let text = role.as_ref();
            if !is_word(text) {
                let what =
                    format!("`{text}` is not a role: use a-z, 0-9, `-` and `_`, without `@`");
                return Err(self.wrong(role.span(), what));
            }
            roles.push(role.into_inner());
        }
        let host_keys = match file.host_key {
            None => Vec::new(),
            Some(keys) => {
                let span = keys.span();
                let keys = keys.into_inner().0;
                if keys.is_empty() {
                    return Err(
                        self.wrong(span, "`host_key` pins nothing: leave it out or give a key")
                    );
                }
                keys.iter()
                    .map(|key| self.public_key(key, span.clone()))
                    .collect::<Result<_, _>>()?
            }
        };
        let user = match file.user {
            Some(user) if !is_user(user.as_ref()) => {
                let what = format!("`{}` is not a user name", user.as_ref());
                return Err(self.wrong(user.span(), what));
            }
            user => user.map(Spanned::into_inner),
        };
        Ok(Host {
            name,
            address,
            user,
            roles,
            host_keys,
        })
    }

    fn app(
        &self,
        name: AppName,
        key: Range<usize>,
        file: AppFile,
        hosts: &[Host],
    ) -> Result<EnvironmentApp, Complaint> {
        if file.hosts.is_empty() {
            return Err(self.wrong(
                key.clone(),
                format!("app `{name}` lives on no host: give it some in `hosts`"),
            ));
        }
        let mut chosen = BTreeSet::new();
        for entry in &file.hosts {
            let pattern = HostPattern::new(entry.as_ref());
            let before = chosen.len();
            let mut matched = false;
            for (index, host) in hosts.iter().enumerate() {
                if pattern.matches(host.name.as_str(), host.roles.iter().map(String::as_str)) {
                    matched = true;
                    chosen.insert(index);
                }
            }
            if !matched {
                debug_assert_eq!(before, chosen.len());
                let known = known_words(hosts);
                let meant = did_you_mean::nearest(entry.as_ref(), known.iter().map(String::as_str));
                let mut what = format!("`{pattern}` is no host or role of this environment");
                if meant.is_none() && !known.is_empty() {
                    what.push_str("; known here: ");
                    what.push_str(&known.join(", "));
                }
                return Err(self.source.complain(entry.span(), what, meant));
            }
        }
        if let Some(domain) = &file.domain
            && !is_domain(domain.as_ref())
        {
            let text = domain.as_ref();
            let lower = text.to_ascii_lowercase();
            let what = if is_domain(&lower) {
                format!("`{text}` has capital letters: write \"{lower}\"")
            } else {
                format!("`{text}` is not a domain name: write one such as \"www.example.com\"")
            };
            return Err(self.wrong(domain.span(), what));
        }
        let tls = file.tls.map(|tls| self.tls(tls)).transpose()?;
        let preview = file.preview.map(|rules| self.previews(rules, tls.as_ref()));
        if tls.is_some() && file.domain.is_none() {
            let what = format!("app `{name}` has `tls` and no `domain` that it is for");
            return Err(self.wrong(key, what));
        }
        Ok(EnvironmentApp {
            tls,
            instance: name.clone().into(),
            preview: preview.transpose()?,
            name,
            hosts: chosen
                .iter()
                .filter_map(|&index| hosts.get(index))
                .map(|host| host.name.clone())
                .collect(),
            domain: file.domain.map(Spanned::into_inner),
            branch: file.branch,
            on_leave: file.on_leave,
        })
    }

    fn previews(
        &self,
        rules: Spanned<PreviewRules>,
        tls: Option<&Tls>,
    ) -> Result<PreviewRules, Complaint> {
        let span = rules.span();
        let rules = rules.into_inner();
        let domain = rules.domain.as_ref().filter(|domain| !is_domain(domain));
        let what = if let Some(domain) = domain {
            format!("`{domain}` is not a domain name: write one such as \"dev.example.com\"")
        } else if rules.https && !matches!(tls, Some(Tls::Files { .. })) {
            "`https` of previews needs a certificate for all names before the domain (`*.`): give the app `tls` with such files".to_owned()
        } else if rules.max == 0 {
            "`max` is 0: leave `preview` out where there are to be none".to_owned()
        } else if rules.lasting.duration().is_zero() {
            "`for` is 0s: a preview has to be there for a while".to_owned()
        } else if rules.memory.bytes() < LEAST_MEMORY || rules.processes < LEAST_PROCESSES {
            "a preview with less than \"64m\" of `memory` or 16 `processes` cannot run anything"
                .to_owned()
        } else {
            return Ok(rules);
        };
        Err(self.wrong(span, what))
    }

    fn tls(&self, tls: Spanned<TlsFile>) -> Result<Tls, Complaint> {
        let span = tls.span();
        let beside = |file: PathBuf| {
            let folder = self.source.path().parent();
            folder.unwrap_or(Path::new(".")).join(file)
        };
        match tls.into_inner() {
            TlsFile::Files(CertificateFiles { certificate, key }) => Ok(Tls::Files {
                certificate: beside(certificate),
                key: beside(key),
            }),
            TlsFile::Word(word) if word == "acme" => Ok(Tls::Acme),
            TlsFile::Word(word) => Err(self.wrong(
                span,
                format!("`{word}` is no source of certificates: write \"acme\", or {{ certificate = \"FILE\", key = \"FILE\" }}"),
            )),
        }
    }

    /// A name that becomes an account's. `deploy` is CI's.
    fn person_name(&self, name: &Spanned<String>) -> Result<(), Complaint> {
        let text = name.as_ref();
        if !is_account(text) {
            let what = format!(
                "`{text}` cannot be an account: use a-z, 0-9, `-` and `_`, and begin with a letter"
            );
            return Err(self.wrong(name.span(), what));
        }
        if matches!(text.as_str(), "root" | DEPLOY_ACCOUNT) {
            let what = format!("`{text}` is nobody's own account: give that person another name");
            return Err(self.wrong(name.span(), what));
        }
        Ok(())
    }

    fn person(&self, file: PersonFile) -> Result<Person, Complaint> {
        let keys = file
            .keys
            .iter()
            .map(|key| self.public_key(key.as_ref(), key.span()))
            .collect::<Result<_, _>>()?;
        let signing_keys = file
            .signing_keys
            .iter()
            .map(|key| self.public_key(key.as_ref(), key.span()))
            .collect::<Result<_, _>>()?;
        if let Some(principal) = &file.principal
            && !is_principal(principal.as_ref())
        {
            let what = format!(
                "`{}` is no principal: write an address such as dev1@example.com",
                principal.as_ref()
            );
            return Err(self.wrong(principal.span(), what));
        }
        if let Some(repository) = &file.dotfiles
            && !is_repository(repository.as_ref())
        {
            let what = format!("`{}` is no address of a repository", repository.as_ref());
            return Err(self.wrong(repository.span(), what));
        }
        for group in &file.groups {
            if !is_account(group.as_ref()) {
                let what = format!("`{}` cannot be a group", group.as_ref());
                return Err(self.wrong(group.span(), what));
            }
        }
        Ok(Person {
            keys,
            groups: file.groups.into_iter().map(Spanned::into_inner).collect(),
            dotfiles: file.dotfiles.map(Spanned::into_inner),
            adopt: file.adopt,
            principal: file.principal.map(Spanned::into_inner),
            signing_keys,
        })
    }

    fn public_key(&self, text: &str, span: Range<usize>) -> Result<PublicKey, Complaint> {
        PublicKey::from_openssh(text.trim()).map_err(|_| {
            self.wrong(
                span,
                "this is not an SSH public key: write it as in a .pub file, \"ssh-ed25519 AAAA…\"",
            )
        })
    }
}

/// Host names and `@roles` of an environment, for people to choose from.
pub(super) fn known_words(hosts: &[Host]) -> Vec<String> {
    let roles: BTreeSet<String> = hosts
        .iter()
        .flat_map(|host| host.roles.iter().map(|role| format!("@{role}")))
        .collect();
    hosts
        .iter()
        .map(|host| host.name.to_string())
        .chain(roles)
        .collect()
}
