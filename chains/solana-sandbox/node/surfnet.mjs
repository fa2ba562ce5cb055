// A local Solana for tests and the demo: a real runtime (surfpool) that executes transactions, behind
// a block producer that puts them into linked blocks, skips slots, and can replace a branch.
//
// The runtime alone has no forks, no skipped slots, and block links that name nothing; what it
// executes (balances, fees, inner instructions, failures) is real and passed on as it is. When a
// branch is replaced, the runtime starts over and executes what is left again, so that balances are
// those of the new branch and a transaction may do something else there.
// Started by `chains_solana::sandbox`; says where it listens in one line of JSON and ends when its
// standard input closes. Listens on loopback only.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const options = JSON.parse(process.argv[2] ?? '{}');
const { Surfnet } = createRequire(import.meta.url)(process.env.CHUKTA_SURFPOOL);
const runtime = Surfnet.startWithConfig({
  // The runtime's own clock stands still, so that its blockhash stays good for as long as it runs.
  offline: true, blockProductionMode: 'manual', slotTimeMs: 86_400_000, airdropSol: 0,
  payerSecretKey: options.payer,
});
const RICH = 100_000_000_000_000;
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

const LARGEST = 1 << 20;
const FIRST = 1000, FINAL_BEHIND = 31;
let branch = 0, turn = 0, automine = options.automine ?? true;
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
  announce(blocks.at(-1));
};

const mine = (count) => {
  const ready = waiting;
  waiting = [];
  for (let n = 0; n < count; n++) append(n === 0 ? ready : []);
};

// Blockhashes the runtime gave, oldest first: the height each was first seen at, and the one from
// which on another took its place. It is over when 150 more are on top of that.
const LASTS = 150;
const hashes = [];
const look = async () => {
  const { value } = await asked('getLatestBlockhash', [{ commitment: 'confirmed' }]);
  const last = hashes.at(-1);
  if (last?.hash === value.blockhash) return;
  const height = tip()?.height ?? 0;
  if (last) last.until = height;
  hashes.push({ hash: value.blockhash, since: last ? height : 0, until: Infinity });
};
const isGood = (hash, { height }) => {
  const known = hashes.find((one) => one.hash === hash);
  return known !== undefined && known.since <= height && height - known.until <= LASTS;
};
// The blockhash a signed transaction names, and its first signature.
const namedBy = ([raw, config]) => {
  if (config?.encoding !== 'base64') return null;
  const bytes = Buffer.from(raw, 'base64');
  let at = 1 + 64 * bytes[0];
  const signature = base58(bytes.subarray(1, 65));
  if (bytes[at] & 128) at += 1;
  const accounts = bytes[at + 3];
  if (accounts & 128) return null;
  const start = at + 4 + 32 * accounts;
  return { signature, hash: base58(bytes.subarray(start, start + 32)) };
};

// What was done to the runtime, in order: transactions, and accounts set by hand.
let journal = [];
const set = async (params) => {
  const result = await asked('surfnet_setAccount', params);
  journal.push({ params });
  return result;
};

// How long the runtime may take for a transaction on a busy machine.
const PATIENCE_MS = 30_000;
const execute = async (sent) => {
  const signature = await asked('sendTransaction', sent);
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const config = { encoding: 'json', commitment: 'confirmed', maxSupportedTransactionVersion: 0 };
    const answer = await forward('getTransaction', [signature, config]);
    if (answer.result) {
      const { meta, transaction, version } = answer.result;
      const tx = { meta, transaction, version, sent };
      journal.push({ tx });
      return tx;
    }
    await sleep(5);
  }
  return refuse(-32000, 'the runtime never executed the transaction');
};

// The runtime as it was at its start, but for what the journal keeps.
const startOver = async (gone) => {
  const before = journal;
  journal = [];
  await asked('surfnet_resetNetwork', []);
  await asked('surfnet_setAccount', [runtime.payer, { lamports: RICH }]);
  for (const { params, tx } of before) {
    if (params) await set(params);
    else if (!gone.has(tx)) Object.assign(tx, await execute(tx.sent));
  }
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

const reorg = async (depth, keep) => {
  if (depth >= blocks.length) refuse(-32602, 'deeper than the chain');
  const gone = depth > 0 ? blocks.splice(-depth) : [];
  branch += 1;
  await startOver(new Set(gone.flatMap((block) => block.transactions)));
  append([]);
  for (const block of gone) {
    const again = [];
    for (const tx of keep ? block.transactions : []) {
      for (const params of tx.differently ?? []) await set(params);
      again.push(tx.sent ? await execute(tx.sent) : tx);
    }
    append(again);
  }
};

// Subscriptions: slots as they come, and transactions that mention an account.
const listeners = new Map();
let subscription = 0;
const say = (socket, message) => {
  const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', ...message }));
  const long = body.length > 125;
  const head = long ? [0x81, 126, body.length >> 8, body.length & 255] : [0x81, body.length];
  if (body.length < 65_536) socket.write(Buffer.concat([Buffer.from(head), body]));
};
function announce(block) {
  for (const [id, { socket, kind, mentions }] of listeners) {
    const method = `${kind}Notification`;
    const tell = (result) => say(socket, { method, params: { result, subscription: id } });
    if (kind === 'slot') {
      tell({ slot: block.slot, parent: block.parent?.slot ?? 0, root: final().slot });
      continue;
    }
    for (const tx of block.transactions) {
      if (!(tx.accountKeys ?? keysOf(tx)).some((key) => mentions.includes(key.pubkey))) continue;
      const [signature] = tx.transaction.signatures;
      const value = { signature, err: tx.meta.err, logs: tx.meta.logMessages ?? [] };
      tell({ context: { slot: block.slot }, value });
    }
  }
}
const heard = (socket, text) => {
  const { id, method, params } = JSON.parse(text);
  const kind = method.replace('Subscribe', '');
  if (method.endsWith('Unsubscribe')) {
    say(socket, { id, result: listeners.delete(params[0]) });
  } else if (kind === 'slot' || kind === 'logs') {
    subscription += 1;
    listeners.set(subscription, { socket, kind, mentions: params?.[0]?.mentions ?? [] });
    say(socket, { id, result: subscription });
  } else {
    say(socket, { id, error: { code: -32601, message: 'Method not found' } });
  }
};
const upgrade = (request, socket) => {
  const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
  const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + magic).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
    + `Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let bytes = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 6) {
      const kind = bytes[0] & 15, long = (bytes[1] & 127) === 126;
      const start = long ? 8 : 6, length = long ? bytes.readUInt16BE(2) : bytes[1] & 127;
      if (length === 127 || length > LARGEST) { socket.destroy(); return; }
      if (bytes.length < start + length) return;
      const mask = bytes.subarray(start - 4, start);
      const body = Buffer.from(bytes.subarray(start, start + length)).map((byte, n) => byte ^ mask[n % 4]);
      bytes = bytes.subarray(start + length);
      if (kind === 8) { socket.end(); return; }
      if (kind === 9) socket.write(Buffer.concat([Buffer.from([0x8a, body.length]), body]));
      if (kind === 1) { try { heard(socket, body.toString()); } catch { socket.destroy(); return; } }
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const [id, one] of listeners) if (one.socket === socket) listeners.delete(id);
  });
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
  getBlocksWithLimit: ([start, limit, config]) => {
    const last = upTo(config?.commitment).slot;
    const slots = blocks.map((block) => block.slot).filter((slot) => slot >= start && slot <= last);
    return slots.slice(0, limit);
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
  getLatestBlockhash: async ([config]) => {
    await look();
    const { slot, height } = upTo(config?.commitment);
    const { hash } = hashes.findLast((one) => one.since <= height);
    return { context: { slot }, value: { blockhash: hash, lastValidBlockHeight: height + LASTS } };
  },
  isBlockhashValid: async ([hash, config]) => {
    await look();
    const block = upTo(config?.commitment);
    if (config?.minContextSlot > block.slot) refuse(-32016, 'Minimum context slot has not been reached');
    return { context: { slot: block.slot }, value: isGood(hash, block) };
  },
  getSignaturesForAddress: ([address, config]) => {
    const last = upTo(config?.commitment);
    if (config?.minContextSlot > last.slot) refuse(-32016, 'Minimum context slot has not been reached');
    let listed = blocks.filter((block) => block.slot <= last.slot).reverse().flatMap((block) => (
      block.transactions
        .filter((tx) => (tx.accountKeys ?? keysOf(tx)).some((key) => key.pubkey === address))
        .map((tx) => ({
          signature: tx.transaction.signatures[0], slot: block.slot, err: tx.meta.err,
          memo: null, blockTime: block.time,
          confirmationStatus: isFinal(block) ? 'finalized' : 'confirmed',
        })).reverse()));
    const from = listed.findIndex((one) => one.signature === config?.before);
    if (from >= 0) listed = listed.slice(from + 1);
    return listed.slice(0, config?.limit ?? 1000);
  },
  getTransaction: ([signature, config]) => {
    const found = find(signature);
    if (found && config?.commitment === 'finalized' && !isFinal(found.block)) return null;
    return found ? { ...found.tx, slot: found.block.slot, blockTime: found.block.time } : null;
  },
  sendTransaction: async (params) => {
    await look();
    const named = namedBy(params);
    if (named && !isGood(named.hash, tip())) {
      // Without a look beforehand it is taken, and never happens.
      if (params[1].skipPreflight) return named.signature;
      refuse(-32002, 'Transaction simulation failed: Blockhash not found');
    }
    const tx = await execute(params);
    waiting.push(tx);
    if (automine) mine(1);
    return tx.transaction.signatures[0];
  },
  // A new blockhash: from now on the old one grows old.
  sandbox_blockhash: async () => {
    await look();
    const { hash } = hashes.at(-1);
    // The first step after a start gives the same one once more.
    for (let steps = 0; steps < 3 && hashes.at(-1).hash === hash; steps++) {
      const { absoluteSlot } = await asked('getEpochInfo', [{ commitment: 'processed' }]);
      await asked('surfnet_timeTravel', [{ absoluteSlot: absoluteSlot + 1 }]);
      await look();
    }
  },
  // Another number every time, whoever asks.
  sandbox_turn: () => { turn += 1; return turn; },
  sandbox_mine: ([count]) => mine(count),
  sandbox_automine: ([on]) => { automine = on; },
  sandbox_reorg: ([depth, keep]) => reorg(depth, keep),
  // Sets accounts before this transaction is executed again on another branch.
  sandbox_differently: ([signature, accounts]) => {
    const { tx } = find(signature) ?? refuse(-32602, 'no such transaction');
    tx.differently = accounts;
  },
  surfnet_setAccount: set,
  // A transaction as a block would show it, which no honest payer could make here.
  sandbox_inject: ([tx]) => { waiting.push(tx); if (automine) mine(1); },
};

if (options.interval) setInterval(() => inTurn(async () => mine(1)), options.interval);

// One thing at a time: nobody sees a branch that is half replaced.
let last = Promise.resolve();
const inTurn = (work) => {
  const done = last.then(work);
  last = done.catch(() => {});
  return done;
};
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
    const work = async () => (method
      ? { jsonrpc: '2.0', id: call.id, result: (await method(call.params ?? [])) ?? null }
      : { ...await forward(call.method, call.params ?? []), id: call.id });
    answer = await inTurn(work);
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
server.on('upgrade', upgrade);
const genesis = await asked('getGenesisHash', []);
await startOver(new Set());
append([]);
server.listen(options.port ?? 0, '127.0.0.1', () => {
  const rpcUrl = `http://127.0.0.1:${server.address().port}`;
  process.stdout.write(JSON.stringify({ rpcUrl, wsUrl: rpcUrl.replace('http', 'ws'), genesis }) + '\n');
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
