// Regenerates artefacts.json from the Solidity sources beside this file.
//
//   1. in a scratch folder outside this repository: npm install solc@0.8.30
//   2. NODE_PATH=<scratch folder>/node_modules node compile.js
//
// The compiler is pinned: another version makes another bytecode. Nothing at run time needs it,
// the committed artefacts are what the sandbox deploys.
"use strict";

const fs = require("fs");
const path = require("path");
const solc = require("solc");

const PINNED = "0.8.30";
if (!solc.version().startsWith(PINNED)) {
  throw new Error(`solc ${PINNED} wanted, found ${solc.version()}`);
}

const files = ["Fakes.sol", "Tokens.sol", "Wallets.sol"];
const sources = {};
for (const file of files) {
  sources[file] = { content: fs.readFileSync(path.join(__dirname, file), "utf8") };
}
// "paris" has no PUSH0, so the code runs on every network; no metadata hash, so that comments do
// not change the bytecode.
const settings = {
  evmVersion: "paris",
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};
const input = { language: "Solidity", sources, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const problem of output.errors ?? []) {
  if (problem.severity === "error") {
    throw new Error(problem.formattedMessage);
  }
}

const contracts = {};
for (const file of files) {
  for (const [name, made] of Object.entries(output.contracts[file])) {
    const bytecode = made.evm.bytecode.object;
    if (bytecode.length > 0) {
      contracts[name] = { source: file, abi: made.abi, bytecode: `0x${bytecode}` };
    }
  }
}
const { outputSelection, ...compiled } = settings;
const artefacts = { compiler: `solc ${solc.version()}`, settings: compiled, contracts };
fs.writeFileSync(path.join(__dirname, "artefacts.json"), `${JSON.stringify(artefacts, null, 1)}\n`);
