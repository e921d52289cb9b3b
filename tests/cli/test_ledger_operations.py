"""`marketbill ledger close-period`, `reverse`, `freeze` and the others, as an operator at a terminal uses them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
from tests.cli.conftest import Ran
from tests.ledger.till import EUR, Till

from marketbill.cli.ledger import operating
from marketbill.db import Database
from marketbill.ids import PlatformId, new_id, parse_id, public_id
from marketbill.ledger import chart, hold
from marketbill.ledger.chart import SUSPENSE_PSP, AccountState
from marketbill.ledger.entry import Posting
from marketbill.ledger.operations import correction

Ledger = Callable[..., Awaitable[Ran]]
ME = operating.person()


@pytest.fixture
async def till(database_url: str, admin_url: str) -> AsyncIterator[Till]:
    """The books of the only platform: 2,000.00 pending and 10.00 payable to a seller."""
    platform = PlatformId(new_id())
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Blue [Market]', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        platform,
    )
    await connection.close()
    db = Database(database_url, pool_size=3)
    till = Till(db, platform)
    await till.post(till.charge(201_000), till.release(1_000))
    yield till
    await till.proven()
    await db.dispose()


@pytest.fixture
def ledger(command: Callable[..., Ran], till: Till, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """The command, in a thread of its own."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "a master key for tests, long enough")
    return lambda *words: asyncio.to_thread(command, "ledger", *map(str, words))


def told(ran: Ran) -> str:
    """What was printed, its lines joined."""
    assert ran.code == 0, ran.err
    return re.sub(r"\s+", " ", ran.out)


def ids(text: str, prefix: str) -> list[str]:
    return re.findall(rf"{prefix}_[0-9a-z]{{26}}", text)


async def test_a_month_is_closed_after_its_exceptions(till: Till, ledger: Ledger) -> None:
    suspense = Posting(chart.account(SUSPENSE_PSP, EUR), chart.psp_available(EUR), 1_250)
    [unknown] = await till.post(till.entry("manual", suspense))
    for words in (("--check",), ()):
        ran = await ledger("close-period", "2025-06-01", *words)
        assert ran.code == 1
        assert re.search(r"suspense:psp\s+│\s+EUR\s+│\s+12\.50", ran.out)
        assert "uspense" in ran.line
    assert "no period is closed yet" in told(await ledger("periods"))

    told(await ledger("reverse", public_id("journal entry", unknown), "--reason", "found"))
    assert "nothing stands against" in told(await ledger("close-period", "2025-06-01", "--check"))
    closed = told(await ledger("close-period", "2025-06-01"))
    assert "Blue [Market]: the books are closed until 2025-06-01T00:00:00+00:00, 4 entries." in closed
    [seal] = re.findall("Sealed as ([0-9a-f]{64})", closed)
    listed = re.sub(r"[\s│]", "", (await ledger("periods")).out)
    assert seal in listed
    assert ME.replace(" ", "") in listed
    again = await ledger("close-period", "2025-05-31T12:00:00+02:00")
    assert (again.code, "closed until 2025-06-01" in again.line) == (1, True)


@pytest.mark.parametrize("until", ["tomorrow", "2025-06-01T00:00:00", "2025-13-01"])
async def test_an_instant_is_written_so_that_it_is_one(ledger: Ledger, until: str) -> None:
    ran = await ledger("close-period", until)
    assert (ran.code, "write 2026-11-01" in ran.line) == (2, True)


async def test_an_entry_is_reversed_and_replaced(till: Till, ledger: Ledger) -> None:
    [wrong] = await till.post(till.charge(500))
    entry = public_id("journal entry", wrong)
    leg = f"psp:pending {till.pending.code} 4.00 EUR"
    done = told(await ledger("reverse", entry, "--reason", "twice", "--replace", leg, "--description", "As told"))
    assert done.startswith(f"Blue [Market]: {entry} is reversed by ent_")
    assert len(ids(done, "ent")) == 3
    assert await till.held(till.pending) == [(200_400, 200_400)]
    again = await ledger("reverse", entry, "--reason", "again")
    assert (again.code, f"{entry} was reversed already" in again.line) == (1, True)
    for leg, line in (("a b c", "is no posting"), ("bank psp:pending 1 EUR", "does not debit bank")):
        refused = await ledger("reverse", entry, "--reason", "x", "--replace", leg)
        assert refused.code, line


async def test_above_the_limit_another_person_approves(till: Till, ledger: Ledger) -> None:
    [wrong] = await till.post(till.charge(100_001))
    asked = told(await ledger("reverse", public_id("journal entry", wrong), "--reason", "twice"))
    assert "1000.01 EUR are above the limit of one person" in asked
    id = ids(asked, "cor")[0]
    own = await ledger("approve", id)
    assert (own.code, f"was asked for by {ME}: another person approves it" in own.line) == (1, True)
    assert id in (await ledger("corrections", "--waiting")).out

    await till.do(correction.approve, parse_id("correction", id), by="key_ben")
    assert "no correction waits" in told(await ledger("corrections", "--waiting"))
    late = await ledger("reject", id, "--reason", "no")
    assert (late.code, "is posted: it is decided once" in late.line) == (1, True)
    assert await till.held(till.pending) == [(200_000, 200_000)]


async def test_somebody_at_the_terminal_approves_what_came_through_the_api(till: Till, ledger: Ledger) -> None:
    one, two = await till.post(till.charge(100_001), till.charge(100_001))
    made = [await till.do(correction.request, wrong, by="key_anna", reason="twice") for wrong in (one, two)]
    approved, rejected = (public_id("correction", each.id) for each in made)
    assert "is reversed by ent_" in told(await ledger("approve", approved))
    assert "is rejected" in told(await ledger("reject", rejected, "--reason", "it is right"))
    listed = (await ledger("corrections")).out
    assert f"rejected by {ME} on" in listed
    assert "it is right" in listed


async def test_the_limit_is_shown_and_set(till: Till, ledger: Ledger) -> None:
    assert f"{ME} corrects up to 1000.00 EUR alone" in told(await ledger("correction-limit", "EUR"))
    assert "up to 2.50 EUR" in told(await ledger("correction-limit", "EUR", "2.50", "--reason", "audit"))
    shown = told(await ledger("correction-limit", "EUR"))
    assert "up to 2.50 EUR alone" in shown
    assert f"by {ME}: audit" in shown
    assert (await ledger("correction-limit", "EUR", "2.50")).code == 2
    assert (await ledger("correction-limit", "EUR", "2.505", "--reason", "x")).code == 1


async def test_an_account_is_frozen_limited_and_closed(till: Till, ledger: Ledger) -> None:
    code = till.payable.code
    assert "state: OPEN -> FROZEN" in told(await ledger("freeze", code, "EUR", "--reason", "looked into"))
    assert (await till.account(till.payable)).state is AccountState.FROZEN
    twice = await ledger("freeze", code, "EUR", "--reason", "again")
    assert (twice.code, "has the state FROZEN already" in twice.line) == (1, True)
    assert "FROZEN -> OPEN" in told(await ledger("unfreeze", code, "EUR", "--reason", "all is well"))
    low = await ledger("ceiling", code, "EUR", "9.99", "--reason", "x")
    assert (low.code, "holds 1000 in minor units" in low.line) == (1, True)
    assert "none -> 1000" in told(await ledger("ceiling", code, "EUR", "10.00", "--reason", "x"))
    assert "1000 -> none" in told(await ledger("ceiling", code, "EUR", "none", "--reason", "x"))
    assert "NOT_NEGATIVE -> NONE" in told(await ledger("guard", code, "EUR", "none", "--reason", "x"))
    assert "NONE -> NOT_NEGATIVE" in told(await ledger("guard", code, "EUR", "not-negative", "--reason", "x"))
    full = await ledger("close-account", code, "EUR", "--reason", "x")
    assert (full.code, "is not empty" in full.line) == (1, True)
    await till.post(till.set_aside(1_000))
    assert "OPEN -> CLOSED" in told(await ledger("close-account", code, "EUR", "--reason", "left"))

    listed = (await ledger("account-changes", code, "EUR")).out
    assert listed.index("CLOSED") < listed.index("FROZEN")
    assert "looked into" in re.sub(r"[\s│]+", " ", (await ledger("account-changes")).out)
    for words in (("freeze", "bank", "EUR"), ("freeze", "piggy", "EUR"), ("freeze", code, "XXX")):
        assert (await ledger(*words, "--reason", "x")).code == 1


async def test_holds_are_listed_and_given_back(till: Till, ledger: Ledger) -> None:
    assert "no hold is open" in told(await ledger("holds"))
    held = public_id("journal entry", await till.do(hold.place, till.set_aside(400)))
    listed = (await ledger("holds")).out
    assert held in listed
    assert "4.00 EUR" in listed
    assert f"{held} is given back" in told(await ledger("void-hold", held, "--reason", "called off"))
    assert await till.held(till.payable) == [(1_000, 1_000)]
    for unknown in (public_id("journal entry", new_id()), "ent_x", "x"):
        assert (await ledger("void-hold", unknown, "--reason", "x")).code == 1


@pytest.mark.parametrize(
    "name",
    [
        *("close-period", "periods", "reverse", "approve", "reject", "corrections", "correction-limit"),
        *("freeze", "unfreeze", "close-account", "guard", "ceiling", "account-changes", "holds", "void-hold"),
    ],
)
async def test_every_command_teaches_itself_by_an_example(ledger: Ledger, name: str) -> None:
    assert f"Example: marketbill ledger {name}" in told(await ledger(name, "--help"))
