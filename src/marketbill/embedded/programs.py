"""The programs of marketbill that an embedded machine runs as processes of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from marketbill.embedded.ports import LOOPBACK


@dataclass(frozen=True, slots=True)
class Program:
    """One program: `arguments` follow the Python interpreter, `health_url` answers 200 when it is ready to be used.

    A program without `health_url` counts as ready while it runs. One that does not need the database starts
    first, without the settings.
    """

    name: str
    arguments: tuple[str, ...]
    health_url: str | None = None
    needs_database: bool = True


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the programs of one machine listen; no sandbox when Stripe itself is used."""

    data: Path
    api_port: int
    sandbox_port: int | None

    @property
    def api_url(self) -> str:
        return f"http://{LOOPBACK}:{self.api_port}"

    @property
    def sandbox_url(self) -> str | None:
        return f"http://{LOOPBACK}:{self.sandbox_port}" if self.sandbox_port is not None else None


def marketbill_programs(addresses: Addresses) -> tuple[Program, ...]:
    """The sandbox provider (unless Stripe is used), the API, the workers and the outbox relay."""
    sandbox = Program(
        name="sandbox",
        arguments=(
            *("-m", "marketbill", "sandbox", "--port", str(addresses.sandbox_port)),
            *("--state", str(addresses.data / "sandbox.db")),
        ),
        health_url=f"{addresses.sandbox_url}/_sandbox/health",
        needs_database=False,
    )
    always = (
        Program(
            name="api",
            arguments=("-m", "marketbill", "api", "--port", str(addresses.api_port)),
            health_url=f"{addresses.api_url}/health",
        ),
        Program(name="worker", arguments=("-m", "marketbill", "worker")),
        Program(name="relay", arguments=("-m", "marketbill", "relay")),
    )
    return always if addresses.sandbox_port is None else (sandbox, *always)
