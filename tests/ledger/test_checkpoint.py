"""A checkpoint kept outside shows what no proof within the database can: that the whole history was written anew."""

import base64
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import which

import asyncpg
import pytest
from tests.ledger.long_story import close_period, write_after_close, write_long_story
from tests.ledger.worked_journal import START, basket

from marketbill.crypto import Vault
from marketbill.db import Database
from marketbill.ids import PlatformId, new_id, public_id
from marketbill.ledger.audit.finding import Finding, Findings
from marketbill.ledger.audit.history import History
from marketbill.ledger.audit.sealing import sealed_line
from marketbill.ledger.audit.snapshot import take
from marketbill.ledger.chain import GENESIS, body_hash, seal
from marketbill.ledger.checkpoint import Checkpoint, NoCheckpoint, check, read_document, sign, signer_of
from marketbill.ledger.journal import post_all
from marketbill.ledger.proof import prove
from marketbill.ledger.rebuild import rebuild

VAULT = Vault("a master key for tests, long enough")


@pytest.fixture
async def admin(admin_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(admin_url)
    yield connection
    await connection.close()


@pytest.fixture
async def books(db: Database, admin: asyncpg.Connection, platform: PlatformId) -> PlatformId:
    await write_long_story(db, platform)
    await close_period(admin, platform, START + timedelta(hours=6))
    await write_after_close(db, platform)
    return platform


async def taken(db: Database, platform: PlatformId) -> Checkpoint:
    async with db.read(platform) as scope:
        return await sign(scope, signer_of(VAULT, platform))


async def differences(db: Database, platform: PlatformId, checkpoint: Checkpoint) -> list[Finding]:
    key = signer_of(VAULT, platform).public_key
    return await check(partial(db.read, platform), checkpoint, trusted_key=key)


async def test_books_that_only_grew_still_hold_their_checkpoint(db: Database, books: PlatformId) -> None:
    checkpoint = read_document((await taken(db, books)).document().encode())
    assert checkpoint.body["entries"] == 25
    assert checkpoint.body["trial_balance"] == [
        {"currency": "EUR", "credits_minor": "141064", "debits_minor": "141064"}
    ]
    assert await differences(db, books, checkpoint) == []
    async with db.write(books) as scope:
        await post_all(scope, basket().entries)
    assert await differences(db, books, checkpoint) == []


async def test_books_without_entries_have_a_checkpoint(db: Database, platform: PlatformId) -> None:
    checkpoint = await taken(db, platform)
    assert (checkpoint.body["entries"], checkpoint.body["hash"]) == (0, GENESIS.hex())
    async with db.write(platform) as scope:
        await post_all(scope, basket().entries)
    assert await differences(db, platform, checkpoint) == []


async def test_a_history_written_anew_is_found_by_a_checkpoint_alone(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    """The attacker owns the database and knows the code: he moves 100.00 and makes every hash and total fit."""
    checkpoint = await taken(db, books)
    await admin.execute("update posting set amount = amount + 10000 where platform_id = $1 and number = 1", books)
    await admin.execute("delete from ledger_period where platform_id = $1", books)
    await write_anew(db, admin, books)
    assert await prove(partial(db.read, books)) == []

    found = {finding.subject: finding for finding in await differences(db, books, checkpoint)}
    assert set(found) == {"hash at entry 25", "trial balance at entry 25"}
    assert found["hash at entry 25"].expected == checkpoint.body["hash"]


async def test_a_history_that_was_cut_off_is_found_by_a_checkpoint_alone(
    db: Database, admin: asyncpg.Connection, books: PlatformId
) -> None:
    checkpoint = await taken(db, books)
    await admin.execute("delete from posting where platform_id = $1 and entry_number > 3", books)
    await admin.execute("delete from journal_entry where platform_id = $1 and number > 3", books)
    await admin.execute("delete from ledger_period where platform_id = $1", books)
    await write_anew(db, admin, books)
    assert await prove(partial(db.read, books)) == []

    [finding] = await differences(db, books, checkpoint)
    assert (finding.subject, finding.expected, finding.found) == (
        "number of entries",
        "at least 25",
        "3: the rest is gone",
    )


async def test_one_altered_entry_is_named(db: Database, admin: asyncpg.Connection, books: PlatformId) -> None:
    checkpoint = await taken(db, books)
    await admin.execute("update journal_entry set description = 'x' where platform_id = $1 and number = 4", books)
    found = [finding.subject for finding in await differences(db, books, checkpoint)]
    id = await admin.fetchval("select id from journal_entry where platform_id = $1 and number = 4", books)
    assert found == ["hash at entry 25", f"{public_id('journal entry', id)} (entry 4), hash"]


@pytest.mark.parametrize(
    ("member", "value"),
    [("entries", 24), ("hash", "00" * 32), ("recorded_at", None), ("signed_at", "2020"), ("trial_balance", [])],
)
async def test_a_checkpoint_that_was_altered_is_no_longer_signed(
    db: Database, books: PlatformId, member: str, value: object
) -> None:
    checkpoint = await taken(db, books)
    forged = replace(checkpoint, body=checkpoint.body | {member: value})
    assert "signature" in {finding.subject for finding in await differences(db, books, forged)}


async def test_a_checkpoint_signed_by_another_is_refused(db: Database, books: PlatformId) -> None:
    """Neither the same platform under another master key, nor another platform's key under the same."""
    checkpoint = await taken(db, books)
    for signer in (
        signer_of(Vault("another master key, long enough too"), books),
        signer_of(VAULT, PlatformId(new_id())),
    ):
        forged = Checkpoint(checkpoint.body, signer.sign(checkpoint.signed_bytes()), signer.public_key)
        assert {finding.subject for finding in await differences(db, books, forged)} == {"signature", "public key"}


async def test_a_checkpoint_of_other_books_is_told(db: Database, books: PlatformId) -> None:
    other = PlatformId(new_id())
    checkpoint = await taken(db, books)
    key = signer_of(VAULT, books).public_key
    [finding] = await check(partial(db.read, other), checkpoint, trusted_key=key)
    assert (finding.subject, finding.expected) == ("platform", public_id("platform", books))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"checkpoint": {}, "signature": "", "public_key": ""}',
        b'{"checkpoint": {"format": "marketbill-checkpoint-2", "platform": "p", "hash": "", "entries": 1},'
        b' "signature": "", "public_key": ""}',
        b'{"checkpoint": {"format": "marketbill-checkpoint-1", "platform": "p", "hash": "", "entries": -1},'
        b' "signature": "", "public_key": ""}',
        b'{"checkpoint": {"format": "marketbill-checkpoint-1", "platform": "p", "hash": "", "entries": 1},'
        b' "signature": "!", "public_key": ""}',
    ],
)
def test_what_is_no_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(NoCheckpoint):
        read_document(text)


async def test_what_is_no_key_is_refused(db: Database, books: PlatformId) -> None:
    checkpoint = await taken(db, books)
    for key in ("", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(NoCheckpoint, match="Ed25519"):
            await check(partial(db.read, books), checkpoint, trusted_key=key)


async def test_an_auditor_needs_none_of_our_programs(db: Database, books: PlatformId, tmp_path: Path) -> None:
    """The signed bytes by Python's own JSON, the signature by OpenSSL."""
    if which("openssl") is None:
        pytest.skip("no openssl here")
    document = json.loads((await taken(db, books)).document())
    signed = json.dumps(document["checkpoint"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "signed"]
    (tmp_path / "key.pem").write_text(document["public_key"])
    (tmp_path / "signature").write_bytes(base64.b64decode(document["signature"]))
    for content, code in ((signed, 0), (signed.replace(b'"entries":25', b'"entries":24'), 1)):
        (tmp_path / "signed").write_bytes(content)
        ran = subprocess.run([*verify, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False)  # noqa: ASYNC221
        assert ran.returncode == code, ran.stderr


async def write_anew(db: Database, admin: asyncpg.Connection, platform: PlatformId) -> None:
    """Makes running balances, totals, hashes and head fit whatever the postings say, as the code itself would."""
    await admin.execute(
        """
        with side as (
          select number, debit_account_id as account, amount as net, held from posting where platform_id = $1
          union all select number, credit_account_id, - amount, held from posting where platform_id = $1
        ), run as (
          select number, account, sum(net) filter (where not held) over (partition by account order by number) as net
          from side
        )
        update posting p set debit_balance_after = coalesce(d.net, 0), credit_balance_after = coalesce(c.net, 0)
        from run d, run c
        where p.platform_id = $1 and (d.number, d.account) = (p.number, p.debit_account_id)
          and (c.number, c.account) = (p.number, p.credit_account_id)
        """,
        platform,
    )
    async with db.read(platform) as scope:
        snapshot = await take(scope, Findings())
    previous = GENESIS
    async for page in History(partial(db.read, platform), last=snapshot.last_entry).pages():
        for entry, postings, _ in page:
            accounts = snapshot.accounts
            facts = [(accounts[p[2]].code, accounts[p[3]].code, p[4], p[8]) for p in postings]
            body = body_hash(
                kind=entry.kind,
                source_type=entry.source_type,
                source_id=entry.source_id,
                phase=entry.phase,
                resolves=entry.resolves,
                reverses=entry.reverses,
                movements=facts,
            )
            previous = seal(previous, sealed_line(entry, facts))
            await admin.execute(
                "update journal_entry set body_hash = $3, hash = $4 where platform_id = $1 and number = $2",
                platform,
                entry.number,
                body,
                previous,
            )
    await admin.execute("delete from ledger_head where platform_id = $1", platform)
    await rebuild(partial(db.read, platform), partial(db.write, platform))
