// The bank rail driven by three npm packages, unchanged: razorpayx-sdk (the whole life of payouts),
// razorpay (low-level payouts, webhook verification) and razorpayx-nodejs-sdk, which sends no
// idempotency key and must be refused.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const need = createRequire(process.env.PEER_MODULES);
const { RazorpayX } = need("razorpayx-sdk");
const Razorpay = need("razorpay");
const OldRazorpayX = need("razorpayx-nodejs-sdk");

const base = process.env.RAZORPAYX_BASE_URL;
const control = process.env.CONTROL_URL;
const account = process.env.ACCOUNT_NUMBER;
const keyId = process.env.KEY_ID;
const keySecret = process.env.KEY_SECRET;
const run = randomUUID().slice(0, 8);

const rpx = new RazorpayX({ keyId, keySecret, baseUrl: `${base}/v1/` });

async function steer(path, body) {
  const answer = await fetch(`${control}/razorpayx${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200, `${path}: ${await answer.clone().text()}`);
  return answer.json();
}

async function until(what, look) {
  for (let tries = 0; tries < 100; tries += 1) {
    const found = await look();
    if (found) return found;
    await sleep(50);
  }
  throw new Error(`never: ${what}`);
}

async function refused(promise, status, description) {
  const error = await promise.then(
    () => assert.fail("was not refused"),
    (error) => error,
  );
  assert.equal(error.statusCode, status);
  if (description) assert.equal(error.message, description);
  return error;
}

const checks = {
  async "razorpayx-sdk: contacts"() {
    const details = { name: `Chai Corner ${run}`, type: "vendor", reference_id: `shop-${run}` };
    const contact = await rpx.contacts.create(details);
    assert.match(contact.id, /^cont_[0-9A-Za-z]{14}$/);
    assert.deepEqual(contact.notes, []);
    assert.equal((await rpx.contacts.create(details)).id, contact.id);
    assert.deepEqual(await rpx.contacts.fetch(contact.id), contact);
    const email = "shop@example.com";
    assert.equal((await rpx.contacts.update(contact.id, { email })).email, email);
    assert.equal((await rpx.contacts.deactivate(contact.id)).active, false);
    assert.equal((await rpx.contacts.activate(contact.id)).active, true);
    const list = await rpx.contacts.all({ reference_id: `shop-${run}` });
    assert.deepEqual([list.entity, list.count], ["collection", 1]);
    await refused(rpx.contacts.create({}), 400, "The name field is required.");
    const stranger = new RazorpayX({ keyId, keySecret: "wrong", baseUrl: `${base}/v1/` });
    await refused(stranger.contacts.all(), 401);
  },

  async "razorpayx-sdk: fund accounts"() {
    const contact = await rpx.contacts.create({ name: `Fund ${run}` });
    const vpa = await rpx.fundAccounts.create({
      contact_id: contact.id,
      account_type: "vpa",
      vpa: { address: `shop.${run}@okbank` },
    });
    assert.deepEqual([vpa.vpa.username, vpa.vpa.handle], [`shop.${run}`, "okbank"]);
    const bank = await rpx.fundAccounts.create({
      contact_id: contact.id,
      account_type: "bank_account",
      bank_account: { name: "Asha Rao", ifsc: "HDFC0000053", account_number: "765432123456789" },
    });
    assert.equal(bank.bank_account.account_number, "765432123456789");
    assert.equal((await rpx.fundAccounts.all({ contact_id: contact.id })).count, 2);
    assert.equal((await rpx.fundAccounts.deactivate(vpa.id)).active, false);
    assert.equal((await rpx.fundAccounts.activate(vpa.id)).active, true);
    assert.equal((await rpx.fundAccounts.fetch(vpa.id)).id, vpa.id);
  },

  async "razorpayx-sdk: a payout and its key"() {
    const contact = await rpx.contacts.create({ name: `Payee ${run}` });
    const fundAccount = await rpx.fundAccounts.create({
      contact_id: contact.id,
      account_type: "vpa",
      vpa: { address: `payee.${run}@okbank` },
    });
    const order = {
      account_number: account,
      fund_account_id: fundAccount.id,
      amount: 245000,
      currency: "INR",
      mode: "UPI",
      purpose: "payout",
      reference_id: `pay-${run}`,
    };
    const key = randomUUID();
    const payout = await rpx.payouts.create(order, key);
    assert.deepEqual([payout.status, payout.fees, payout.tax], ["processing", 590, 90]);
    assert.equal((await rpx.payouts.create(order, key)).id, payout.id);
    await refused(
      rpx.payouts.create({ ...order, amount: 245001 }, key),
      400,
      "Different request body sent for the same Idempotency Header.",
    );
    const error = await refused(rpx.payouts.create(order), 400);
    assert.equal(error.field, "X-Payout-Idempotency");
    assert.equal(error.reason, "null");
    const paid = await until("processed", async () => {
      const now = await rpx.payouts.fetch(payout.id);
      return now.status === "processed" && now;
    });
    assert.match(paid.utr, /^[0-9]{12}$/);
    const found = await rpx.payouts.all({ account_number: account, reference_id: `pay-${run}` });
    assert.deepEqual([found.count, found.items[0].id], [1, payout.id]);

    const balances = await rpx.balances.fetch({ account_number: account });
    assert.equal(balances.items[0].account_number, account);
    const transactions = await rpx.transactions.all({ account_number: account, count: 5 });
    const debit = transactions.items.find((row) => row.source.id === payout.id);
    assert.deepEqual([debit.debit, debit.credit], [245590, 0]);
    assert.deepEqual(await rpx.transactions.fetch(debit.id), debit);
    const validation = await rpx.accountValidation.create({
      account_number: account,
      fund_account: { id: fundAccount.id },
      amount: 100,
      currency: "INR",
    });
    const checked = await until("validated", async () => {
      const now = await rpx.accountValidation.fetch(validation.id);
      return now.status === "completed" && now;
    });
    assert.equal(checked.results.registered_name, `Payee ${run}`);
  },

  async "razorpayx-sdk: composite and cancel"() {
    const order = (reference) => ({
      account_number: account,
      amount: 10000,
      currency: "INR",
      mode: "UPI",
      purpose: "refund",
      queue_if_low_balance: true,
      reference_id: reference,
      fund_account: {
        account_type: "vpa",
        vpa: { address: `composite.${run}@okbank` },
        contact: { name: `Composite ${run}`, type: "customer" },
      },
    });
    await steer("/plan", { reference_id: `queued-${run}`, outcomes: ["queued"] });
    const queued = await rpx.payouts.createComposite(order(`queued-${run}`), randomUUID());
    assert.equal(queued.status, "queued");
    assert.equal(queued.fund_account.contact.name, `Composite ${run}`);
    assert.equal((await rpx.payouts.cancel(queued.id)).status, "cancelled");
    await refused(rpx.payouts.cancel(queued.id), 400);
    const running = await rpx.payouts.createComposite(order(`running-${run}`), randomUUID());
    assert.equal(running.fund_account_id, queued.fund_account_id);
    await refused(rpx.payouts.cancel(running.id), 400);
  },

  async "razorpayx-nodejs-sdk: refused without a key"() {
    const old = OldRazorpayX(keyId, keySecret, `${base}/v1`);
    const contact = await old.Contact.create({ name: `Old ${run}`, type: "vendor" });
    const fundAccount = await old.FundAccount.create({
      contact_id: contact.id,
      account_type: "vpa",
      vpa: { address: `old.${run}@okbank` },
    });
    const order = {
      account_number: account,
      fund_account_id: fundAccount.id,
      amount: 10000,
      currency: "INR",
      mode: "UPI",
      purpose: "payout",
    };
    const answer = await old.Payout.create(order).then(
      () => assert.fail("was not refused"),
      (answer) => answer,
    );
    assert.equal(answer.status, 400);
    assert.deepEqual(answer.data.error, {
      code: "BAD_REQUEST_ERROR",
      description:
        "Idempotency key is missing. Include idempotency header and key in the request.",
      source: "business",
      step: null,
      reason: "null",
      metadata: {},
      field: "X-Payout-Idempotency",
    });
    const list = await old.Payout.getAll(account, { fund_account_id: fundAccount.id });
    assert.equal(list.count, 0);
    assert.equal((await old.Transactions.getAll(account)).entity, "collection");
  },

  async "razorpay: low-level payouts and webhook verification"() {
    const hooks = [];
    const server = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        hooks.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.end("ok");
      });
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    await steer("/webhooks", { url: `http://127.0.0.1:${server.address().port}/hooks`, mode: {} });
    try {
      const rzp = new Razorpay({ key_id: keyId, key_secret: keySecret });
      rzp.api.rq.defaults.baseURL = base;
      rzp.api.rq.defaults.headers["X-Payout-Idempotency"] = randomUUID();
      const payout = await rzp.api.post({
        url: "/payouts",
        data: {
          account_number: account,
          amount: 10000,
          currency: "INR",
          mode: "UPI",
          purpose: "payout",
          fund_account: {
            account_type: "vpa",
            vpa: { address: `node.${run}@okbank` },
            contact: { name: `Node ${run}` },
          },
        },
      });
      const about = (event) =>
        hooks.find((hook) => {
          const body = JSON.parse(hook.body);
          return body.event === event && body.payload.payout?.entity.id === payout.id;
        });
      const hook = await until("payout.processed", () => about("payout.processed"));
      assert.ok(about("payout.initiated") && about("payout.updated"));
      const signature = hook.headers["x-razorpay-signature"];
      const secret = process.env.WEBHOOK_SECRET;
      assert.ok(Razorpay.validateWebhookSignature(hook.body, signature, secret));
      assert.ok(!Razorpay.validateWebhookSignature(`${hook.body} `, signature, secret));
      assert.ok(hook.headers["x-razorpay-event-id"]);
      assert.equal(JSON.parse(hook.body).payload.payout.entity.status, "processed");
    } finally {
      await steer("/webhooks", { url: "" });
      server.close();
    }
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log(`ok ${name}`);
}
