//! One file per command.

pub(crate) mod cases;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod migrate;
pub(crate) mod open_books;
pub(crate) mod seed;
pub(crate) mod serve;
pub(crate) mod simulate;
pub(crate) mod switch;
