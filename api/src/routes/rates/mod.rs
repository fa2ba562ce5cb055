//! The rate board, as merchants may see it.

pub(crate) mod list;
