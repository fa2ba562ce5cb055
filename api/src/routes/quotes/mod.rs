//! What a payer must send, for a payment and a method.

pub(crate) mod create;
