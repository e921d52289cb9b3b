"""Payouts by the platform's own bank: files that a published schema takes, and answers that are taken whole or not."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from lxml import etree
from tests.market.market import Market

from marketbill.errors import InvalidInput, StateConflict
from marketbill.ids import public_id
from marketbill.payouts import payees
from marketbill.payouts.model import Rail
from marketbill.payouts.payees import BankAccount
from marketbill.payouts.rails import answer, bank
from marketbill.payouts.rails.answer import NoAnswer
from marketbill.payouts.rails.bank import AnswerMismatch
from marketbill.payouts.rails.order import reference_of

OURS, A, B = "NL91ABNA0417164300", "DE89370400440532013000", "FR1420041010050500013M02606"
PAIN_002 = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.12"
OWN = BankAccount("Märkt & Söhne", OURS, "ABNANL2A")
AMOUNT = '<Amt Ccy="EUR">43.59</Amt>'
CAMT_053 = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"


def schema(package: str, path: str) -> etree.XMLSchema:
    """A published schema, as a package carries it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        pytest.skip(f"{package} is not installed")
    return etree.XMLSchema(etree.parse(Path(found.origin).parent / path))


@pytest.fixture
async def ready(market: Market) -> Market:
    """A (43.59) and B (26.01) are paid by the platform's bank."""
    services, operator, key = market.machine.services, market.operator, market.machine.key
    await payees.put_debtor(
        services,
        operator,
        idempotency_key=key(),
        currency="EUR",
        account=BankAccount("Märkt & Söhne", OURS, "ABNANL2A"),
    )
    for name, iban, price in (("A", A, 5000), ("B", B, 3000)):
        await market.seller(name, onboard=None)
        await payees.put(
            services,
            operator,
            idempotency_key=key(),
            seller_id=market.seller_id(name),
            rail=Rail.BANK,
            account=BankAccount(f"{name} Łódź", iban),
        )
        await market.sale(market.line(name, price))
    await market.machine.advance(days=9)
    return market


async def order(market: Market, available: int | None = None) -> Any:
    return await bank.order(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        currency="EUR",
        available=available,
    )


async def take(market: Market, content: str) -> dict[str, Any]:
    row = await bank.take(
        market.machine.services, market.operator, idempotency_key=market.machine.key(), content=content.encode()
    )
    return row.outcome


def report(file: str, *fates: tuple[UUID, str]) -> str:
    singles = "".join(
        f"<TxInfAndSts><OrgnlEndToEndId>{reference_of(public_id('payout', id))}</OrgnlEndToEndId>"
        + f"<TxSts>{status}</TxSts>"
        + ("<StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>" if status == "RJCT" else "")
        + "</TxInfAndSts>"
        for id, status in fates
    )
    return (
        f'<Document xmlns="{PAIN_002}"><CstmrPmtStsRpt><GrpHdr><MsgId>R1</MsgId><CreDtTm>2026-01-02T09:00:00</CreDtTm>'
        f"</GrpHdr><OrgnlGrpInfAndSts><OrgnlMsgId>{file}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>"
        f"</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>{file}</OrgnlPmtInfId>{singles}</OrgnlPmtInfAndSts>"
        "</CstmrPmtStsRpt></Document>"
    )


def statement(*lines: tuple[str, str, str], iban: str = OURS, message: str = "S1") -> str:
    """Of (reference, DBIT or CRDT, amount)."""
    entries = "".join(
        f'<Ntry><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>'
        "<BkTxCd><Prtry><Cd>X</Cd></Prtry></BkTxCd><NtryDtls><TxDtls><Refs><AcctSvcrRef>REF-1</AcctSvcrRef>"
        f'<EndToEndId>{reference}</EndToEndId></Refs><Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        + ("<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>" if side == "CRDT" else "")
        + "</TxDtls></NtryDtls></Ntry>"
        for reference, side, amount in lines
    )
    balance = (
        '<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>'
        "<Dt><Dt>2026-01-02</Dt></Dt></Bal>"
    )
    return (
        f'<Document xmlns="{CAMT_053}"><BkToCstmrStmt><GrpHdr><MsgId>{message}</MsgId>'
        "<CreDtTm>2026-01-02T09:00:00</CreDtTm></GrpHdr><Stmt><Id>1</Id><CreDtTm>2026-01-02T09:00:00</CreDtTm>"
        f"<Acct><Id><IBAN>{iban}</IBAN></Id></Acct>{balance}{entries}</Stmt></BkToCstmrStmt></Document>"
    )


def reference(row: Any) -> str:
    return reference_of(public_id("payout", row.id))


async def test_ordered_paid_and_sent_back(ready: Market) -> None:
    """No transfer at the provider; 43.59 to A is carried out and comes back, 25.00 of B's 26.01 are refused."""
    assert await ready.transfers() == []
    a, b = await ready.payout("A"), await ready.payout("B", 2500)
    assert (a.rail, a.amount, a.intent_id) == ("BANK", 4359, None)
    file = await order(ready)
    assert (file.payouts, file.amount) == (2, 6859)
    text = bank.content_of(ready.machine.services, file)
    root = etree.fromstring(text.encode())
    schema("pain001", "templates/pain.001.001.09/pain.001.001.09.xsd").assertValid(root)
    names = [one.text for one in root.iter("{*}Nm")]
    assert names == ["Markt + Sohne", "Markt + Sohne", "A Lodz", "B Lodz"]
    assert [one.text for one in root.iter("{*}InstdAmt")] == ["43.59", "25.00"]
    assert [one.text for one in root.iter("{*}IBAN")] == [OURS, A, B]
    assert (await ready.books())["bank:clearing", "EUR"] == 6859

    told = report(file.message_id, (a.id, "ACSP"), (b.id, "RJCT"))
    schema("pain001", "pain002/schemas/pain.002.001.12.xsd").assertValid(etree.fromstring(told.encode()))
    assert await take(ready, told) == {"orders": 2, "others": 0, "REJECTED": 1, "UNDER_WAY": 1}
    assert await take(ready, told) == {"orders": 2, "others": 0, "REJECTED": 1, "UNDER_WAY": 1}
    row = await ready.payout_row(b.id)
    assert (row.status, row.reason) == ("FAILED", "AC04")

    booked = statement((reference(a), "DBIT", "43.59"), ("RENT-2026", "DBIT", "900.00"))
    assert await take(ready, booked) == {"orders": 1, "others": 1, "PAID": 1}
    row = await ready.payout_row(a.id)
    assert (row.status, row.bank_reference) == ("PAID", "REF-1")
    books = await ready.books()
    assert (books["bank:clearing", "EUR"], books["bank", "EUR"], books["seller:A:payable", "EUR"]) == (0, -4359, 0)

    services, key = ready.machine.services, ready.machine.key()
    for _ in range(3):  # the file is known, and its key is new, and then known too
        again = await bank.take(services, ready.operator, idempotency_key=key, content=booked.encode())
        assert again.outcome == {"orders": 1, "others": 1, "PAID": 1}

    await take(ready, statement((reference(a), "CRDT", "43.59"), message="S2"))
    assert [kind for kind, _ in await ready.journal(a.id)] == [
        "bank-payout-created",
        "bank-payout-paid",
        "bank-payout-failed",
    ]
    books = await ready.books()
    assert (books["bank", "EUR"], books["seller:A:payable", "EUR"], books["seller:B:payable", "EUR"]) == (0, 4359, 2601)
    await ready.prove()


async def test_the_same_file_twice_at_once_is_one_import(ready: Market) -> None:
    a = await ready.payout("A")
    await order(ready)
    told = statement((reference(a), "DBIT", "43.59"), (reference(a), "CRDT", "43.59"))
    outcomes = await asyncio.gather(*(take(ready, told) for _ in range(4)))
    assert outcomes == [{"orders": 2, "others": 0, "PAID": 1, "RETURNED": 1}] * 4
    assert len(await ready.journal(a.id)) == 3
    again = {"idempotency_key": "again", "content": told.encode()}
    for _ in range(2):
        row = await bank.take(ready.machine.services, ready.operator, **again)
        assert row.outcome == outcomes[0]
    await ready.prove()


async def test_a_statement_of_more_days_tells_again_what_is_known(ready: Market) -> None:
    """A's was debited and came back, as two statements told; that of the week tells both, and of B's as well."""
    a, b = await ready.payout("A"), await ready.payout("B")
    await order(ready)
    debit, back = (reference(a), "DBIT", "43.59"), (reference(a), "CRDT", "43.59")
    await take(ready, statement(debit, message="S1"))
    await take(ready, statement(back, message="S2"))
    await take(ready, statement(debit, back, (reference(b), "DBIT", "26.01"), message="S3"))
    assert [(await ready.payout_row(one.id)).status for one in (a, b)] == ["FAILED", "PAID"]
    assert len(await ready.journal(a.id)) == 3
    await ready.prove()


async def test_a_message_that_is_refused_whole_is_refused_of_all(ready: Market) -> None:
    """The report names but the one order that is wrong."""
    a, b = await ready.payout("A"), await ready.payout("B")
    file = await order(ready)
    whole = "<OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>"
    told = report(file.message_id, (a.id, "RJCT")).replace(whole, whole + "<GrpSts>RJCT</GrpSts>")
    await take(ready, told)
    rows = [await ready.payout_row(one.id) for one in (a, b)]
    assert [row.status for row in rows] == ["FAILED", "FAILED"]
    assert rows[0].reason == "AC04"
    assert (await ready.books())["bank:clearing", "EUR"] == 0
    await ready.prove()


async def test_what_the_account_is_too_small_for_is_queued(ready: Market) -> None:
    """The oldest first: a younger one does not overtake it, though it would fit."""
    a, b = await ready.payout("A"), await ready.payout("B", 1000)
    with pytest.raises(StateConflict) as small:
        await order(ready, 4358)
    assert small.value.current_state == "NOT_ENOUGH"
    file = await order(ready, 5000)
    assert file.payouts == 1
    assert (await ready.payout_row(a.id)).status == "IN_TRANSIT"
    waits = await ready.payout_row(b.id)
    assert (waits.status, waits.reason[:6]) == ("CREATED", "Queued")
    assert (await order(ready)).payouts == 1
    with pytest.raises(StateConflict, match="No payout waits"):
        await order(ready)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda a, b: statement((reference(a), "DBIT", "43.60")), "is of 43.59 EUR, not 43.60 EUR"),
        (lambda a, b: statement((reference(a), "DBIT", "43.59"), (reference(b), "DBIT", "1.00")), "was never ordered"),
        (lambda a, b: statement((reference(a), "DBIT", "43.59"), iban=A), "not of the platform's own account"),
        (lambda a, b: statement(("pot-00000000000000000000000001", "DBIT", "1.00")), "no payout of ours"),
        (lambda a, b: report("bnk-00000000000000000000000001", (a.id, "RJCT")), "is not in bnk-"),
        (lambda a, b: report("SOMEBODY-ELSE", (a.id, "ACSC")), "is not in SOMEBODY-ELSE"),
        (lambda a, b: statement((reference(a), "DBIT", "43.59"), iban=A).replace(AMOUNT, ""), "not of the platform's"),
        (lambda a, b: statement((reference(a), "DBIT", "43.59"), iban="").replace(AMOUNT, ""), "without an IBAN"),
    ],
)
async def test_a_file_that_does_not_match_is_taken_in_no_part(ready: Market, wrong: Any, says: str) -> None:
    a = await ready.payout("A")
    await order(ready)
    b = await ready.payout("B", 100)
    with pytest.raises(AnswerMismatch, match=says):
        await take(ready, wrong(a, b))
    assert (await ready.payout_row(a.id)).status == "IN_TRANSIT"
    assert (await ready.books())["bank:clearing", "EUR"] == 4459


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "not XML"),
        ("<html/>", "neither"),
        (f'<Document xmlns="{CAMT_053}"/>', "has no BkToCstmrStmt"),
        ('<!DOCTYPE x [<!ENTITY e "e">]><Document>&e;</Document>', "document type"),
        ('<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"/>', "neither"),
        (statement(("pot-1", "DBIT", "1.005")), "no amount"),
        (statement(("pot-1", "DBIT", "1E999999")), "no amount"),
        (statement(("pot-1", "DBIT", "9" * 5000)), "no amount"),
        (statement(("pot-1", "DBIT", "1_0")), "no amount"),
    ],
)
async def test_what_is_no_answer_is_refused(content: str, says: str) -> None:

    with pytest.raises(NoAnswer, match=says) as refused:
        answer.read(content.encode())
    assert refused.value.path == ("content",)


async def test_a_statement_is_as_the_published_schema_has_it() -> None:
    told = statement(("pot-1", "DBIT", "1.00"), ("pot-2", "CRDT", "2.00"))
    schema("camt053", "xsd/camt.053.001.08.xsd").assertValid(etree.fromstring(told.encode()))


async def test_what_lacks_is_said(market: Market) -> None:
    services, operator = market.machine.services, market.operator
    await market.seller("A")
    wrong = (BankAccount("A", "NL00ABNA0417164300"), BankAccount(" ", A), BankAccount("A", A, "NOBIC"))
    for place, account in enumerate(wrong):
        with pytest.raises(InvalidInput) as refused:
            await payees.put(
                services,
                operator,
                idempotency_key=str(place),
                seller_id=market.seller_id("A"),
                rail=Rail.BANK,
                account=account,
            )
        assert refused.value.path == (("iban",), ("holder",), ("bic",))[place]
    with pytest.raises(StateConflict) as unknown:
        await order(market)
    assert unknown.value.current_state == "NO_DEBTOR"
