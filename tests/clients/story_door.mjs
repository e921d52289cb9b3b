// The doors: webhooks in, and calls out with keys, pages, errors and faults.
import assert from "node:assert/strict";

export async function endpoints(story, step) {
  const { stripe, receiver } = story;
  story.hooks = await step("one endpoint for the platform's events, one for its sellers'", async () => {
    const own = await stripe.webhookEndpoints.create({ url: `${receiver.url}/own`, enabled_events: ["*"] });
    const connect = await stripe.webhookEndpoints.create({
      url: `${receiver.url}/connect`, enabled_events: ["*"], connect: true,
    });
    assert.match(own.secret, /^whsec_/);
    assert.notEqual(own.secret, connect.secret);
    return { own, connect };
  });
  await step("a secret is told once", async () => {
    assert.equal((await stripe.webhookEndpoints.retrieve(story.hooks.own.id)).secret, undefined);
  });
}

export async function webhooks(story, step) {
  const { stripe, receiver, hooks } = story;
  await step("every delivery so far is signed for the library's verifier", async () => {
    assert.ok(receiver.received.length > 20, `${receiver.received.length} came`);
    for (const { path, body, signature } of receiver.received) {
      const event = stripe.webhooks.constructEvent(body, signature, hooks[path.slice(1)].secret);
      assert.equal(event.object, "event");
      assert.equal(event.account === undefined, path === "/own");
    }
  });
  const { body, signature } = receiver.received[0];
  const { secret } = hooks[receiver.received[0].path.slice(1)];
  const refused = { type: "StripeSignatureVerificationError" };
  await step("another secret is refused", () => {
    assert.throws(() => stripe.webhooks.constructEvent(body, signature, `${secret}0`), refused);
  });
  await step("a changed byte is refused", () => {
    const changed = Buffer.from(body);
    changed[changed.length - 2] ^= 1;
    assert.throws(() => stripe.webhooks.constructEvent(changed, signature, secret), refused);
  });
  await step("an old signature is refused", () => {
    const later = Date.now() + 301_000;
    assert.throws(
      () => stripe.webhooks.constructEvent(body, signature, secret, undefined, undefined, later), refused,
    );
  });
  await step("a delivery says what the list of events says", async () => {
    const sent = JSON.parse(receiver.received.find((item) => item.path === "/own").body);
    const listed = await stripe.events.retrieve(sent.id);
    assert.deepEqual(listed.data.object.id, sent.data.object.id);
    assert.equal(listed.type, sent.type);
  });
}

export async function idempotency(story, step) {
  const { stripe, seller } = story;
  const options = { idempotencyKey: `replay_${story.platform.id}` };
  const params = { amount: 111, currency: "usd", destination: seller, transfer_group: "replay" };
  await step("the same key moves money once", async () => {
    const first = await stripe.transfers.create(params, options);
    const again = await stripe.transfers.create(params, options);
    assert.equal(again.id, first.id);
    assert.equal(again.lastResponse.headers["idempotent-replayed"], "true");
    assert.equal(again.lastResponse.headers["original-request"], first.lastResponse.requestId);
    assert.equal((await stripe.transfers.list({ transfer_group: "replay" })).data.length, 1);
  });
  await step("the same key with another amount is refused", async () => {
    await assert.rejects(stripe.transfers.create({ ...params, amount: 112 }, options), {
      type: "StripeIdempotencyError",
    });
  });
  await step("a decline is kept under its key", async () => {
    const declined = {
      amount: 500, currency: "usd", payment_method: "pm_card_chargeDeclined", confirm: true,
      allowed_payment_method_types: ["card"],
    };
    const key = { idempotencyKey: `declined_${story.platform.id}` };
    const charges = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await assert.rejects(stripe.paymentIntents.create(declined, key), (error) => {
        charges.push(error.charge);
        return error.type === "StripeCardError";
      });
    }
    assert.equal(charges[0], charges[1]);
  });
}

export async function lists(story, step) {
  const { stripe } = story;
  const made = await step("twelve customers", async () => {
    const ids = [];
    for (let number = 1; number <= 12; number += 1) {
      ids.unshift((await stripe.customers.create({ email: `list${number}@example.com` })).id);
    }
    return ids;
  });
  await step("the client's own pagination sees each once, newest first", async () => {
    const seen = [];
    for await (const customer of stripe.customers.list({ limit: 5 })) {
      if (customer.email?.startsWith("list")) seen.push(customer.id);
    }
    assert.deepEqual(seen, made);
  });
  await step("cursors lead forward and back", async () => {
    const first = await stripe.customers.list({ limit: 4 });
    assert.deepEqual([first.data.map((entry) => entry.id), first.has_more], [made.slice(0, 4), true]);
    const next = await stripe.customers.list({ limit: 4, starting_after: made[3] });
    assert.deepEqual(next.data.map((entry) => entry.id), made.slice(4, 8));
    const back = await stripe.customers.list({ limit: 4, ending_before: made[4] });
    assert.deepEqual(back.data.map((entry) => entry.id), made.slice(0, 4));
  });
  await step("a page of none or of too many is refused", async () => {
    for (const limit of [0, 101]) {
      await assert.rejects(stripe.customers.list({ limit }), { code: "parameter_invalid_integer", param: "limit" });
    }
  });
}

export async function errors(story, step) {
  const { stripe } = story;
  const card = { amount: 2_000, currency: "usd", confirm: true, allowed_payment_method_types: ["card"] };
  await step("a decline is a card error that says what to do next", async () => {
    await assert.rejects(
      stripe.paymentIntents.create({ ...card, payment_method: "pm_card_visa_chargeDeclinedInsufficientFunds" }),
      (error) =>
        error.type === "StripeCardError" && error.statusCode === 402 && error.code === "card_declined" &&
        error.decline_code === "insufficient_funds" && error.advice_code === "try_again_later" &&
        error.payment_intent.status === "requires_payment_method",
    );
  });
  const cases = [
    ["an unknown id", () => stripe.paymentIntents.retrieve("pi_none"), "StripeInvalidRequestError", 404, "intent"],
    ["an unknown parameter", () => stripe.customers.create({ shoe_size: 44 }), "StripeInvalidRequestError", 400, "shoe_size"],
    ["a missing parameter", () => stripe.paymentIntents.create({ currency: "usd" }), "StripeInvalidRequestError", 400, "amount"],
    ["too small an amount", () => stripe.paymentIntents.create({ amount: 49, currency: "usd" }), "StripeInvalidRequestError", 400, "amount"],
    ["a stranger's account", () => stripe.accounts.retrieve("acct_none"), "StripePermissionError", 403, undefined],
    ["an unknown key", () => story.client("sk_test_nobody").balance.retrieve(), "StripeAuthenticationError", 401, undefined],
  ];
  for (const [text, call, type, statusCode, param] of cases) {
    await step(`${text} is ${type}`, () => assert.rejects(call, { type, statusCode, ...(param && { param }) }));
  }
}

export async function faults(story, step) {
  const { stripe, sandbox, seller } = story;
  const patient = story.client(story.platform.secret_key, { maxNetworkRetries: 3 });
  const transfer = (client, group, options = {}) =>
    client.transfers.create({ amount: 50, currency: "usd", destination: seller, transfer_group: group }, options);
  const fault = (kind, next = 1) => sandbox.control("faults", { kind, on: "POST /v1/transfers", next });
  const moved = async (group) => (await stripe.transfers.list({ transfer_group: group })).data.length;
  const broken = { type: "StripeAPIError", statusCode: 500 };
  for (const kind of ["cut_before", "cut_after", "in_flight", "lock_timeout"]) {
    await step(`${kind}: the client tries again with its key, and money moves once`, async () => {
      await fault(kind);
      const made = await transfer(patient, kind);
      assert.match(made.id, /^tr_/);
      assert.equal(await moved(kind), 1);
    });
  }
  await step("error_before: a 500, nothing moved, and the same key moves it", async () => {
    const key = { idempotencyKey: `before_${story.platform.id}` };
    await fault("error_before");
    await assert.rejects(transfer(stripe, "before", key), broken);
    assert.equal(await moved("before"), 0);
    await transfer(stripe, "before", key);
    assert.equal(await moved("before"), 1);
  });
  await step("error_after: the key keeps the 500 though money moved, so a look-up tells", async () => {
    const key = { idempotencyKey: `after_${story.platform.id}` };
    await fault("error_after");
    for (let turn = 0; turn < 2; turn += 1) await assert.rejects(transfer(stripe, "after", key), broken);
    assert.equal(await moved("after"), 1);
  });
  await step("malformed: what came is no JSON, and money moved once", async () => {
    await fault("malformed");
    await assert.rejects(transfer(stripe, "malformed"), { type: "StripeAPIError" });
    assert.equal(await moved("malformed"), 1);
  });
  await step("rate_limit: a typed error, and nothing moved", async () => {
    await fault("rate_limit");
    await assert.rejects(transfer(stripe, "limited"), { type: "StripeRateLimitError", statusCode: 429 });
    assert.equal(await moved("limited"), 0);
  });
}
