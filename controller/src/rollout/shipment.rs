//! The release that a rollout brings along: its manifest at once, its contents when they are
//! checked. Hosts are connected and asked meanwhile.

use std::sync::Arc;

use longshore_shared::settings::Settings;
use tokio::sync::watch;

use super::outcome::HostFailure;
use crate::release::{OpenError, Release, SignedRelease};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Shipment {
    signed: Arc<SignedRelease>,
    opened: watch::Receiver<Option<Result<Arc<Release>, HostFailure>>>,
    /// What it brings along for its environment, where it does.
    settings: Option<Settings>,
}

impl Shipment {
    /// Begins to check the tarball.
    pub(crate) fn open(signed: SignedRelease) -> Self {
        let signed = Arc::new(signed);
        let (done, opened) = watch::channel(None);
        let all = SignedRelease::clone(&signed);
        tokio::task::spawn_blocking(move || {
            let opened = all.open().map(Arc::new);
            done.send_replace(Some(opened.map_err(|error| refusal(&error))));
        });
        Shipment {
            signed,
            opened,
            settings: None,
        }
    }

    /// The same, with settings that are to be the hosts' before it serves.
    pub(crate) fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = Some(settings);
        self
    }

    pub(crate) fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    pub(crate) fn signed(&self) -> &SignedRelease {
        &self.signed
    }

    /// Waits until the tarball is checked.
    pub(crate) async fn release(&self) -> Result<Arc<Release>, HostFailure> {
        let mut opened = self.opened.clone();
        let opened = opened.wait_for(Option::is_some).await;
        match opened.as_deref() {
            Ok(Some(opened)) => opened.clone(),
            Ok(None) | Err(_) => Err(HostFailure {
                what: "reading the release broke off".to_owned(),
                ..HostFailure::default()
            }),
        }
    }
}

fn refusal(error: &OpenError) -> HostFailure {
    HostFailure {
        hints: vec!["Fetch the release again, or build it: longshore build".to_owned()],
        ..HostFailure::of_error(error)
    }
}
