//! `longshore inventory import`: hosts from what people have already. Pure: text in, hosts out.

mod ansible;
mod ansible_ini;
mod ansible_yaml;
mod clouds;
mod format;
mod terraform;
#[cfg(test)]
mod tests;

use thiserror::Error;

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
}

impl Found {
    fn new(name: impl Into<String>, address: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: None,
            user: None,
            roles: Vec::new(),
        }
    }
}

/// Something that became no host, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unmapped {
    pub(crate) what: String,
    pub(crate) why: String,
}

/// All that a text holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    pub(crate) found: Vec<Found>,
    pub(crate) unmapped: Vec<Unmapped>,
}

impl Hosts {
    fn skip(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.unmapped.push(Unmapped {
            what: what.into(),
            why: why.into(),
        });
    }
}

/// Why a text cannot be read. Nothing of it is shown: such files hold secrets.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ImportError {
    #[error(
        "it is none of: terraform show -json, terraform output -json, doctl or scw with -o json, an Ansible inventory (INI or YAML)"
    )]
    Unknown,
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
    let format = match format {
        Some(format) => format,
        None => format::recognise(text).ok_or(ImportError::Unknown)?,
    };
    match format {
        Format::Terraform => terraform::read(&format::json(text)?),
        Format::Doctl => clouds::doctl(&format::json(text)?),
        Format::Scw => clouds::scw(&format::json(text)?),
        Format::AnsibleIni => ansible_ini::read(text),
        Format::AnsibleYaml => ansible_yaml::read(text),
    }
}
