//! Moving traffic: start the idle slot → health → site → links → settle.
//!
//! Until the links move, the old release serves and everything can be taken back; from then on the
//! new one serves, and what is left to do is only finished.

mod applied;
pub(crate) mod boot;
pub(crate) mod cooldown;
pub(crate) mod direction;
mod health;
mod kept;
pub(crate) mod leave;
pub(crate) mod live;
mod made;
mod may_serve;
pub(crate) mod migrate;
mod probe;
pub(crate) mod process_status;
pub(crate) mod processes;
mod prune;
mod settle;
pub(crate) mod site;
mod switch;
mod take_back;
mod units;
mod way_back;
mod workers;

pub(crate) use health::is_healthy;
pub(crate) use may_serve::{Wanted, may_serve};
pub(crate) use prune::{clear_staging, prune, sweep};
pub(crate) use settle::finish;
pub(crate) use switch::{Switch, verb};
pub(crate) use take_back::take_back;
pub(crate) use way_back::rollback_target;
