//! Sending only what the other end lacks: it says which pieces of content it holds, and is told a
//! content as runs of those pieces and as bytes that are new.
//!
//! Where a piece ends follows from the bytes around it alone, so both ends cut alike without
//! knowing each other's content, and an insertion moves no later cut. Nothing here is trusted: what
//! comes out counts only if its digest is the signed one.

mod cut;
mod print;
mod recipe;

pub use cut::{Cut, PieceSize};
pub use print::{HeldPieces, Print};
pub use recipe::{Held, RecipeReader, RecipeWriter};
