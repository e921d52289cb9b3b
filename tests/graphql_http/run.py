"""Serves the API on a free port and runs graphql-http's server audit against it; exits 0 when all 61 audits are ok.

Needs Node 18 or newer; installs the audit from its lock file on first use. No database is asked: the audit's documents
read nothing but the schema, and the bootstrap key is a setting.
"""

import asyncio
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from marketbill.config import Settings
from marketbill.services import Services
from marketbill_graphql.app import create_app

FOLDER = Path(__file__).parent
KEY = "bootstrap-key-of-the-audit-0123456789"
INSTALL_SECONDS_MAX = 300
AUDIT_SECONDS_MAX = 120


def main() -> int:
    """The exit code of the audit; 3 when Node is missing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        print("The audit needs Node 18 or newer with npm.", file=sys.stderr)
        return 3
    if not (FOLDER / "node_modules").exists():
        subprocess.run([npm, "ci", "--no-fund", "--no-audit"], cwd=FOLDER, check=True, timeout=INSTALL_SECONDS_MAX)
    settings = Settings(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
        marketbill_secret_key=SecretStr("a master key of the audit, 32 characters or more"),
        marketbill_bootstrap_key=SecretStr(KEY),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(Services.create(settings)), log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/graphql"
        return subprocess.run(
            [node, "audit.js", address, KEY], cwd=FOLDER, check=False, timeout=AUDIT_SECONDS_MAX
        ).returncode
    finally:
        server.should_exit = True
        thread.join(timeout=10)


if __name__ == "__main__":
    sys.exit(main())
