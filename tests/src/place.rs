//! Where a lab keeps its things, and the names that it alone uses on this machine.
//!
//! Every name is made from the lab's own, so what a crashed run left behind can be found and
//! cleared even if its record was lost.

use std::env;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use thiserror::Error;

const DEFAULT_CACHE: &str = "/var/cache/longshore-lab";
const DEFAULT_LABS: &str = "/var/lib/longshore-lab";

/// A lab's name that cannot be used.
#[derive(Debug, Error)]
#[error("{0:?} cannot name a lab: use 1 to 26 of a-z, 0-9 and '-' (LONGSHORE_LAB)")]
pub struct BadName(String);

/// One lab's name and folders.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    tag: String,
    cache: PathBuf,
    labs: PathBuf,
}

impl Place {
    /// The lab that `LONGSHORE_LAB` names, or the one called `demo`.
    pub fn from_environment() -> Result<Self, BadName> {
        let name = env::var("LONGSHORE_LAB").unwrap_or_else(|_| String::from("demo"));
        let cache = env::var_os("LONGSHORE_LAB_CACHE").map_or(DEFAULT_CACHE.into(), PathBuf::from);
        let labs = env::var_os("LONGSHORE_LAB_FOLDER").map_or(DEFAULT_LABS.into(), PathBuf::from);
        Self::new(&name, cache, labs)
    }

    /// A lab of this name with the given folders.
    pub fn new(name: &str, cache: PathBuf, labs: PathBuf) -> Result<Self, BadName> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 26 || name.starts_with('-') || !name.chars().all(fits) {
            return Err(BadName(name.to_owned()));
        }
        let digest = Sha256::digest(name.as_bytes());
        let tag = digest[..3]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Self {
            name: name.to_owned(),
            tag,
            cache,
            labs,
        })
    }

    /// The same folders for a lab beside this one.
    pub fn beside(&self, suffix: &str) -> Result<Self, BadName> {
        // The limit is for what people choose; what is added to it is ours.
        Self::new(
            &format!("{}-{suffix}", self.name),
            self.cache.clone(),
            self.labs.clone(),
        )
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Six hexadecimal digits that stand for the name where it would be too long.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// What all labs of this machine share: bases and tools.
    pub fn cache(&self) -> PathBuf {
        self.cache.clone()
    }

    /// Where all labs of this machine live.
    pub fn labs(&self) -> PathBuf {
        self.labs.clone()
    }

    /// This lab's own folder.
    pub fn folder(&self) -> PathBuf {
        self.labs.join(&self.name)
    }

    /// The inventory that people and tests give to the controller.
    pub fn inventory(&self) -> PathBuf {
        self.folder().join("inventory.toml")
    }

    /// The lab's record of itself.
    pub fn record(&self) -> PathBuf {
        self.folder().join("lab.json")
    }

    /// Held by whoever builds up or takes down this lab.
    pub fn lock(&self) -> PathBuf {
        self.labs.join(format!("{}.lock", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Result<Place, BadName> {
        Place::new(name, "/c".into(), "/l".into())
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in [
            "",
            "../x",
            "a/b",
            "-a",
            "Ä",
            "a name",
            "abcdefghijklmnopqrstuvwxyza",
        ] {
            assert!(place(name).is_err(), "{name}");
        }
    }

    #[test]
    fn two_labs_share_nothing_but_the_cache() {
        let (one, two) = (place("one").unwrap(), place("two").unwrap());
        assert_ne!(one.tag(), two.tag());
        assert_ne!(one.folder(), two.folder());
        assert_eq!(one.cache(), two.cache());
    }
}
