//! Which of the formats a text is in. What is of none is said to be of none: a state that was cut
//! off, read as a list of hosts, would have its secrets shown as their names.

use clap::ValueEnum;
use serde_json::Value;

use super::{ImportError, ansible_ini};

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

pub(super) fn recognise(text: &str) -> Result<Format, ImportError> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let first = lines.next().ok_or(ImportError::Unknown)?;
    if first.starts_with('{')
        || (first.starts_with('[') && !ansible_ini::is_section(first))
        || first == "null"
    {
        return of_json(&json(text)?);
    }
    if is_yaml(first) {
        return Ok(Format::AnsibleYaml);
    }
    if std::iter::once(first)
        .chain(lines)
        .take_while(|line| !ansible_ini::is_section(line))
        .all(ansible_ini::is_host)
    {
        return Ok(Format::AnsibleIni);
    }
    Err(ImportError::Unknown)
}

/// `---`, or the name of a group.
fn is_yaml(line: &str) -> bool {
    let key = line.split_once(':').filter(|(name, rest)| {
        let name = name.trim_matches(['"', '\'']);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(plain) && (rest.is_empty() || rest.starts_with(' '))
    });
    line.starts_with("---") || line.starts_with("%YAML") || key.is_some()
}

fn of_json(value: &Value) -> Result<Format, ImportError> {
    match value {
        Value::Object(object) => {
            let has = |key: &str| object.contains_key(key);
            let is_output = |one: &Value| one.get("value").is_some() && one.get("type").is_some();
            let is_state = ["format_version", "values", "planned_values"]
                .into_iter()
                .any(has);
            if is_state || object.values().all(is_output) {
                Ok(Format::Terraform)
            } else if has("lineage") || (has("resources") && has("version")) {
                Err(ImportError::RawState)
            } else if has("_meta") || has("all") {
                Err(ImportError::AnsibleJson)
            } else {
                Err(ImportError::Unknown)
            }
        }
        Value::Array(list) => {
            let any = |keys: &[&str]| {
                let mut objects = list.iter().filter_map(Value::as_object);
                objects.any(|one| keys.iter().any(|key| one.contains_key(*key)))
            };
            if any(&["networks"]) || list.is_empty() {
                Ok(Format::Doctl)
            } else if any(&["public_ips", "public_ip", "commercial_type"]) {
                Ok(Format::Scw)
            } else {
                Err(ImportError::Unknown)
            }
        }
        // What is printed where there is nothing.
        Value::Null => Ok(Format::Doctl),
        _ => Err(ImportError::Unknown),
    }
}
