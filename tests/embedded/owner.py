"""A machine with tiny programs, run as a process of its own that a test can kill.

Usage: owner.py DATA_FOLDER. Prints one line of JSON when everything is healthy, then runs until it is asked to end.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from marketbill.embedded.failures import EmbeddedFailure
from marketbill.embedded.programs import Addresses, Program
from marketbill.embedded.stack import Stack

#: Answers every request with 200.
WEB = """
import http.server, sys
class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Healthy).serve_forever()
"""
#: Has a child of its own, as a worker does, and prints both process ids. A stubborn one does not end when asked.
FAMILY = """
import os, signal, subprocess, sys, time
if "STUBBORN" in os.environ:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


def tiny_programs(addresses: Addresses) -> Sequence[Program]:
    """An API and a sandbox that only answer, and a worker with a child."""
    sandbox = Program(
        name="sandbox",
        arguments=("-c", WEB, str(addresses.sandbox_port)),
        health_url=f"{addresses.sandbox_url}/_sandbox/health",
        needs_database=False,
    )
    always = (
        Program(name="api", arguments=("-c", WEB, str(addresses.api_port)), health_url=f"{addresses.api_url}/health"),
        Program(name="worker", arguments=("-c", FAMILY)),
    )
    return always if addresses.sandbox_port is None else (sandbox, *always)


async def migrate_nothing(admin_url: str) -> None:
    """One table, whoever made it first."""
    connection = await asyncpg.connect(admin_url.replace("+asyncpg", ""))
    await connection.execute("create table if not exists kept (line text)")
    await connection.close()


def tiny_stack(data: Path, *, api_port: int = 0, sandbox_port: int = 0) -> Stack:
    return Stack(data, api_port=api_port, sandbox_port=sandbox_port, programs=tiny_programs, migrate=migrate_nothing)


def main() -> None:
    # A shell that runs the tests in the background has its children ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with tiny_stack(Path(sys.argv[1])) as stack:
            running = stack.running
            sockets = [running.database_url.partition("host=")[2], str(Path(urlsplit(running.broker_url).path).parent)]
            print(json.dumps({"processes": dict(running.processes), "socket_folders": sockets}), flush=True)
            stack.wait_forever()
    except EmbeddedFailure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
