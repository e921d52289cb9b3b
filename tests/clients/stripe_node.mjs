// One marketplace lived through by Stripe's own Node client, against the sandbox provider.
//
//     npm ci --prefix tests/clients
//     node tests/clients/stripe_node.mjs
//
// SANDBOX_URL names a running sandbox; without it one is started here and ended again. Exits 0 when every step is ok.
import { Checklist } from "./checklist.mjs";
import { Receiver } from "./receiver.mjs";
import { openSandbox } from "./sandbox.mjs";
import * as connect from "./story_connect.mjs";
import * as door from "./story_door.mjs";
import * as money from "./story_money.mjs";

const Stripe = await import("stripe").then(
  (module) => module.default,
  (error) => {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    console.error("Stripe's Node client is not installed. Install it with:\n\n    npm ci --prefix tests/clients\n");
    process.exit(3);
  },
);

const sandbox = await openSandbox().catch((error) => {
  console.error(error.message);
  process.exit(2);
});
const receiver = await new Receiver().open();
const checklist = new Checklist();
try {
  const platform = await sandbox.openPlatform("US", "usd");
  const address = new URL(sandbox.url);
  const client = (key, more = {}) =>
    new Stripe(key, {
      host: address.hostname,
      port: address.port,
      protocol: address.protocol.slice(0, -1),
      maxNetworkRetries: 0,
      telemetry: false,
      ...more,
    });
  const story = { Stripe, sandbox, receiver, platform, client, stripe: client(platform.secret_key) };
  console.log(`stripe-node ${Stripe.PACKAGE_VERSION}, API ${Stripe.API_VERSION}, sandbox ${sandbox.url}`);
  await checklist.chapter("Webhook endpoints", (step) => door.endpoints(story, step));
  await checklist.chapter("Accounts", (step) => connect.accounts(story, step));
  await checklist.chapter("Payment", (step) => money.payment(story, step));
  await checklist.chapter("Transfer", (step) => money.transfer(story, step));
  await checklist.chapter("Reversal", (step) => money.reversal(story, step));
  await checklist.chapter("Refund", (step) => money.refund(story, step));
  await checklist.chapter("Dispute", (step) => money.dispute(story, step));
  await checklist.chapter("Payout", (step) => connect.payouts(story, step));
  await checklist.chapter("Webhooks", (step) => door.webhooks(story, step));
  await checklist.chapter("Idempotency", (step) => door.idempotency(story, step));
  await checklist.chapter("Lists", (step) => door.lists(story, step));
  await checklist.chapter("Errors", (step) => door.errors(story, step));
  await checklist.chapter("Faults", (step) => door.faults(story, step));
  await checklist.chapter("Books", (step) => money.books(story, step));
} catch (error) {
  console.error(error.message);
  process.exitCode = 2;
} finally {
  receiver.close();
  await sandbox.close();
}
process.exitCode ||= checklist.finish();
