"""`marketbill ledger rebuild`, `checkpoint`, `chain`, and what `verify` says of the journal, as a person sees them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.ledger.long_story import write_long_story

from marketbill.db import Database
from marketbill.ids import PlatformId, new_id, public_id

Run = Callable[..., Any]


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(database_url: str, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> PlatformId:
    """Two platforms with books, and the environment of an operator; the first one's id."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "a master key for tests, long enough")
    db = Database(database_url)
    ids = [PlatformId(new_id()) for _ in range(2)]
    for id, name in zip(ids, ("First [/x]", "Second"), strict=True):
        await admin.execute(
            "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
            " created_at, updated_at) values ($1, $2, 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
            id,
            name,
        )
        await write_long_story(db, id)
    await db.dispose()
    return ids[0]


@pytest.fixture
def ran(command: Run) -> Run:
    """Commands run in a thread of their own: they have an event loop of their own."""
    return lambda *words: asyncio.to_thread(command, "ledger", *map(str, words))


async def test_books_that_are_as_they_follow_are_equal(books: PlatformId, ran: Run) -> None:
    done = await ran("rebuild", "--check")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == "First [/x]: 23 entries"
    assert [line.rstrip().endswith("equal") for line in lines if "as stored" in line] == [True, True]
    assert lines[1].split()[-1] == lines[2].split()[-2]


async def test_what_was_altered_is_named_then_repaired(books: PlatformId, ran: Run, admin: asyncpg.Connection) -> None:
    await admin.execute("update ledger_account set debits = debits + 1 where platform_id = $1 and code = 'bank'", books)
    found = await ran("rebuild", "--check")
    assert found.code == 1
    assert found.line.startswith("what is stored is not what follows from the journal: First [/x]")
    assert "DIFFERENT" in found.out
    assert "bank EUR, debits: 50077 follows from the journal, 50078 is stored" in found.out

    done = await ran("rebuild", "--yes", "--platform", "First [/x]")
    assert done.code == 0, done.err
    assert "50078 was stored" in done.out
    assert "repaired" in done.out
    assert (await ran("rebuild", "--check")).code == 0


async def test_a_rebuild_says_first_what_it_would_do(books: PlatformId, ran: Run) -> None:
    for words in ((), ("--check", "--yes")):
        refused = await ran("rebuild", *words)
        assert refused.code == 2
        assert "--check only compares, --yes changes" in refused.line


async def test_nothing_is_rebuilt_from_a_harmed_journal(books: PlatformId, ran: Run, admin: asyncpg.Connection) -> None:
    await admin.execute("update journal_entry set description = '' where platform_id = $1 and number = 4", books)
    refused = await ran("rebuild", "--yes")
    assert refused.code == 1
    assert "(entry 4), hash" in refused.line


async def test_a_checkpoint_is_written_and_checked(
    books: PlatformId, ran: Run, admin: asyncpg.Connection, tmp_path: Path
) -> None:
    file, key = tmp_path / "checkpoint.json", tmp_path / "key.pem"
    assert (await ran("checkpoint", "--platform", "Second", "-o", file)).code == 0
    key.write_text((await ran("checkpoint", "--platform", "Second", "--public-key")).out)
    assert json.loads(file.read_text())["public_key"] == key.read_text()

    for words in ((), ("--key", key)):
        checked = await ran("checkpoint", "--check", file, *words)
        assert checked.code == 0, checked.err
        assert "Second: the books hold the history of the checkpoint, 23 entries" in checked.out

    await admin.execute("update posting set amount = amount + 1 where number = 1 and platform_id <> $1", books)
    broken = await ran("checkpoint", "--check", file)
    assert broken.code == 1
    assert broken.line.startswith("Second: the books are not those of the checkpoint: hash at entry 23")
    assert "(entry 1), hash: signed" in broken.out


async def test_a_checkpoint_is_checked_with_the_key_that_is_trusted(
    books: PlatformId, ran: Run, tmp_path: Path
) -> None:
    file, key = tmp_path / "checkpoint.json", tmp_path / "key.pem"
    await ran("checkpoint", "--platform", public_id("platform", books), "-o", file)
    key.write_text((await ran("checkpoint", "--platform", "Second", "--public-key")).out)
    checked = await ran("checkpoint", "--check", file, "--key", key)
    assert checked.code == 1
    assert "signature, public key" in checked.line


async def test_a_checkpoint_command_that_makes_no_sense_is_refused(books: PlatformId, ran: Run, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.json"
    for words, line in (
        (("--check", file, "--public-key"), "--check stands alone"),
        (("--key", file), "--key is the key to trust with --check"),
        (("-o", file), "there are several platforms"),
        (("--check", file), "No such file"),
    ):
        refused = await ran("checkpoint", *words)
        assert refused.code, words
        assert line in refused.line
    file.write_text("{}")
    assert "no checkpoint" in (await ran("checkpoint", "--check", file)).line


async def test_the_chain_is_written_for_others_to_check(books: PlatformId, ran: Run, tmp_path: Path) -> None:
    file = tmp_path / "books.chain"
    done = await ran("chain", "--platform", "Second", "-o", file)
    assert done.code == 0, done.err
    previous = bytes(32)
    with file.open("rb") as rows:
        for row in rows:
            digest, line = row.split(b"\t", 1)
            previous = hashlib.sha256(previous + line).digest()
            assert previous.hex() == digest.decode()


async def test_verify_names_the_entry_and_says_how_far_it_went(
    books: PlatformId, command: Run, admin: asyncpg.Connection
) -> None:
    await admin.execute("update journal_entry set description = '' where platform_id = $1 and number = 4", books)
    id = await admin.fetchval("select id from journal_entry where platform_id = $1 and number = 4", books)
    done = await asyncio.to_thread(command, "verify", "--platform", "First [/x]")
    assert done.code == 1
    assert "23 entries replayed in" in done.out
    assert f"{public_id('journal entry', id)} (entry 4), hash" in done.line
