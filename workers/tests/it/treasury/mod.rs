//! The treasury's jobs against a network, venues and a signer of the tests' own, on a real
//! database.

mod abandon;
mod addresses;
mod adopted;
mod bumps;
mod cold;
mod crash;
mod credits;
mod lanes;
mod net;
mod outside;
mod random;
mod redrafts;
mod reorgs;
mod residues;
mod signing_desk;
mod stations;
mod stops;
mod sweeps;
mod transfers;
mod wire;
mod witnesses;
mod world;
