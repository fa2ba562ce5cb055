// A local Solana for tests and the demo: a real runtime (surfpool) that executes transactions, behind
// a block producer that puts them into linked blocks, skips slots, and can replace a branch.
//
// The runtime alone has no forks, no skipped slots, and block links that name nothing; what it
// executes (balances, fees, inner instructions, failures) is real and passed on as it is.
// Started by `chains_solana::sandbox`; says where it listens in one line of JSON and ends when its
// standard input closes. Listens on loopback only.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const options = JSON.parse(process.argv[2] ?? '{}');
const { Surfnet } = createRequire(import.meta.url)(process.env.CHUKTA_SURFPOOL);
const runtime = Surfnet.startWithConfig({
  offline: true, slotTimeMs: 50, blockProductionMode: 'clock', airdropSol: 100_000_000_000_000,
  payerSecretKey: options.payer,
});
// Undrained, the runtime stops answering after a thousand slots.
setInterval(() => { try { runtime.drainEvents(); } catch { /* nothing to drain */ } }, 100);

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
const base58 = (bytes) => {
  let number = BigInt('0x' + bytes.toString('hex')), text = '';
  while (number > 0n) { text = ALPHABET[Number(number % 58n)] + text; number /= 58n; }
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(zeros) + text;
};
const sleep = (millis) => new Promise((done) => setTimeout(done, millis));

let id = 0;
const forward = async (method, params) => {
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++id, method, params });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(runtime.rpcUrl, { method: 'POST', headers, body });
  return answer.json();
};
const asked = async (method, params) => {
  const answer = await forward(method, params);
  if (answer.error) throw Object.assign(new Error(answer.error.message), { code: answer.error.code });
  return answer.result;
};
const refuse = (code, message) => { throw Object.assign(new Error(message), { code }); };

const FIRST = 1000, FINAL_BEHIND = 31;
let branch = 0, automine = options.automine ?? true;
let waiting = [];
const blocks = [];

const append = (transactions) => {
  const parent = blocks.at(-1);
  const height = parent ? parent.height + 1 : 0;
  // A slot without a block now and then, as on the real network.
  const slot = parent ? parent.slot + (height % 7 === 0 ? 2 : 1) : FIRST;
  const names = transactions.map((tx) => tx.transaction.signatures[0]).join();
  const link = `${parent?.hash} ${slot} ${branch} ${names}`;
  const hash = base58(createHash('sha256').update(link).digest());
  const time = Math.floor(Date.now() / 1000);
  blocks.push({ slot, hash, height, time, parent, transactions });
};
append([]);

const mine = (count) => {
  const ready = waiting;
  waiting = [];
  for (let n = 0; n < count; n++) append(n === 0 ? ready : []);
};

const track = async (signature) => {
  for (let tries = 0; tries < 400; tries++) {
    const config = { encoding: 'json', commitment: 'confirmed', maxSupportedTransactionVersion: 0 };
    const answer = await forward('getTransaction', [signature, config]);
    if (answer.result) {
      const { meta, transaction, version } = answer.result;
      waiting.push({ meta, transaction, version });
      if (automine) mine(1);
      return;
    }
    await sleep(10);
  }
  refuse(-32000, 'the runtime never executed the transaction');
};

const keysOf = ({ meta, transaction }) => {
  const { accountKeys, header } = transaction.message;
  const signers = header.numRequiredSignatures;
  const writable = (n) => (n < signers ? n < signers - header.numReadonlySignedAccounts
    : n < accountKeys.length - header.numReadonlyUnsignedAccounts);
  const own = accountKeys.map((pubkey, n) => (
    { pubkey, signer: n < signers, source: 'transaction', writable: writable(n) }));
  const loaded = (list, writable) => list.map((pubkey) => (
    { pubkey, signer: false, source: 'lookupTable', writable }));
  const tables = meta.loadedAddresses ?? { writable: [], readonly: [] };
  return [...own, ...loaded(tables.writable, true), ...loaded(tables.readonly, false)];
};

const asAccounts = (tx) => {
  const { err, fee, preBalances, postBalances, preTokenBalances, postTokenBalances, status } = tx.meta;
  const meta = { err, fee, preBalances, postBalances, preTokenBalances, postTokenBalances, status };
  const accountKeys = tx.accountKeys ?? keysOf(tx);
  return { meta, transaction: { accountKeys, signatures: tx.transaction.signatures }, version: tx.version };
};

const tip = () => blocks.at(-1);
const final = () => blocks[Math.max(0, blocks.length - 1 - FINAL_BEHIND)];
const upTo = (commitment) => (commitment === 'confirmed' || commitment === 'processed' ? tip() : final());
const isFinal = (block) => block.slot <= final().slot;
const find = (signature) => {
  for (const block of blocks) {
    const tx = block.transactions.find((one) => one.transaction.signatures[0] === signature);
    if (tx) return { block, tx };
  }
  return null;
};

// Takes what a dropped transaction gave to the receiving wallet away from it again.
const undo = async (tx, wallet) => {
  const keys = keysOf(tx), { meta } = tx;
  if (meta.err) return;
  const at = keys.findIndex((key) => key.pubkey === wallet);
  const gain = at < 0 ? 0 : meta.postBalances[at] - meta.preBalances[at];
  if (gain > 0) {
    const now = (await asked('getBalance', [wallet])).value;
    await asked('surfnet_setAccount', [wallet, { lamports: now - gain }]);
  }
  for (const after of meta.postTokenBalances.filter((one) => one.owner === wallet)) {
    const before = meta.preTokenBalances.find((one) => one.accountIndex === after.accountIndex);
    const more = BigInt(after.uiTokenAmount.amount) - BigInt(before?.uiTokenAmount.amount ?? 0);
    if (more <= 0n) continue;
    const account = keys[after.accountIndex].pubkey;
    const now = BigInt((await asked('getTokenAccountBalance', [account])).value.amount);
    await asked('surfnet_setTokenAccount',
      [wallet, after.mint, { amount: Number(now - more) }, after.programId]);
  }
};

const reorg = async (depth, keep, wallet) => {
  if (depth >= blocks.length) refuse(-32602, 'deeper than the chain');
  const gone = depth > 0 ? blocks.splice(-depth) : [];
  branch += 1;
  append([]);
  for (const block of gone) append(keep ? block.transactions : []);
  if (keep) return;
  for (const tx of gone.flatMap((block) => block.transactions)) await undo(tx, wallet);
};

const methods = {
  getSlot: ([config]) => upTo(config?.commitment).slot,
  getBlockHeight: ([config]) => upTo(config?.commitment).height,
  getFirstAvailableBlock: () => FIRST,
  getBlocks: (params) => {
    const end = Number.isInteger(params[1]) ? params[1] : Infinity;
    const last = upTo(params.find((one) => one?.commitment)?.commitment).slot;
    const slots = blocks.map((block) => block.slot);
    return slots.filter((slot) => slot >= params[0] && slot <= Math.min(end, last));
  },
  getBlock: ([slot, config]) => {
    if (slot < FIRST) refuse(-32001, `Block ${slot} cleaned up, does not exist on node`);
    if (slot > upTo(config?.commitment).slot) refuse(-32004, `Block not available for slot ${slot}`);
    const block = blocks.find((one) => one.slot === slot);
    if (!block) refuse(-32007, `Slot ${slot} was skipped, or missing due to ledger jump to recent snapshot`);
    const { hash, height, time, parent, transactions } = block;
    const details = config?.transactionDetails ?? 'full';
    const answer = {
      blockHeight: height, blockTime: time, blockhash: hash, parentSlot: parent?.slot ?? FIRST - 1,
      previousBlockhash: parent?.hash ?? '11111111111111111111111111111111',
    };
    if (details === 'accounts') answer.transactions = transactions.map(asAccounts);
    if (details === 'full') answer.transactions = transactions;
    return answer;
  },
  getSignatureStatuses: ([signatures]) => ({
    context: { slot: tip().slot },
    value: signatures.map((signature) => {
      const found = find(signature);
      if (found) {
        const confirmationStatus = isFinal(found.block) ? 'finalized' : 'confirmed';
        const { err, status } = found.tx.meta;
        const confirmations = isFinal(found.block) ? null : tip().height - found.block.height;
        return { slot: found.block.slot, confirmations, confirmationStatus, err, status };
      }
      const held = waiting.find((one) => one.transaction.signatures[0] === signature);
      if (!held) return null;
      const { err, status } = held.meta;
      return { slot: tip().slot + 1, confirmations: 0, confirmationStatus: 'processed', err, status };
    }),
  }),
  getTransaction: ([signature]) => {
    const found = find(signature);
    return found ? { ...found.tx, slot: found.block.slot, blockTime: found.block.time } : null;
  },
  sendTransaction: async (params) => {
    const signature = await asked('sendTransaction', params);
    await track(signature);
    return signature;
  },
  sandbox_mine: ([count]) => mine(count),
  sandbox_automine: ([on]) => { automine = on; },
  sandbox_reorg: ([depth, keep, wallet]) => reorg(depth, keep, wallet),
  // A transaction as a block would show it, which no honest payer could make here.
  sandbox_inject: ([tx]) => { waiting.push(tx); if (automine) mine(1); },
};

if (options.interval) setInterval(() => mine(1), options.interval);

const LARGEST = 1 << 20;
const serve = async (request, response) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > LARGEST) { response.destroy(); return; }
    chunks.push(chunk);
  }
  let answer, call = {};
  try {
    call = JSON.parse(Buffer.concat(chunks).toString());
    const method = methods[call.method];
    answer = method
      ? { jsonrpc: '2.0', id: call.id, result: (await method(call.params ?? [])) ?? null }
      : { ...await forward(call.method, call.params ?? []), id: call.id };
  } catch (error) {
    const code = error.code ?? -32603;
    answer = { jsonrpc: '2.0', id: call.id ?? null, error: { code, message: error.message } };
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(answer));
};

const server = createServer((request, response) => {
  serve(request, response).catch(() => response.destroy());
});
const genesis = await asked('getGenesisHash', []);
server.listen(options.port ?? 0, '127.0.0.1', () => {
  const rpcUrl = `http://127.0.0.1:${server.address().port}`;
  process.stdout.write(JSON.stringify({ rpcUrl, wsUrl: runtime.wsUrl, genesis }) + '\n');
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
