"""`marketbill bank-import`: a bank's statement is longer than a string of the API may be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from tests.cli.conftest import Ran

from marketbill.ids import PlatformId, new_id

Import = Callable[..., Awaitable[Ran]]
ENTRY = '<Ntry><Amt Ccy="EUR">900.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts></Ntry>'


def statement(entries: str) -> str:
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>S-7</MsgId>'
        "</GrpHdr><Stmt><Id>1</Id><Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>"
        f"{entries}</Stmt></BkToCstmrStmt></Document>"
    )


@pytest.fixture
async def bank_import(
    command: Callable[..., Ran], admin_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Import:
    """The command, in a thread of its own."""
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "insert into platform (platform_id, name, country, default_currency, fee_tax_rate, hold_from, hold_days,"
        " created_at, updated_at) values ($1, 'Blue [Market]', 'NL', 'EUR', 21, 'CAPTURE', 0, now(), now())",
        PlatformId(new_id()),
    )
    await connection.close()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "a master key for tests, long enough")
    return lambda *words: asyncio.to_thread(command, "bank-import", *words)


async def test_a_long_statement_is_imported_and_again(bank_import: Import, tmp_path: Path) -> None:
    file = tmp_path / "camt.xml"
    file.write_text(statement(ENTRY * 2000))
    for _ in range(2):
        ran = await bank_import(str(file))
        assert ran.code == 0, ran.err
        assert " ".join(ran.out.split()) == "Blue [Market]: S-7 tells of 0 payouts; 2000 others passed over."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("x", "The file is not XML"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document>&e;</Document>', "document type"),
        (statement(ENTRY.replace("</Ntry>", "<NtryDtls><TxDtls><Refs><EndToEndId>pot-1</EndToEndId></Refs>"
                                 '<Amt Ccy="EUR">1</Amt></TxDtls></NtryDtls></Ntry>')), "the platform's own account"),
        (None, "cannot be read"),
    ],
)  # fmt: skip
async def test_what_is_refused_is_one_line(bank_import: Import, tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "answer.xml"
    if content is not None:
        file.write_text(content)
    ran = await bank_import(str(file))
    assert (ran.code, ran.out) == (1, "")
    assert says in ran.line
