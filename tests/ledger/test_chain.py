"""What is sealed, and over which bytes."""

import hashlib
import json
from dataclasses import replace
from functools import partial

import asyncpg
from tests.ledger.long_story import write_long_story
from tests.ledger.worked_journal import basket

from marketbill.db import Database
from marketbill.ids import PlatformId
from marketbill.ledger.chain_file import chain_lines
from marketbill.ledger.journal import Outcome, Source, post


async def test_an_id_that_comes_from_the_database_is_sealed_like_any_other(db: Database, platform: PlatformId) -> None:
    """The driver's UUIDs are of its own kind."""
    entry = basket().entries[0]
    async with db.write(platform) as scope:
        [[read]] = await scope.fetch("select $1::uuid", entry.source.id)
        [result] = await post(scope, [replace(entry, source=Source(entry.source.type, read))])
        [again] = await post(scope, [entry])
    assert (result.outcome, again.outcome) == (Outcome.POSTED, Outcome.REPLAYED)


async def test_anyone_can_check_the_chain_from_a_file(db: Database, platform: PlatformId) -> None:
    await write_long_story(db, platform)
    file = b"".join([part async for part in chain_lines(partial(db.read, platform))])

    previous = bytes(32)
    for number, row in enumerate(file.splitlines(keepends=True), 1):
        digest, line = row.split(b"\t", 1)
        previous = hashlib.sha256(previous + line).digest()
        assert digest.decode() == previous.hex()
        assert json.loads(line)[0] == number

    async with db.read(platform) as scope:
        [head] = await scope.fetch("select entries, hash from ledger_head where platform_id = $1", platform)
    assert (head["entries"], head["hash"]) == (number, previous)


async def test_the_file_of_an_altered_journal_says_where(db: Database, platform: PlatformId, admin_url: str) -> None:
    await write_long_story(db, platform)
    admin = await asyncpg.connect(admin_url)
    await admin.execute("update posting set amount = amount + 1 where number = 1")
    await admin.close()
    file = b"".join([part async for part in chain_lines(partial(db.read, platform))])
    digest, line = file.splitlines(keepends=True)[0].split(b"\t", 1)
    assert json.loads(line)[-1] == [["psp:available", "bank", 20001, "EUR"]]
    assert hashlib.sha256(bytes(32) + line).hexdigest() != digest.decode()
