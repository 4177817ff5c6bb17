//! From one text of an inventory to the next. The parser only says where things stand; what is new
//! is put between two bytes of the old text, or in the place of one value, so all the rest stays.

use std::ops::Range;

use longshore_shared::name::{EnvironmentName, HostName};
use thiserror::Error;
use toml_edit::{Array, Document, Item, Table, TableLike, TomlError, Value};

use crate::inventory::Address;

/// Why a text was not edited.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TextError {
    #[error("it is no TOML")]
    Syntax(#[from] TomlError),
    #[error("it has no host {0} there")]
    NoHost(HostName),
    #[error("{0} is written in a way that only a person can add to: use tables such as {1}")]
    Form(&'static str, &'static str),
}

/// A host to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    pub name: HostName,
    pub address: Address,
    pub user: Option<String>,
    pub roles: Vec<String>,
}

const HOSTS: TextError = TextError::Form("`hosts`", "[[environments.NAME.hosts]]");
const ENVIRONMENTS: TextError = TextError::Form("`environments`", "[environments.NAME]");

/// Pins a host's key. One that is there is replaced; a list, which a host has while it changes its
/// key, gets it too.
pub fn pin_host_key(
    text: &str,
    environment: &EnvironmentName,
    host: &HostName,
    key: &str,
) -> Result<String, TextError> {
    let document = Document::parse(text)?;
    let missing = || TextError::NoHost(host.clone());
    let hosts = document
        .as_table()
        .get("environments")
        .and_then(|all| all.get(environment.as_str()))
        .and_then(|own| own.get("hosts"))
        .ok_or_else(missing)?;
    let is_it =
        |table: &dyn TableLike| table.get("name").and_then(Item::as_str) == Some(host.as_str());
    let line = format!("host_key = {}", quoted(key));
    match hosts {
        Item::ArrayOfTables(tables) => {
            let table = tables.iter().find(|table| is_it(*table));
            let table = table.ok_or_else(missing)?;
            match table.get("host_key") {
                Some(Item::Value(there)) => pinned_beside(text, there, key),
                Some(_) => Err(HOSTS),
                None => {
                    let last = end_of(table).ok_or(HOSTS)?;
                    let line = format!("{}{line}", indent(text, table));
                    Ok(line_after(text, last, &[line]))
                }
            }
        }
        Item::Value(Value::Array(list)) => {
            let mut tables = list.iter().filter_map(Value::as_inline_table);
            let table = tables.find(|table| is_it(*table)).ok_or_else(missing)?;
            match table.get("host_key") {
                Some(there) => pinned_beside(text, there, key),
                None => {
                    let last = end_of(table).ok_or(HOSTS)?;
                    inserted(text, last, &format!(", {line}"))
                }
            }
        }
        _ => Err(HOSTS),
    }
}

/// Adds a host behind the others of its environment, which is made where it is not there.
pub fn add_host(
    text: &str,
    environment: &EnvironmentName,
    host: &NewHost,
) -> Result<String, TextError> {
    let document = Document::parse(text)?;
    let mut words = vec![
        format!("name = {}", quoted(host.name.as_str())),
        format!("address = {}", quoted(&host.address.to_string())),
    ];
    if let Some(user) = &host.user {
        words.push(format!("user = {}", quoted(user)));
    }
    if !host.roles.is_empty() {
        let roles: Vec<String> = host.roles.iter().map(|role| quoted(role)).collect();
        words.push(format!("roles = [{}]", roles.join(", ")));
    }
    let header = format!("[[environments.{environment}.hosts]]");
    let block = |indent: &str| {
        let lines = std::iter::once(&header).chain(&words);
        let mut block = vec![String::new()];
        block.extend(lines.map(|line| format!("{indent}{line}")));
        block
    };

    let Some(all) = document.as_table().get("environments") else {
        return Ok(at_the_end(text, environment, block("")));
    };
    // Only tables with headers of their own can be added to by another header.
    let all = all.as_table().filter(|all| !all.is_dotted());
    let all = all.ok_or(ENVIRONMENTS)?;
    let Some(own) = all.get(environment.as_str()) else {
        return Ok(at_the_end(text, environment, block("")));
    };
    match own.get("hosts") {
        Some(Item::ArrayOfTables(tables)) => {
            let last = tables.iter().last().ok_or(HOSTS)?;
            let end = end_of(last).or_else(|| last.span().map(|header| header.end));
            Ok(line_after(
                text,
                end.ok_or(HOSTS)?,
                &block(&indent(text, last)),
            ))
        }
        Some(Item::Value(Value::Array(list))) => {
            with_item(text, list, &format!("{{ {} }}", words.join(", ")))
        }
        Some(_) => Err(HOSTS),
        None => {
            let own = own.as_table().filter(|own| !own.is_dotted());
            let own = own.ok_or(ENVIRONMENTS)?;
            let header = own.span().filter(|_| !own.is_implicit());
            match end_of(own).or_else(|| header.map(|header| header.end)) {
                Some(end) => Ok(line_after(text, end, &block(""))),
                None => Ok(line_after(text, text.len(), &block(""))),
            }
        }
    }
}

fn at_the_end(text: &str, environment: &EnvironmentName, block: Vec<String>) -> String {
    let mut lines = vec![String::new(), format!("[environments.{environment}]")];
    if text.trim_start_matches('\u{feff}').is_empty() {
        lines.remove(0);
    }
    lines.extend(block);
    line_after(text, text.len(), &lines)
}

/// The key in the place of the one that is there, or beside those of a list.
fn pinned_beside(text: &str, there: &Value, key: &str) -> Result<String, TextError> {
    let has = |one: &str| is_key(one, key);
    match there {
        Value::String(one) if has(one.value()) => Ok(text.to_owned()),
        Value::String(one) => replaced(text, one.span(), &quoted(key)),
        Value::Array(list) if list.iter().filter_map(Value::as_str).any(has) => Ok(text.to_owned()),
        Value::Array(list) => with_item(text, list, &quoted(key)),
        _ => Err(HOSTS),
    }
}

/// A list with one more item, set like the last one: where each has a line, so has the new one.
fn with_item(text: &str, list: &Array, item: &str) -> Result<String, TextError> {
    let span = list.span().ok_or(HOSTS)?;
    let Some(last) = list.iter().last() else {
        return inserted(text, span.start + 1, item);
    };
    let last = last.span().ok_or(HOSTS)?;
    let before = text.get(..last.start).unwrap_or_default();
    let blank = before.trim_end_matches([' ', '\t']);
    // Where the list ends on the line of its last item, the new one stands there too.
    let rest = text.get(last.end..span.end).unwrap_or_default();
    let rest = rest.trim_end_matches(']');
    if !blank.ends_with('\n') || !rest.contains('\n') {
        return match rest.find(',') {
            Some(comma) if rest.trim_start().starts_with(',') => {
                inserted(text, last.end + comma + 1, &format!(" {item}"))
            }
            _ => inserted(text, last.end, &format!(", {item}")),
        };
    }
    let indent = before.get(blank.len()..).unwrap_or_default();
    let after = text.get(last.end..).unwrap_or_default();
    if after.trim_start_matches([' ', '\t']).starts_with(',') {
        let line = format!("{indent}{item},");
        return Ok(line_after(text, last.end, &[line]));
    }
    let comma = inserted(text, last.end, ",")?;
    Ok(line_after(&comma, last.end, &[format!("{indent}{item}")]))
}

/// Whether it is this key, whatever is written behind it.
fn is_key(there: &str, key: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().take(2);
        words.map(str::to_owned).collect()
    };
    words(there) == words(key)
}

/// Where the last value of a table's own ends.
fn end_of(table: &dyn TableLike) -> Option<usize> {
    let own = table.iter().map(|(_, item)| item);
    own.filter_map(|item| match item {
        Item::Value(value) => value.span().map(|span| span.end),
        // `setup.swap = "1G"`
        Item::Table(inner) if inner.is_dotted() => end_of(inner),
        _ => None,
    })
    .max()
}

/// What stands before the keys of a table.
fn indent(text: &str, table: &Table) -> String {
    let first = table.iter().find_map(|(name, _)| table.key(name)?.span());
    let before = first.and_then(|key| text.get(..key.start));
    let line = before.and_then(|before| before.rsplit('\n').next());
    line.filter(|line| line.trim().is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// The text with these lines after the line in which `at` is.
fn line_after(text: &str, at: usize, lines: &[String]) -> String {
    let newline = newline_of(text);
    let rest = text.get(at..).unwrap_or_default();
    let end = rest.find('\n').map(|end| at + end + 1);
    let (before, after) = text.split_at(end.unwrap_or(text.len()));
    let mut edited = before.to_owned();
    if !edited.is_empty() && !edited.ends_with('\n') && edited != "\u{feff}" {
        edited.push_str(newline);
    }
    for line in lines {
        edited.push_str(line);
        edited.push_str(newline);
    }
    edited + after
}

/// As the text itself ends its lines.
fn newline_of(text: &str) -> &'static str {
    match text.find('\n') {
        Some(end) if text[..end].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

fn inserted(text: &str, at: usize, what: &str) -> Result<String, TextError> {
    replaced(text, Some(at..at), what)
}

fn replaced(text: &str, span: Option<Range<usize>>, what: &str) -> Result<String, TextError> {
    let span = span.ok_or(HOSTS)?;
    let (Some(before), Some(after)) = (text.get(..span.start), text.get(span.end..)) else {
        return Err(HOSTS);
    };
    Ok(format!("{before}{what}{after}"))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
