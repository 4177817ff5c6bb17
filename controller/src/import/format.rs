//! Which of the formats a text is in.

use clap::ValueEnum;
use serde_json::Value;

use super::ImportError;

/// What can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// `terraform show -json` or `terraform output -json`
    Terraform,
    /// `doctl compute droplet list -o json`
    Doctl,
    /// `scw instance server list -o json`
    Scw,
    /// An Ansible inventory in INI
    AnsibleIni,
    /// An Ansible inventory in YAML
    AnsibleYaml,
}

pub(super) fn json(text: &str) -> Result<Value, ImportError> {
    serde_json::from_str(text).map_err(|error| ImportError::Json { line: error.line() })
}

pub(super) fn recognise(text: &str) -> Option<Format> {
    if text.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str::<Value>(text)
    {
        return of_json(&value);
    }
    let mut lines = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim_start().is_empty() && !line.trim_start().starts_with(['#', ';']));
    let first = lines.next()?;
    let yaml = first == "---" || (first.ends_with(':') && !first.starts_with('['));
    Some(if yaml {
        Format::AnsibleYaml
    } else {
        Format::AnsibleIni
    })
}

fn of_json(value: &Value) -> Option<Format> {
    match value {
        Value::Object(object) => {
            let state = object.contains_key("values") || object.contains_key("planned_values");
            let output = !object.is_empty()
                && object
                    .values()
                    .all(|one| one.get("value").is_some() && one.get("type").is_some());
            (state || output || object.contains_key("format_version")).then_some(Format::Terraform)
        }
        Value::Array(list) => {
            let first = list.first()?;
            if first.get("networks").is_some() {
                Some(Format::Doctl)
            } else if first.get("public_ips").is_some() || first.get("public_ip").is_some() {
                Some(Format::Scw)
            } else {
                None
            }
        }
        _ => None,
    }
}
