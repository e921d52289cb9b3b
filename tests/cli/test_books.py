"""The proof of the books as a person at a terminal asks for it."""

from __future__ import annotations

import asyncio

import pytest
from tests.market.machine import Machine
from tests.market.market import Market


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


async def test_books_that_differ_while_a_request_has_no_end_say_what_may_explain_it(
    market: Market, command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider made a transfer whose answer was lost: its books are ahead of ours until it is looked up."""
    await market.seller("A")
    market.machine.line.lose_answer("POST /v1/transfers")
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    given = market.machine.services.settings
    monkeypatch.setenv("DATABASE_URL", given.database_url.get_secret_value())
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", given.marketbill_secret_key.get_secret_value())
    monkeypatch.setenv("SANDBOX_URL", market.machine.sandbox_url)
    ran = await asyncio.to_thread(command, "verify")
    assert ran.code == 1
    assert "1 request to the provider without an end could explain this" in ran.line
    assert "doctor --all" in ran.line
