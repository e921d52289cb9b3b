// A webhook endpoint that keeps what it is sent, byte for byte.
import { once } from "node:events";
import { createServer } from "node:http";

const PATIENCE_MS = 15_000;

export class Receiver {
  #server;
  #woken = new Set();
  received = [];

  async open() {
    this.#server = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      this.received.push({
        path: request.url,
        signature: request.headers["stripe-signature"],
        body: Buffer.concat(parts),
      });
      response.end();
      for (const wake of this.#woken) wake();
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  // The first delivery that satisfies a condition on (event, delivery), waited for.
  async delivery(what, condition) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = this.received.find((item) => condition(JSON.parse(item.body), item));
      if (found) return found;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no delivery came: ${what}`);
      await new Promise((resolve) => {
        const timer = setTimeout(done, left);
        const woken = this.#woken;
        function done() {
          clearTimeout(timer);
          woken.delete(done);
          resolve();
        }
        woken.add(done);
      });
    }
  }
}
