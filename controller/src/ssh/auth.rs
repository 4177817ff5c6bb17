//! Proves who the person is: keys of ssh-agent first, then key files.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{AgentAuthError, MethodKind};
use tokio::net::UnixStream;

use super::connect_error::ConnectError;
use super::deadline::Deadline;
use super::gatekeeper::Gatekeeper;
use super::host_key::fingerprint;
use super::keyring::{Keyring, Loaded};
use super::target::Target;

/// Stock sshd hangs up at the sixth failure.
const MOST_TRIES: usize = 5;

/// Gives back the key that let the person in; nothing where it was a certificate, which stands in no
/// file of keys.
pub(super) async fn authenticate(
    handle: &mut Handle<Gatekeeper>,
    target: &Target,
    keyring: &Keyring,
    deadline: &mut Deadline,
) -> Result<Option<PublicKey>, ConnectError> {
    let mut attempt = Attempt {
        handle,
        target,
        deadline,
        offered: Vec::new(),
        tried: Vec::new(),
        notes: Vec::new(),
        let_in: None,
        closed: false,
    };
    if attempt.agent().await? || attempt.files(keyring).await? {
        return Ok(attempt.let_in);
    }
    Err(ConnectError::Authentication {
        user: target.user.clone(),
        address: target.address(),
        tried: attempt.tried,
        notes: attempt.notes,
    })
}

struct Attempt<'a> {
    handle: &'a mut Handle<Gatekeeper>,
    target: &'a Target,
    deadline: &'a mut Deadline,
    offered: Vec<PublicKey>,
    tried: Vec<String>,
    notes: Vec<String>,
    /// The plain key that was taken.
    let_in: Option<PublicKey>,
    /// The host will hear no more.
    closed: bool,
}

impl Attempt<'_> {
    /// Tries what ssh-agent holds; an agent that does not work is worth a note, no more.
    async fn agent(&mut self) -> Result<bool, ConnectError> {
        let Some(socket) = &self.target.identities.agent_socket else {
            self.notes
                .push("No ssh-agent: SSH_AUTH_SOCK is not set.".to_owned());
            return Ok(false);
        };
        let mut agent = match UnixStream::connect(socket).await {
            Ok(stream) => AgentClient::connect(stream),
            Err(error) => {
                let socket = socket.display();
                self.notes
                    .push(format!("ssh-agent at {socket} does not answer: {error}."));
                return Ok(false);
            }
        };
        if let Some(binding) = self.handle.agent_session_binding().cloned() {
            // Only agents with keys bound to destinations need it, and older ones do not know it.
            let bound = self
                .deadline
                .run("ssh-agent", agent.bind_session(&binding, false))
                .await?;
            if let Err(error) = bound {
                tracing::debug!(%error, "ssh-agent does not bind keys to sessions");
            }
        }
        let identities = match self
            .deadline
            .run("ssh-agent", agent.request_identities())
            .await?
        {
            Ok(identities) => identities,
            Err(error) => {
                self.notes
                    .push(format!("ssh-agent does not list its keys: {error}."));
                return Ok(false);
            }
        };
        for identity in self.in_order(identities) {
            if self.must_stop() {
                break;
            }
            if self.with_agent(&mut agent, identity).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keys that the person named come first; with `IdentitiesOnly`, no others.
    fn in_order(&mut self, identities: Vec<AgentIdentity>) -> Vec<AgentIdentity> {
        let named: Vec<PublicKey> = self
            .target
            .identities
            .files
            .iter()
            .filter_map(|file| Keyring::public(file))
            .collect();
        let is_named = |identity: &AgentIdentity| {
            let key = identity.public_key();
            named.iter().any(|named| named.key_data() == key.key_data())
        };
        let all = identities.len();
        let (mut chosen, others): (Vec<_>, Vec<_>) = identities.into_iter().partition(is_named);
        if !self.target.identities.only {
            chosen.extend(others);
        } else if chosen.len() < all {
            let passed = all - chosen.len();
            self.notes.push(format!(
                "{passed} keys of ssh-agent were not tried: ~/.ssh/config says IdentitiesOnly."
            ));
        }
        chosen
    }

    async fn with_agent(
        &mut self,
        agent: &mut AgentClient<UnixStream>,
        identity: AgentIdentity,
    ) -> Result<bool, ConnectError> {
        let key = identity.public_key().into_owned();
        let user = self.target.user.clone();
        let hash = self.rsa_hash(&key).await?;
        self.offered.push(key.clone());
        let plain = matches!(identity, AgentIdentity::PublicKey { .. }).then(|| key.clone());
        let result = match identity {
            AgentIdentity::PublicKey { comment, .. } => {
                self.tried
                    .push(describe(&key, &format!("ssh-agent, {comment}")));
                let work = self
                    .handle
                    .authenticate_publickey_with(user, key, hash, agent);
                self.deadline.run("authentication", work).await?
            }
            AgentIdentity::Certificate {
                certificate,
                comment,
            } => {
                self.tried.push(describe(
                    &key,
                    &format!("certificate in ssh-agent, {comment}"),
                ));
                let work =
                    self.handle
                        .authenticate_certificate_with(user, certificate, hash, agent);
                self.deadline.run("authentication", work).await?
            }
        };
        match result {
            Ok(result) => Ok(self.outcome(result, plain)),
            Err(AgentAuthError::Key(error)) => {
                self.notes.push(format!("ssh-agent did not sign: {error}."));
                Ok(false)
            }
            Err(AgentAuthError::Send(_)) => {
                self.hung_up();
                Ok(false)
            }
        }
    }

    async fn files(&mut self, keyring: &Keyring) -> Result<bool, ConnectError> {
        let identities = &self.target.identities;
        for file in &identities.files {
            if self.must_stop() {
                break;
            }
            if Keyring::public(file).is_some_and(|public| self.was_offered(&public)) {
                continue;
            }
            let key = match keyring.private(file).await {
                Loaded::Key(key) => key,
                Loaded::Missing if !identities.explicit => continue,
                Loaded::Missing => {
                    self.notes
                        .push(format!("The key {} is not there.", file.display()));
                    continue;
                }
                Loaded::Unusable(why) => {
                    self.notes
                        .push(format!("The key {} {why}.", file.display()));
                    continue;
                }
            };
            if self.was_offered(key.public_key()) {
                continue;
            }
            self.offered.push(key.public_key().clone());
            self.tried.push(describe(key.public_key(), &place(file)));
            let plain = key.public_key().clone();
            let key = PrivateKeyWithHashAlg::new(Arc::clone(&key), None);
            let work = self
                .handle
                .authenticate_publickey(self.target.user.clone(), key);
            match self.deadline.run("authentication", work).await? {
                Ok(result) => {
                    if self.outcome(result, Some(plain)) {
                        return Ok(true);
                    }
                }
                Err(_) => self.hung_up(),
            }
        }
        Ok(false)
    }

    fn outcome(&mut self, result: AuthResult, plain: Option<PublicKey>) -> bool {
        match result {
            AuthResult::Success => {
                self.let_in = plain;
                true
            }
            AuthResult::Failure {
                remaining_methods,
                partial_success,
            } => {
                if partial_success {
                    self.notes.push(
                        "The key was accepted, but the host asks for a second proof, which Longshore \
                         cannot give."
                            .to_owned(),
                    );
                    self.closed = true;
                } else if remaining_methods.is_empty() {
                    self.hung_up();
                } else if !remaining_methods.contains(&MethodKind::PublicKey) {
                    self.notes
                        .push("The host takes no keys for this user.".to_owned());
                    self.closed = true;
                }
                false
            }
        }
    }

    fn hung_up(&mut self) {
        self.closed = true;
        self.notes.push(
            "The host ended the connection. If ssh-agent holds many keys, name the right one in \
             ~/.ssh/config (IdentityFile, IdentitiesOnly yes)."
                .to_owned(),
        );
    }

    fn must_stop(&mut self) -> bool {
        if !self.closed && self.tried.len() >= MOST_TRIES {
            self.closed = true;
            self.notes.push(format!(
                "No more than {MOST_TRIES} keys are tried. Name the right one in ~/.ssh/config \
                 (IdentityFile, IdentitiesOnly yes)."
            ));
        }
        self.closed
    }

    fn was_offered(&self, key: &PublicKey) -> bool {
        self.offered
            .iter()
            .any(|offered| offered.key_data() == key.key_data())
    }

    /// RSA keys need to know which hash the host takes; SHA-1 is never used.
    async fn rsa_hash(&mut self, key: &PublicKey) -> Result<Option<HashAlg>, ConnectError> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash();
        let best = self.deadline.run("authentication", best).await?;
        Ok(Some(match best {
            Ok(Some(Some(hash))) => hash,
            _ => HashAlg::Sha512,
        }))
    }
}

fn describe(key: &PublicKey, whence: &str) -> String {
    format!(
        "{} ({})",
        fingerprint(key),
        whence.trim_end_matches([' ', ','])
    )
}

fn place(file: &Path) -> String {
    file.display().to_string()
}
