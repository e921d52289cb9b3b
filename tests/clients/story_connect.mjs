// The platform's sellers: two ways to open an account, onboarding, and money to their banks.
import assert from "node:assert/strict";

const LINK = {
  refresh_url: "https://market.example/again",
  return_url: "https://market.example/done",
};
const CLOSED_ACCOUNT = { object: "bank_account", country: "US", currency: "usd", routing_number: "110000000" };

// Presses the button of the onboarding page, as the seller's browser would.
async function onboard(url) {
  const page = await fetch(url);
  assert.equal(page.status, 200);
  assert.match(await page.text(), /Required/);
  return fetch(url, { method: "POST", redirect: "manual", body: new URLSearchParams({ outcome: "complete" }) });
}

export async function accounts(story, step) {
  const { stripe, sandbox } = story;
  await step("the platform reads itself and a balance of nothing", async () => {
    assert.equal((await stripe.accounts.retrieveCurrent()).id, story.platform.id);
    assert.equal((await stripe.balance.retrieve()).object, "balance");
  });
  const first = await step("a v1 account by controller begins with requirements and without capabilities", async () => {
    const made = await stripe.accounts.create({
      country: "US",
      email: "anna@example.com",
      controller: {
        fees: { payer: "application" },
        losses: { payments: "application" },
        stripe_dashboard: { type: "express" },
      },
      capabilities: { transfers: { requested: true } },
      settings: { payouts: { schedule: { interval: "manual" } } },
      metadata: { seller: "anna" },
    });
    assert.equal(made.capabilities.transfers, "inactive");
    assert.equal(made.payouts_enabled, false);
    assert.ok(made.requirements.currently_due.length > 0);
    return made.id;
  });
  await step("an account without transfers takes none", async () => {
    await assert.rejects(
      stripe.transfers.create({ amount: 100, currency: "usd", destination: first }),
      { type: "StripeInvalidRequestError", code: "insufficient_capabilities_for_transfer" },
    );
  });
  await step("its link leads through onboarding once, and back to the platform", async () => {
    const link = await stripe.accountLinks.create({ account: first, type: "account_onboarding", ...LINK });
    assert.equal(link.expires_at - link.created, 300);
    const done = await onboard(link.url);
    assert.deepEqual([done.status, done.headers.get("location")], [303, LINK.return_url]);
    const again = await fetch(link.url, { redirect: "manual" });
    assert.equal(again.headers.get("location"), LINK.refresh_url);
  });
  await step("it may be paid now", async () => {
    const account = await stripe.accounts.retrieve(first);
    assert.deepEqual(
      [account.capabilities.transfers, account.payouts_enabled, account.requirements.currently_due],
      ["active", true, []],
    );
    assert.equal(account.external_accounts.data[0].last4, "6789");
  });
  await step("it is told to the platform's connect endpoint", async () => {
    await story.receiver.delivery(
      "account.updated",
      (event, item) =>
        item.path === "/connect" && event.type === "account.updated" && event.account === first &&
        event.data.object.payouts_enabled === true,
    );
  });

  const include = ["configuration.recipient", "requirements"];
  const transfers = (account) => account.configuration.recipient.capabilities.stripe_balance.stripe_transfers.status;
  const second = await step("a v2 recipient begins restricted", async () => {
    const made = await stripe.v2.core.accounts.create({
      contact_email: "ben@example.com",
      display_name: "Ben's bikes",
      dashboard: "express",
      identity: { country: "us" },
      defaults: { responsibilities: { fees_collector: "application", losses_collector: "application" } },
      configuration: { recipient: { capabilities: { stripe_balance: { stripe_transfers: { requested: true } } } } },
      include,
    });
    assert.equal(transfers(made), "restricted");
    const manual = { payments: { payouts: { schedule: { interval: "manual" } } } };
    await stripe.balanceSettings.update(manual, { stripeAccount: made.id });
    return made.id;
  });
  await step("a v2 link of its own is made, and the control plane can finish in its place", async () => {
    const link = await stripe.v2.core.accountLinks.create({
      account: second,
      use_case: { type: "account_onboarding", account_onboarding: LINK },
    });
    assert.ok(link.url.startsWith(sandbox.url));
    await sandbox.control(`accounts/${second}/onboard`, { outcome: "complete" });
    assert.equal(transfers(await stripe.v2.core.accounts.retrieve(second, { include })), "active");
  });
  await step("both are accounts of the first version, listed newest first", async () => {
    const listed = await stripe.accounts.list({ limit: 2 });
    assert.deepEqual(listed.data.map((account) => account.id), [second, first]);
  });
  Object.assign(story, { seller: first, recipient: second });
}

export async function payouts(story, step) {
  const { stripe, sandbox, seller } = story;
  const options = { stripeAccount: seller };
  const available = async () => {
    const balance = await stripe.balance.retrieve({}, options);
    return balance.available.find((entry) => entry.currency === "usd")?.amount ?? 0;
  };
  const held = await step("the seller has money that is available", async () => {
    const amount = await available();
    assert.ok(amount > 1_000, `it has ${amount}`);
    return amount;
  });
  await step("more than that is refused", async () => {
    await assert.rejects(
      stripe.payouts.create({ amount: held + 1, currency: "usd" }, options),
      (error) => error.code === "balance_insufficient" && /insufficient funds/.test(error.message),
    );
  });
  await step("a payout is pending, on its way, and paid by the clock", async () => {
    const payout = await stripe.payouts.create({ amount: 500, currency: "usd", metadata: { run: "1" } }, options);
    assert.equal(payout.status, "pending");
    assert.equal(await available(), held - 500);
    await sandbox.advance({ days: 4 });
    const paid = await stripe.payouts.retrieve(payout.id, { expand: ["balance_transaction"] }, options);
    assert.equal(paid.status, "paid");
    assert.deepEqual([paid.balance_transaction.type, paid.balance_transaction.net], ["payout", -500]);
    await story.receiver.delivery(
      "payout.paid",
      (event) => event.type === "payout.paid" && event.data.object.id === payout.id && event.account === seller,
    );
  });
  await step("a pending payout can be canceled, once", async () => {
    const payout = await stripe.payouts.create({ amount: 200, currency: "usd" }, options);
    assert.equal((await stripe.payouts.cancel(payout.id, {}, options)).status, "canceled");
    await assert.rejects(stripe.payouts.cancel(payout.id, {}, options), { type: "StripeInvalidRequestError" });
    assert.equal(await available(), held - 500);
  });
  const bank = await step("another bank account becomes the one for dollars", async () => {
    const made = await stripe.accounts.createExternalAccount(seller, {
      external_account: { ...CLOSED_ACCOUNT, account_number: "000111111113" },
      default_for_currency: true,
    });
    assert.deepEqual([made.default_for_currency, made.last4], [true, "1113"]);
    return made.id;
  });
  await step("its account is closed: the payout fails, says why, and the money is back", async () => {
    const payout = await stripe.payouts.create({ amount: 300, currency: "usd" }, options);
    assert.equal(payout.destination, bank);
    await sandbox.advance({ days: 8 });
    const failed = await stripe.payouts.retrieve(
      payout.id, { expand: ["failure_balance_transaction"] }, options,
    );
    assert.deepEqual([failed.status, failed.failure_code], ["failed", "account_closed"]);
    assert.equal(failed.failure_balance_transaction.reporting_category, "payout_reversal");
    assert.equal(await available(), held - 500);
    await story.receiver.delivery(
      "payout.failed", (event) => event.type === "payout.failed" && event.data.object.id === payout.id,
    );
  });
  await step("that bank account takes no further payout", async () => {
    assert.equal((await stripe.accounts.retrieveExternalAccount(seller, bank)).status, "errored");
    await assert.rejects(stripe.payouts.create({ amount: 300, currency: "usd" }, options), {
      type: "StripeInvalidRequestError",
    });
  });
}
