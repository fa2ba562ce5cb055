//! One file per command.

pub mod check;
pub mod explain;
pub mod migrate;
pub mod open_books;
pub mod seed;
pub mod serve;
pub mod simulate;
pub mod switch;
