// Runs graphql-http's server audit against a running API: `node audit.js URL KEY`. Every audit must be ok.
import { auditServer } from "graphql-http";

const EXPECTED = 61;
const [url, key] = process.argv.slice(2);
if (!url || !key) {
  console.error("usage: node audit.js URL KEY");
  process.exit(2);
}

const results = await auditServer({
  url,
  fetchFn: (address, options = {}) =>
    fetch(address, { ...options, headers: { ...options.headers, authorization: `Bearer ${key}` } }),
});
const failed = results.filter((result) => result.status !== "ok");
for (const result of failed) {
  console.error(`${result.status} ${result.id} ${result.name}: ${result.reason}`);
}
console.log(`${results.length - failed.length} of ${results.length} audits ok`);
process.exit(failed.length === 0 && results.length === EXPECTED ? 0 : 1);
