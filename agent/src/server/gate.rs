//! Who may give an order, and whether what it is about is theirs to change now.

use longshore_shared::instance::Instance;
use longshore_shared::name::AppName;

use super::session::Session;
use crate::host::{Host, Right};
use crate::locks::Share;
use crate::operation::{Trouble, chain};
use crate::preview;

impl Session<'_> {
    pub(super) fn allowed(&self, right: Right) -> Result<Host, Trouble> {
        let host = load_host()?;
        let person = self.peer.person();
        if host.allows(person, right) {
            return Ok(host);
        }
        let what = match right {
            Right::Read => "look at",
            Right::Deploy => "change",
            Right::Overrule => "let revoked keys run",
            Right::Settings => "see or change the settings of",
        };
        // Bootstrap writes these two of the inventory into the host's own file.
        let next = match right {
            Right::Read | Right::Deploy => {
                "ask whoever owns its /etc/longshore/host.toml to name you, or a group of yours, under [access]"
            }
            Right::Overrule => {
                "ask whoever keeps the inventory: `overrule` of the environment names them, and longshore bootstrap tells the host"
            }
            Right::Settings => {
                "ask whoever keeps the inventory: `settings_by` of the environment names them, and longshore bootstrap tells the host"
            }
        };
        Err(Trouble::refused(
            format!("{} may not {what} apps on this host", person.name),
            next,
        ))
    }

    /// That a key was revoked is not for everybody who deploys to pass over.
    pub(super) fn may_overrule(&self, even_revoked: bool) -> Result<(), Trouble> {
        if even_revoked {
            self.allowed(Right::Overrule)?;
        }
        Ok(())
    }

    /// The host, and a share in the app's lock for what is about to be changed.
    pub(super) fn changes(&self, app: &Instance) -> Result<(Host, Share), Trouble> {
        let (host, share) = self.has_lock(app)?;
        self.is_here(&host, app)?;
        Ok((host, share))
    }

    /// The same for what need not be here yet.
    pub(super) fn has_lock(&self, app: &Instance) -> Result<(Host, Share), Trouble> {
        let host = self.allowed(Right::Deploy)?;
        self.may_be_here(&host, app)?;
        let share = self.agent.locks.share(app, self.claimant).ok_or_else(|| {
            match self.agent.locks.describe(app) {
                Some(holder) => locked(app, &holder),
                None => Trouble::refused(format!("{app} is not locked"), "lock it first"),
            }
        })?;
        Ok((host, share))
    }

    /// An app is here because its host knows it; a preview once somebody has asked for it.
    pub(super) fn is_here(&self, host: &Host, app: &Instance) -> Result<(), Trouble> {
        match app.preview() {
            None => knows(host, app),
            Some(_) if self.agent.ledger.preview(app)?.is_some() => Ok(()),
            Some(_) => Err(Trouble::Refused(vec![preview::missing(host, app)])),
        }
    }

    /// Whether it is here, or may come: one may be here that would not be allowed any more.
    pub(super) fn may_be_here(&self, host: &Host, app: &Instance) -> Result<(), Trouble> {
        self.is_here(host, app).or_else(|_| knows(host, app))
    }
}

pub(super) fn load_host() -> Result<Host, Trouble> {
    Host::load().map_err(|error| {
        Trouble::refused(
            chain(&error),
            "run `longshore bootstrap`, or mend the file as root",
        )
    })
}

pub(super) fn knows(host: &Host, app: &Instance) -> Result<(), Trouble> {
    if host.hosted(app).is_some() {
        return Ok(());
    }
    if host.apps.contains_key(app.app()) {
        return Err(Trouble::Refused(vec![preview::not_allowed(host, app)]));
    }
    let known: Vec<&str> = host.apps.keys().map(AppName::as_str).collect();
    let known = if known.is_empty() {
        "none".to_owned()
    } else {
        known.join(", ")
    };
    Err(Trouble::refused(
        format!("this host knows no app {app} (it knows: {known})"),
        format!(
            "add {app} to the environment's apps in the inventory and run `longshore bootstrap`"
        ),
    ))
}

pub(super) fn locked(app: &Instance, holder: &str) -> Trouble {
    Trouble::refused(
        format!("{app} is locked here: {holder}"),
        "wait until that has ended, then try again",
    )
}
