//! The keys in ssh-agent. The agent's client is asynchronous and a build is not, so each question
//! runs on a thread of its own.

use std::time::Duration;

use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{HashAlg, Signature};
use tokio::net::UnixStream;

use super::KeyError;
use crate::terminal_text::one_line;

/// An agent may ask its owner to confirm or to touch a token.
const PATIENCE: Duration = Duration::from_secs(120);

/// Every plain public key that the agent holds; nothing where there is no agent.
pub(super) fn keys() -> Result<Vec<PublicKey>, KeyError> {
    if std::env::var_os("SSH_AUTH_SOCK").is_none() {
        return Ok(Vec::new());
    }
    let identities =
        ask(async |mut agent: AgentClient<UnixStream>| agent.request_identities().await)?;
    Ok(identities
        .into_iter()
        .filter_map(|identity| match identity {
            AgentIdentity::PublicKey { key, .. } => Some(key),
            AgentIdentity::Certificate { .. } => None,
        })
        .collect())
}

/// The key that is meant where none was named.
pub(super) fn only_key() -> Result<PublicKey, KeyError> {
    let held = keys()?;
    match held.as_slice() {
        [] => Err(KeyError::None),
        [key] => Ok(key.clone()),
        _ => Err(KeyError::Several {
            held: held.iter().map(in_words).collect(),
        }),
    }
}

fn in_words(key: &PublicKey) -> String {
    let print = key.fingerprint(HashAlg::Sha256);
    one_line(format!("{print} {}", key.comment()).trim()).into_owned()
}

/// Has the agent sign `data`.
pub(super) fn sign(key: &PublicKey, data: &[u8]) -> Result<Signature, KeyError> {
    ask(async |mut agent: AgentClient<UnixStream>| {
        agent.sign_request_signature(key, None, data).await
    })
}

fn ask<T: Send>(
    question: impl AsyncFnOnce(AgentClient<UnixStream>) -> Result<T, russh::keys::Error> + Send,
) -> Result<T, KeyError> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(KeyError::Runtime)?;
        let answer = runtime.block_on(async {
            let talk = async {
                let agent = AgentClient::connect_env().await?;
                question(agent).await
            };
            tokio::time::timeout(PATIENCE, talk).await
        });
        match answer {
            Ok(answer) => answer.map_err(KeyError::Agent),
            Err(_) => Err(KeyError::AgentSilent),
        }
    };
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or(Err(KeyError::AgentSilent))
    })
}
