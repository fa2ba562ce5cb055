//! The compiled contracts of `contracts/`, and the part of their interface that is called.

use alloy::{
    primitives::{Bytes, hex},
    sol,
    sol_types::SolValue as _,
};
use serde::Deserialize;
use std::collections::HashMap;

use super::SandboxError;

const ARTEFACTS: &str = include_str!("../../evm/contracts/artefacts.json");

#[derive(Deserialize)]
struct Artefacts {
    contracts: HashMap<String, Artefact>,
}

#[derive(Deserialize)]
struct Artefact {
    bytecode: String,
}

sol! {
    function mint(address to, uint256 value) external;
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);

    function pay(address to, uint256 value) external payable;
    function payTwice(address to, uint256 first, uint256 second) external payable;
    function payAndUndo(address to, uint256 value) external payable returns (bool);
    function payTokenTwice(address token, address to, uint256 first, uint256 second) external;
    function destroy(address to) external;
    function delegate(address to) external payable;
    function payThenFail(address to, uint256 value) external payable;

    function say(address to, uint256 gain, bytes32[] topics, bytes data) external;
    function sayAndUndo(address to, uint256 gain, bytes32[] topics, bytes data) external;
    function sayAndFail(address to, uint256 gain, bytes32[] topics, bytes data) external;
    function seize(address from) external;
    function borrow(address code, bytes input) external payable;
}

/// The code that creates `contract`, with its constructor's arguments already encoded.
pub(super) fn creation(contract: &str, arguments: &[u8]) -> Result<Bytes, SandboxError> {
    let artefacts: Artefacts = serde_json::from_str(ARTEFACTS)
        .map_err(|error| SandboxError(format!("contracts/artefacts.json: {error}")))?;
    let artefact = artefacts.contracts.get(contract).ok_or_else(|| {
        SandboxError(format!("no contract {contract} in contracts/artefacts.json"))
    })?;
    let mut code = hex::decode(&artefact.bytecode)
        .map_err(|error| SandboxError(format!("bytecode of {contract}: {error}")))?;
    code.extend_from_slice(arguments);
    Ok(code.into())
}

pub(super) fn token_arguments(name: &str, symbol: &str, decimals: u8) -> Vec<u8> {
    (name.to_owned(), symbol.to_owned(), u16::from(decimals)).abi_encode_params()
}

pub(super) fn flag_argument(flag: bool) -> Vec<u8> {
    (flag,).abi_encode_params()
}
