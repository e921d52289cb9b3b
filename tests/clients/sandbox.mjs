// The sandbox provider as the story uses it: reached at SANDBOX_URL or started here, and its control plane.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START_SECONDS_MAX = 60;
const STOP_SECONDS_MAX = 15;

// Gives the sandbox and what ends it again.
export async function openSandbox() {
  if (process.env.SANDBOX_URL) return new Sandbox(process.env.SANDBOX_URL);
  const python = process.env.PYTHON ?? `${ROOT}.venv/bin/python`;
  if (!existsSync(python)) {
    throw new Error(`${python} is missing: run \`python3 mb.py\` once, or give SANDBOX_URL or PYTHON`);
  }
  const program = spawn(python, ["-m", "marketbill", "sandbox", "--port", "0"], {
    cwd: ROOT,
    env: { ...process.env, LOG_LEVEL: "WARNING" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  return new Sandbox(await address(program), program);
}

async function address(program) {
  const said = [];
  const timer = setTimeout(() => program.kill("SIGKILL"), START_SECONDS_MAX * 1000);
  for await (const line of createInterface({ input: program.stderr })) {
    said.push(line);
    const found = /listening on (http:\S+)/.exec(line);
    if (found) {
      clearTimeout(timer);
      program.stderr.resume();
      return found[1];
    }
  }
  clearTimeout(timer);
  throw new Error(`the sandbox did not start:\n${said.join("\n")}`);
}

class Sandbox {
  #program;

  constructor(url, program = null) {
    this.url = url.replace(/\/$/, "");
    this.#program = program;
  }

  async close() {
    if (this.#program === null || this.#program.exitCode !== null) return;
    const timer = setTimeout(() => this.#program.kill("SIGKILL"), STOP_SECONDS_MAX * 1000);
    this.#program.kill("SIGTERM");
    await once(this.#program, "exit");
    clearTimeout(timer);
  }

  // Asks the control plane; a body makes it a POST.
  async control(path, body) {
    const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(`${this.url}/_sandbox/${path}`, sent).catch((error) => {
      throw new Error(`the sandbox at ${this.url} does not answer (${error.cause?.code ?? error.cause?.message})`);
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error(`the control plane refused ${path}: ${said.error?.message ?? answer.status}`);
    return said;
  }

  openPlatform(country, currency) {
    return this.control("platforms", { country, default_currency: currency, name: "Node market" });
  }

  advance({ days = 0, minutes = 0 }) {
    return this.control("clock", { advance_seconds: days * 86_400 + minutes * 60 });
  }
}
