//! What the controller and the agent must agree on, and nothing else: a type lives here only if
//! both binaries would break when it changes.
//!
//! Nothing here prints, reads a clock, an environment variable or a network.

pub mod app_file;
pub mod digest;
pub mod instance;
pub mod manifest;
pub mod name;
pub mod path_pattern;
pub mod pieces;
pub mod settings;
pub mod setup;
pub mod signature;
pub mod span;
pub mod tree;
pub mod trust_file;
pub mod wire;
