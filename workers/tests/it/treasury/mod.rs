//! The treasury's jobs against a network, venues and a signer of the tests' own, on a real
//! database.

mod abandon;
mod addresses;
mod bumps;
mod crash;
mod credits;
mod net;
mod outside;
mod reorgs;
mod residues;
mod signing_desk;
mod stops;
mod sweeps;
mod transfers;
mod wire;
mod world;
