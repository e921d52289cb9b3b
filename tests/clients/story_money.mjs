// A sale: paid, shared, taken back, refunded, disputed; and the books after it.
import assert from "node:assert/strict";

const CARD = { confirm: true, allowed_payment_method_types: ["card"] };
// A charge of USD 121.00 costs 2.9 % and 0.30.
const AMOUNT = 12_100;
const FEE = 381;

async function pay(stripe, amount, payment_method, more = {}) {
  const intent = await stripe.paymentIntents.create({
    amount, currency: "usd", payment_method, ...CARD, capture_method: "automatic", ...more,
  });
  assert.equal(intent.status, "succeeded");
  return intent;
}

async function balances(stripe, currency, options) {
  const balance = await stripe.balance.retrieve({}, options);
  const of = (part) => balance[part].find((entry) => entry.currency === currency)?.amount ?? 0;
  return { available: of("available"), pending: of("pending") };
}

export async function payment(story, step) {
  const { stripe, receiver } = story;
  const buyer = await step("a buyer is a customer", async () => {
    const made = await stripe.customers.create({ email: "buyer@example.com", name: "Bo Buyer" });
    assert.match(made.id, /^cus_/);
    return made.id;
  });
  story.intent = await step("a card payment succeeds; captured asynchronously, it has no balance transaction yet", async () => {
    const intent = await stripe.paymentIntents.create(
      {
        amount: AMOUNT, currency: "usd", customer: buyer, payment_method: "pm_card_visa", ...CARD,
        transfer_group: "order_1", metadata: { order: "1" }, expand: ["latest_charge"],
      },
      { idempotencyKey: `order_1_${story.platform.id}` },
    );
    assert.equal(intent.status, "succeeded");
    assert.equal(intent.capture_method, "automatic_async");
    assert.equal(intent.latest_charge.balance_transaction, null);
    return intent.id;
  });
  story.charge = await step("charge.updated brings the balance transaction, with the fee", async () => {
    const item = await receiver.delivery(
      "charge.updated",
      (event) => event.type === "charge.updated" && event.data.object.payment_intent === story.intent,
    );
    const event = JSON.parse(item.body);
    assert.deepEqual(event.data.previous_attributes.balance_transaction, null);
    const charge = await stripe.charges.retrieve(event.data.object.id, { expand: ["balance_transaction"] });
    const entry = charge.balance_transaction;
    assert.equal(entry.id, event.data.object.balance_transaction);
    assert.deepEqual([entry.type, entry.amount, entry.fee, entry.net], ["charge", AMOUNT, FEE, AMOUNT - FEE]);
    assert.equal(entry.available_on % 86_400, 0);
    return charge.id;
  });
  await step("the money is pending", async () => {
    assert.deepEqual(await balances(stripe, "usd"), { available: 0, pending: AMOUNT - FEE });
  });
  await step("a card that needs its holder asks for him, and succeeds when he approves", async () => {
    const asked = await stripe.paymentIntents.create({
      amount: 2_000, currency: "usd", payment_method: "pm_card_authenticationRequired", ...CARD,
      return_url: "https://market.example/paid",
    });
    assert.equal(asked.status, "requires_action");
    const done = await fetch(asked.next_action.redirect_to_url.url, {
      method: "POST", redirect: "manual", body: new URLSearchParams({ outcome: "approve" }),
    });
    assert.ok(done.headers.get("location").startsWith("https://market.example/paid"));
    assert.equal((await stripe.paymentIntents.retrieve(asked.id)).status, "succeeded");
  });
  await step("held money is captured in part, and a hold is let go", async () => {
    const manual = { amount: 5_000, currency: "usd", payment_method: "pm_card_visa", ...CARD, capture_method: "manual" };
    const hold = await stripe.paymentIntents.create(manual);
    assert.deepEqual([hold.status, hold.amount_capturable], ["requires_capture", 5_000]);
    const captured = await stripe.paymentIntents.capture(hold.id, { amount_to_capture: 3_000 });
    assert.deepEqual([captured.status, captured.amount_received], ["succeeded", 3_000]);
    const other = await stripe.paymentIntents.create(manual);
    assert.equal((await stripe.paymentIntents.cancel(other.id)).status, "canceled");
  });
}

export async function transfer(story, step) {
  const { stripe, sandbox, seller, charge } = story;
  const made = await step("a transfer out of the charge is taken while its money is pending", async () => {
    const transfer = await stripe.transfers.create({
      amount: 9_000, currency: "usd", destination: seller, source_transaction: charge,
      expand: ["balance_transaction", "destination_payment"],
    });
    assert.equal(transfer.transfer_group, "order_1");
    assert.deepEqual([transfer.balance_transaction.type, transfer.balance_transaction.net], ["transfer", -9_000]);
    assert.equal(transfer.destination_payment.source_transfer, transfer.id);
    assert.deepEqual(await balances(stripe, "usd", { stripeAccount: seller }), { available: 0, pending: 9_000 });
    return transfer;
  });
  await step("the charge gives no more than its gross amount", async () => {
    await assert.rejects(
      stripe.transfers.create({ amount: 3_101, currency: "usd", destination: seller, source_transaction: charge }),
      { message: /must not exceed the source amount of \$121\.00.*\$90\.00/ },
    );
  });
  await step("by the clock it becomes available on both sides, and is told", async () => {
    await sandbox.advance({ days: 6 });
    assert.deepEqual(await balances(stripe, "usd", { stripeAccount: seller }), { available: 9_000, pending: 0 });
    assert.equal((await balances(stripe, "usd")).pending, 0);
    await story.receiver.delivery(
      "balance.available of the seller", (event) => event.type === "balance.available" && event.account === seller,
    );
  });
  await step("one of available money is refused above it, and taken within", async () => {
    const { available } = await balances(stripe, "usd");
    await assert.rejects(
      stripe.transfers.create({ amount: available + 1, currency: "usd", destination: story.recipient }),
      { code: "balance_insufficient", type: "StripeInvalidRequestError" },
    );
    const transfer = await stripe.transfers.create({
      amount: 700, currency: "usd", destination: story.recipient, transfer_group: "order_2",
    });
    const found = await stripe.transfers.list({ transfer_group: "order_2" });
    assert.deepEqual(found.data.map((entry) => entry.id), [transfer.id]);
    const changed = await stripe.transfers.update(transfer.id, { metadata: { note: "bonus" } });
    assert.equal(changed.metadata.note, "bonus");
  });
  story.transfer = made.id;
}

export async function reversal(story, step) {
  const { stripe, seller } = story;
  const options = { stripeAccount: seller };
  await step("a part comes back, in both books", async () => {
    const before = await balances(stripe, "usd", options);
    const reversal = await stripe.transfers.createReversal(story.transfer, {
      amount: 2_000, metadata: { reason: "return" }, expand: ["balance_transaction"],
    });
    assert.deepEqual(
      [reversal.amount, reversal.transfer, reversal.source_refund], [2_000, story.transfer, null],
    );
    const entry = reversal.balance_transaction;
    assert.deepEqual(
      [entry.type, entry.reporting_category, entry.net, entry.source],
      ["transfer_refund", "transfer_reversal", 2_000, story.transfer],
    );
    const [other] = (await stripe.balanceTransactions.list({ limit: 1 }, options)).data;
    assert.deepEqual([other.type, other.net, other.source], ["payment_refund", -2_000, reversal.destination_payment_refund]);
    assert.equal((await balances(stripe, "usd", options)).available, before.available - 2_000);
  });
  await step("the transfer says how much", async () => {
    const transfer = await stripe.transfers.retrieve(story.transfer);
    assert.deepEqual([transfer.amount_reversed, transfer.reversed], [2_000, false]);
    assert.equal((await stripe.transfers.listReversals(story.transfer)).data.length, 1);
    await story.receiver.delivery(
      "transfer.reversed", (event) => event.type === "transfer.reversed" && event.data.object.id === story.transfer,
    );
  });
  await step("more than is left is refused; all of another comes back, once", async () => {
    await assert.rejects(stripe.transfers.createReversal(story.transfer, { amount: 7_001 }), {
      type: "StripeInvalidRequestError",
    });
    const small = await stripe.transfers.create({ amount: 150, currency: "usd", destination: story.recipient });
    assert.equal((await stripe.transfers.createReversal(small.id)).amount, 150);
    assert.equal((await stripe.transfers.retrieve(small.id)).reversed, true);
    await assert.rejects(stripe.transfers.createReversal(small.id), { message: /already fully reversed/ });
  });
}

export async function refund(story, step) {
  const { stripe } = story;
  const intent = await step("a sale of available money", () => pay(stripe, 6_000, "pm_card_bypassPending"));
  await step("a part is refunded; the fee stays", async () => {
    const refund = await stripe.refunds.create({
      payment_intent: intent.id, amount: 2_500, reason: "requested_by_customer", expand: ["balance_transaction"],
    });
    assert.deepEqual([refund.status, refund.amount, refund.charge], ["succeeded", 2_500, intent.latest_charge]);
    const entry = refund.balance_transaction;
    assert.deepEqual([entry.type, entry.amount, entry.fee], ["refund", -2_500, 0]);
  });
  await step("more than the rest is refused by amount", async () => {
    await assert.rejects(stripe.refunds.create({ charge: intent.latest_charge, amount: 3_501 }), {
      param: "amount", message: /greater than unrefunded amount on charge \(\$35\.00\)/,
    });
  });
  await step("the rest is refunded, and nothing after it", async () => {
    assert.equal((await stripe.refunds.create({ charge: intent.latest_charge })).amount, 3_500);
    const charge = await stripe.charges.retrieve(intent.latest_charge);
    assert.deepEqual([charge.refunded, charge.amount_refunded], [true, 6_000]);
    await assert.rejects(stripe.refunds.create({ charge: charge.id }), { code: "charge_already_refunded" });
    assert.equal((await stripe.refunds.list({ charge: charge.id })).data.length, 2);
  });
  await step("both are told, each to its own event", async () => {
    for (const type of ["refund.created", "charge.refunded"]) {
      await story.receiver.delivery(
        type,
        (event) => event.type === type && [event.data.object.charge, event.data.object.id].includes(intent.latest_charge),
      );
    }
  });
}

export async function dispute(story, step) {
  const { stripe, sandbox } = story;
  await step("the platform has what a dispute may take", () => pay(stripe, 20_000, "pm_card_bypassPending"));
  const before = await balances(stripe, "usd");
  const opened = await step("the test card of disputes opens one, and its money leaves with a fee", async () => {
    const intent = await pay(stripe, 1_000, "pm_card_createDispute");
    const [dispute] = (
      await stripe.disputes.list({ payment_intent: intent.id, expand: ["data.balance_transactions"] })
    ).data;
    assert.deepEqual(
      [dispute.status, dispute.amount, dispute.charge], ["needs_response", 1_000, intent.latest_charge],
    );
    const [entry] = dispute.balance_transactions;
    assert.deepEqual([entry.type, entry.reporting_category, entry.net], ["adjustment", "dispute", -2_500]);
    await story.receiver.delivery(
      "charge.dispute.created",
      (event) => event.type === "charge.dispute.created" && event.data.object.id === dispute.id,
    );
    return dispute;
  });
  await step("while it stands the charge is not refunded", async () => {
    await assert.rejects(stripe.refunds.create({ charge: opened.charge }), { code: "charge_disputed" });
  });
  await step("winning evidence is handed in once", async () => {
    const sent = await stripe.disputes.update(opened.id, {
      evidence: { uncategorized_text: "winning_evidence" }, submit: true,
    });
    assert.ok(["under_review", "won"].includes(sent.status), sent.status);
    assert.equal(sent.evidence_details.submission_count, 1);
  });
  await step("it is won: amount and fee are back", async () => {
    await sandbox.advance({ minutes: 5 });
    const won = await stripe.disputes.retrieve(opened.id);
    assert.equal(won.status, "won");
    const entries = won.balance_transactions;
    assert.deepEqual(entries.map((entry) => entry.net).sort((a, b) => a - b), [-2_500, 2_500]);
    for (const type of ["charge.dispute.funds_reinstated", "charge.dispute.closed"]) {
      await story.receiver.delivery(type, (event) => event.type === type && event.data.object.id === opened.id);
    }
    const after = await balances(stripe, "usd");
    assert.ok(after.available + after.pending > before.available + before.pending);
  });
}

export async function books(story, step) {
  const { stripe, sandbox } = story;
  const accounts = [undefined, { stripeAccount: story.seller }, { stripeAccount: story.recipient }];
  await step("of every account, its transactions are its balance", async () => {
    for (const options of accounts) {
      const sums = new Map();
      for await (const entry of stripe.balanceTransactions.list({ limit: 100 }, options)) {
        sums.set(entry.currency, (sums.get(entry.currency) ?? 0) + entry.net);
      }
      for (const [currency, sum] of sums) {
        const { available, pending } = await balances(stripe, currency, options);
        assert.equal(available + pending, sum);
      }
    }
  });
  await step("and the sandbox's own check agrees", async () => {
    assert.equal((await sandbox.control("state")).books_balance, true);
  });
}
