//! What travels between controller and agent: frames of bounded length, and the messages in them.

pub mod codec;
pub mod v1;

pub use v1 as latest;
