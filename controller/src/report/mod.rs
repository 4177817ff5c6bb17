//! Turns what happened into words, bars and JSON. Nothing here decides or calls back.

mod json;

pub(crate) use json::ResultLine;
