"""The proof of the books as a person at a terminal asks for it."""

from __future__ import annotations

import asyncio

import pytest
from tests.market.machine import Machine


async def test_a_platform_may_have_square_brackets_in_its_name(
    machine: Machine, command, monkeypatch: pytest.MonkeyPatch
) -> None:
    await machine.platform(name="Third [/x]")
    given = machine.services.settings
    monkeypatch.setenv("DATABASE_URL", given.database_url.get_secret_value())
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", given.marketbill_secret_key.get_secret_value())
    monkeypatch.setenv("SANDBOX_URL", machine.sandbox_url)
    ran = await asyncio.to_thread(command, "verify", "--platform", "Third [/x]")
    assert ran.code == 0, ran.err
    assert "Third [/x]" in ran.out
    assert "The books agree" in ran.out
