//! `longshore inventory import`: hosts from what people have already. Pure: text in, hosts out.

mod ansible;
mod ansible_ini;
mod ansible_yaml;
mod choose;
mod clouds;
mod format;
mod outputs;
mod reach;
mod terraform;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub(crate) use choose::{Added, Chosen, Known, choose};
pub(crate) use format::Format;

/// A host that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it is called there.
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    /// Tags and groups.
    pub(crate) roles: Vec<String>,
    /// What a person should know of it.
    pub(crate) notes: Vec<String>,
    /// Whether only those in the same network can reach it.
    pub(crate) private: bool,
    /// Whether its name is but its place in a list.
    pub(crate) numbered: bool,
}

impl Found {
    fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: None,
            user: None,
            roles: Vec::new(),
            notes: Vec::new(),
            private: false,
            numbered: false,
        }
    }
}

/// Something that became no host, or not all of it, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Remark {
    pub(crate) what: String,
    pub(crate) why: String,
}

impl Remark {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Remark {
            what: what.into(),
            why: why.into(),
        }
    }
}

/// All that a text holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    pub(crate) found: Vec<Found>,
    pub(crate) unmapped: Vec<Remark>,
}

impl Hosts {
    fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unmapped.push(Remark::new(what, why));
    }

    fn extend(&mut self, more: Hosts) {
        self.found.extend(more.found);
        self.unmapped.extend(more.unmapped);
    }
}

/// Why a text cannot be read. Nothing of it is shown: such files hold secrets.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ImportError {
    #[error(
        "it is none of: terraform show -json, terraform output -json, doctl or scw with -o json, an Ansible inventory (INI or YAML)"
    )]
    Unknown,
    #[error("it is terraform's own state file: give what `terraform show -json` prints")]
    RawState,
    #[error(
        "it is an Ansible inventory in JSON: give what `ansible-inventory --list --yaml` prints"
    )]
    AnsibleJson,
    #[error("it is no JSON, from line {line} on")]
    Json { line: usize },
    #[error("it is no YAML, from line {line} on")]
    Yaml { line: usize },
    #[error("line {line} is not understood: {why}")]
    Ini { line: usize, why: &'static str },
    #[error("it is no {0}")]
    Shape(&'static str),
}

/// Reads the hosts of a text in a format that is named or recognised.
pub(crate) fn read(text: &str, format: Option<Format>) -> Result<Hosts, ImportError> {
    // Some editors and shells put it before the text; no reader here takes it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let format = match format {
        Some(format) => format,
        None => format::recognise(text)?,
    };
    match format {
        Format::Terraform => terraform::read(&format::json(text)?),
        Format::Doctl => clouds::doctl(&format::json(text)?),
        Format::Scw => clouds::scw(&format::json(text)?),
        Format::AnsibleIni => ansible_ini::read(text),
        Format::AnsibleYaml => ansible_yaml::read(text),
    }
}
