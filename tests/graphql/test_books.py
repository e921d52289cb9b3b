"""Operators and the books through the API: corrections by two people, closed periods, frozen accounts, holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from marketbill.ids import public_id
from marketbill.ledger import chart, hold
from marketbill.ledger.entry import JournalEntry, Posting, Source
from marketbill.ledger.proof import check

from .market import Caller, Market
from .test_payments import basket

OPERATIONS = Path(__file__).resolve().parents[2] / "graphql/operations"
CORRECTION = "correction { id status needsApproval requestedBy decidedBy reversal { id kind } replacement { id kind } }"
TRIAL = "{ trialBalance { currency debit { minor } credit { minor } rows { code debit { minor } credit { minor } } } }"


def document(name: str) -> str:
    return (OPERATIONS / f"{name}.graphql").read_text()


@pytest.fixture
async def sold(market: Market) -> Market:
    """A sale of 121.00 EUR that was paid, delivered and transferred to its seller."""
    await market.connect_provider()
    anna = await market.onboarded("Anna")
    await market.operator.do(
        "paymentCreate", "payment { id }", **basket(anna, prices=(12_100,)), paymentMethodToken="pm_card_bypassPending"
    )
    [payment] = (await market.operator.ask("{ payments { nodes { id } } }"))["payments"]["nodes"]
    await market.operator.do("paymentDeliver", "payment { id }", id=payment["id"])

    async def transferred() -> bool:
        return bool(await entries(market, "transfer"))

    await market.until(transferred)
    return market


@pytest.fixture
async def anna(sold: Market) -> Caller:
    return await person(sold, "Anna")


@pytest.fixture
async def ben(sold: Market) -> Caller:
    return await person(sold, "Ben")


async def person(market: Market, name: str, role: str = "OPERATOR") -> Caller:
    """Somebody with an API key of his own."""
    made = await market.operator.do("apiKeyCreate", "secret", name=name, role=role)
    return market.caller(made["secret"])


async def entries(market: Market, kind: str) -> list[str]:
    found = await market.operator.ask(
        "query($k: String!) { journalEntries(kind: $k, first: 50) { nodes { id } } }", k=kind
    )
    return [entry["id"] for entry in found["journalEntries"]["nodes"]]


async def held(market: Market, code: str) -> dict[str, Any]:
    found = await market.operator.ask(
        """query($c: String!) { ledgerAccount(by: {code: {code: $c, currency: "EUR"}}) {
          id state guard ceiling { minor } balance { minor } available { minor } } }""",
        c=code,
    )
    return found["ledgerAccount"]


async def trial(market: Market, at: str | None = None) -> list[Any]:
    asked = TRIAL if at is None else TRIAL.replace("{ trialBalance", f'{{ trialBalance(at: "{at}")')
    return (await market.operator.ask(asked))["trialBalance"]


async def proven(market: Market) -> None:
    """The books add up and hold together."""
    for balance in await trial(market):
        assert balance["debit"] == balance["credit"]
    async with market.services.db.read(market.tenant) as scope:
        assert await check(scope) == []


def said(payload: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [(error["__typename"], error["code"], error["path"]) for error in payload["errors"]]


async def test_one_person_corrects_a_small_entry_and_the_trial_balance_tells(sold: Market, anna: Caller) -> None:
    before = await trial(sold)
    [fee] = await entries(sold, "psp-fee")
    asked = {"entryId": fee, "reason": "fee of another platform", "idempotencyKey": "c"}
    done = (await anna.do("journalEntryReverse", CORRECTION, **asked))["correction"]
    assert (done["status"], done["needsApproval"], done["reversal"]["kind"]) == ("POSTED", False, "reversal")
    assert (await anna.do("journalEntryReverse", CORRECTION, **asked))["correction"] == done
    assert (await held(sold, "expenses:psp-fee"))["balance"] == {"minor": "0"}
    assert await trial(sold) != before
    await proven(sold)

    again = await anna.send("journalEntryReverse", CORRECTION, entryId=fee, reason="again")
    assert said(again) == [("StateConflict", "STATE_INVALID", ["entryId"])]
    other = await anna.send("journalEntryReverse", CORRECTION, **asked | {"reason": "another"})
    assert said(other) == [("IdempotencyConflict", "IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])]


async def test_above_the_limit_two_people_correct_an_entry(sold: Market, anna: Caller, ben: Caller) -> None:
    await ben.do(
        "ledgerCorrectionLimitSet",
        "limit { limit { minor } setBy }",
        limit={"minor": "50", "currency": "EUR"},
        reason="audit",
    )
    assert (await anna.ask(document("ledgerCorrectionLimit"), currency="EUR"))["ledgerCorrectionLimit"]["minor"] == "50"
    [fee] = await entries(sold, "psp-fee")
    fee_of = (await held(sold, "expenses:psp-fee"))["balance"]
    asked = (await anna.do("journalEntryReverse", CORRECTION, entryId=fee, reason="twice"))["correction"]
    assert (asked["status"], asked["needsApproval"], asked["reversal"]) == ("PENDING", True, None)
    assert (await held(sold, "expenses:psp-fee"))["balance"] == fee_of

    own = await anna.send("ledgerCorrectionApprove", CORRECTION, id=asked["id"])
    assert said(own) == [("Forbidden", "FORBIDDEN", ["id"])]
    for _ in range(2):
        done = await ben.do("ledgerCorrectionApprove", CORRECTION, id=asked["id"], idempotencyKey="yes")
        assert done["correction"]["status"] == "POSTED"
        assert done["correction"]["requestedBy"] != done["correction"]["decidedBy"]
    late = await ben.send("ledgerCorrectionReject", CORRECTION, id=asked["id"], reason="no")
    assert said(late) == [("StateConflict", "STATE_INVALID", ["id"])]
    [listed] = (await ben.ask(document("ledgerCorrections"), status=["POSTED"]))["ledgerCorrections"]["nodes"]
    assert (listed["id"], listed["entry"]["id"], listed["amounts"][0]["minor"]) == (asked["id"], fee, fee_of["minor"])
    found = await ben.ask(document("node"), id=asked["id"])
    assert found["node"]["id"] == asked["id"]
    assert (await held(sold, "expenses:psp-fee"))["balance"] == {"minor": "0"}
    await proven(sold)


async def test_what_a_seller_was_paid_is_not_taken_back_and_the_correction_goes_on_waiting(
    sold: Market, anna: Caller, ben: Caller
) -> None:
    await ben.do("ledgerCorrectionLimitSet", "limit { setBy }", limit={"minor": "0", "currency": "EUR"}, reason="audit")
    [release] = await entries(sold, "release")
    asked = (await anna.do("journalEntryReverse", CORRECTION, entryId=release, reason="too early"))["correction"]
    refused = await ben.ask(document("ledgerCorrectionApprove"), input={"id": asked["id"], "idempotencyKey": "yes"})
    [error] = refused["ledgerCorrectionApprove"]["errors"]
    assert (error["__typename"], error["available"]) == ("InsufficientFunds", {"decimal": "0.00", "currency": "EUR"})
    [waiting] = (await anna.ask(document("ledgerCorrections"), status=["PENDING"]))["ledgerCorrections"]["nodes"]
    assert waiting["id"] == asked["id"]
    done = await anna.do("ledgerCorrectionReject", CORRECTION, id=asked["id"], reason="mine")
    assert done["correction"]["status"] == "REJECTED"
    await proven(sold)


async def test_a_replacement_is_booked_with_the_reversal(sold: Market, anna: Caller) -> None:
    [fee] = await entries(sold, "psp-fee")
    right = replacement([("expenses:psp-fee", "psp:pending", 1)])
    done = await anna.do("journalEntryReverse", CORRECTION, entryId=fee, reason="figure", replacement=right)
    assert done["correction"]["replacement"]["kind"] == "psp-fee"
    assert (await held(sold, "expenses:psp-fee"))["balance"] == {"minor": "1"}
    await proven(sold)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"replacement": {"postings": []}}, ["replacement", "postings"]),
        (
            {"replacement": {"postings": [("expenses:psp-fee", "psp:pending", 0)]}},
            ["replacement", "postings", "0", "amount", "minor"],
        ),
        (
            {"replacement": {"postings": [("psp:pending", "psp:pending", 1)]}},
            ["replacement", "postings", "0", "credit"],
        ),
        ({"replacement": {"postings": [("piggy:bank", "psp:pending", 1)]}}, ["replacement", "postings", "0", "debit"]),
        ({"replacement": {"description": "x" * 501}}, ["replacement", "description"]),
        ({"replacement": {"kind": "charge"}}, ["replacement", "kind"]),
        ({"replacement": {"postings": [("bank", "psp:pending", 1)]}}, []),
        ({"reason": " "}, ["reason"]),
        ({"reason": "x" * 501}, ["reason"]),
        ({"effectiveAt": "2999-01-01T00:00:00Z"}, ["effectiveAt"]),
        ({"effectiveAt": "1999-01-01T00:00:00Z"}, ["effectiveAt"]),
    ],
    ids=str,
)
async def test_a_wrong_field_of_a_correction_is_named(
    sold: Market, anna: Caller, change: dict[str, Any], path: list[str]
) -> None:
    [fee] = await entries(sold, "psp-fee")
    input: dict[str, Any] = {"entryId": fee, "reason": "figure"} | change
    if "replacement" in change:
        legs = change["replacement"].get("postings", [("expenses:psp-fee", "psp:pending", 1)])
        input["replacement"] = replacement(legs) | {k: v for k, v in change["replacement"].items() if k != "postings"}
    refused = await anna.send("journalEntryReverse", CORRECTION, **input)
    assert said(refused) == [("InvalidInput", "INVALID_ARGUMENT", path)]
    assert (await anna.ask(document("ledgerCorrections")))["ledgerCorrections"]["nodes"] == []


async def test_a_period_is_closed_once_suspense_is_zero_and_stays_as_it_was(sold: Market, anna: Caller) -> None:
    [fee] = await entries(sold, "psp-fee")
    unknown = replacement([("suspense:psp", "psp:pending", 25)]) | {"kind": "manual"}
    done = await anna.do("journalEntryReverse", CORRECTION, entryId=fee, reason="whose?", replacement=unknown)
    until = (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat()
    preview = await anna.ask(document("ledgerPeriodPreview"), until=until)
    [suspense] = preview["ledgerPeriodPreview"]["suspense"]
    assert (suspense["code"], suspense["balance"]["minor"]) == ("suspense:psp", "25")
    refused = await anna.ask(document("ledgerPeriodClose"), input={"until": until, "idempotencyKey": "close"})
    [error] = refused["ledgerPeriodClose"]["errors"]
    assert (error["__typename"], error["path"]) == ("SuspenseNotZero", ["until"])
    assert error["balances"] == [{"code": "suspense:psp", "balance": {"decimal": "0.25", "currency": "EUR"}}]

    known = replacement([("expenses:psp-fee", "psp:pending", 25)]) | {"kind": "manual"}
    at_suspense = done["correction"]["replacement"]["id"]
    await anna.do("journalEntryReverse", CORRECTION, entryId=at_suspense, reason="found", replacement=known)
    fields = "period { closedUntil lastInstant entries trialHash }"
    once = {"until": until, "idempotencyKey": "close"}
    closed = (await anna.do("ledgerPeriodClose", fields, **once))["period"]
    assert (await anna.do("ledgerPeriodClose", fields, **once))["period"] == closed
    assert len(closed["trialHash"]) == 64
    [listed] = (await anna.ask(document("ledgerPeriods")))["ledgerPeriods"]["nodes"]
    assert listed["trialHash"] == closed["trialHash"]
    before = await trial(sold, closed["lastInstant"])

    newest, _ = await entries(sold, "manual")
    late = await anna.do("journalEntryReverse", CORRECTION, entryId=newest, reason="not ours")
    assert late["correction"]["status"] == "POSTED"
    assert await trial(sold, closed["lastInstant"]) == before
    assert await trial(sold) != before
    await proven(sold)


async def test_a_period_is_closed_in_order_and_not_ahead(sold: Market, anna: Caller) -> None:
    until = datetime.now(UTC) - timedelta(days=30)
    await anna.do("ledgerPeriodClose", "period { closedUntil }", until=until.isoformat())
    for wrong, kind in (
        (until, "StateConflict"),
        (until - timedelta(days=1), "StateConflict"),
        (until + timedelta(days=60), "InvalidInput"),
    ):
        refused = await anna.send("ledgerPeriodClose", "period { closedUntil }", until=wrong.isoformat())
        assert [(type_, path) for type_, _, path in said(refused)] == [(kind, ["until"])]
    for days in (20, 10):
        later = until + timedelta(days=30 - days)
        await anna.do("ledgerPeriodClose", "period { closedUntil }", until=later.isoformat())
    first = (await anna.ask(document("ledgerPeriods"), first=2))["ledgerPeriods"]
    rest = (await anna.ask(document("ledgerPeriods"), first=2, after=first["pageInfo"]["endCursor"]))["ledgerPeriods"]
    ends = [period["closedUntil"] for period in first["nodes"] + rest["nodes"]]
    assert (len(ends), ends) == (3, sorted(ends, reverse=True))
    await proven(sold)


async def test_an_account_is_frozen_limited_and_opened_again(sold: Market, anna: Caller) -> None:
    account = await held(sold, "expenses:psp-fee")
    [fee] = await entries(sold, "psp-fee")
    change = "change { id term was became reason account { state } }"
    frozen = await anna.do("ledgerAccountStateSet", change, id=account["id"], state="FROZEN", reason="looked into")
    assert (frozen["change"]["was"], frozen["change"]["account"]["state"]) == ("OPEN", "FROZEN")
    refused = await anna.send("journalEntryReverse", CORRECTION, entryId=fee, reason="now?")
    assert said(refused) == [("StateConflict", "STATE_INVALID", [])]
    closed = await anna.send("ledgerAccountStateSet", change, id=account["id"], state="CLOSED", reason="away")
    assert said(closed) == [("StateConflict", "STATE_INVALID", ["id"])]
    await anna.do("ledgerAccountStateSet", change, id=account["id"], state="OPEN", reason="all is well")

    low = await anna.send("ledgerAccountCeilingSet", change, id=account["id"], ceiling="0", reason="no more")
    assert said(low) == [("InvalidInput", "LIMIT_EXCEEDED", ["ceiling"])]
    limit = await anna.do("ledgerAccountCeilingSet", change, id=account["id"], ceiling="100000", reason="so much")
    assert (limit["change"]["was"], limit["change"]["became"]) == (None, "100000")
    await anna.do("ledgerAccountGuardSet", change, id=account["id"], guard="NOT_NEGATIVE", reason="never")
    bank = await held(sold, "psp:available")
    await anna.do("ledgerAccountGuardSet", change, id=bank["id"], guard="NOT_NEGATIVE", reason="never")
    now = await held(sold, "expenses:psp-fee")
    assert (now["state"], now["guard"], now["ceiling"]) == ("OPEN", "NOT_NEGATIVE", {"minor": "100000"})

    told = (await anna.ask(document("ledgerAccountChanges"), accountId=account["id"]))["ledgerAccountChanges"]["nodes"]
    assert [(one["term"], one["became"], one["reason"]) for one in told] == [
        ("GUARD", "NOT_NEGATIVE", "never"),
        ("CEILING", "100000", "so much"),
        ("STATE", "OPEN", "all is well"),
        ("STATE", "FROZEN", "looked into"),
    ]
    everything = (await anna.ask(document("ledgerAccountChanges"), first=50))["ledgerAccountChanges"]["nodes"]
    assert len(everything) == 5
    assert (await anna.ask(document("node"), id=told[0]["id"]))["node"]["id"] == told[0]["id"]
    await proven(sold)


async def test_a_hold_is_listed_and_given_back(sold: Market, anna: Caller) -> None:
    aside = JournalEntry(
        key="aside",
        kind="manual",
        source=Source("correction", sold.tenant),
        postings=(Posting(chart.bank("EUR"), chart.psp_available("EUR"), 5),),
        effective_at=datetime.now(UTC),
        description="Kept aside",
        reason={},
    )
    async with sold.services.db.write(sold.tenant) as scope:
        id = public_id("journal entry", await hold.place(scope, aside))
    before = await held(sold, "psp:available")
    assert int(before["balance"]["minor"]) - int(before["available"]["minor"]) == 5
    [listed] = (await anna.ask(document("ledgerHolds")))["ledgerHolds"]["nodes"]
    assert (listed["id"], listed["postings"][0]["amount"]["minor"]) == (id, "5")

    input = {"id": id, "reason": "no longer needed", "idempotencyKey": "void"}
    for _ in range(2):
        voided = (await anna.ask(document("ledgerHoldVoid"), input=input))["ledgerHoldVoid"]
        assert (voided["errors"], voided["hold"]["settledBy"]["kind"]) == ([], "hold-voided")
    assert (await anna.ask(document("ledgerHolds")))["ledgerHolds"]["nodes"] == []
    after = await held(sold, "psp:available")
    assert after["balance"] == after["available"] == before["balance"]
    no_hold = await anna.send("ledgerHoldVoid", "hold { id }", id=(await entries(sold, "charge"))[0], reason="no")
    assert said(no_hold) == [("StateConflict", "STATE_INVALID", [])]
    await proven(sold)


@pytest.mark.parametrize("role", ["SERVICE", "OPERATOR_READONLY"])
async def test_only_operators_change_the_books(sold: Market, role: str) -> None:
    other = await person(sold, "Other", role)
    [fee] = await entries(sold, "psp-fee")
    asked: Sequence[tuple[str, dict[str, Any]]] = [
        ("journalEntryReverse", {"entryId": fee, "reason": "x"}),
        ("ledgerCorrectionApprove", {"id": "cor_x"}),
        ("ledgerPeriodClose", {"until": "2020-01-01T00:00:00Z"}),
        ("ledgerHoldVoid", {"id": fee, "reason": "x"}),
    ]
    for name, input in asked:
        refused = await other.answer(document(name), input=input | {"idempotencyKey": "k"})
        assert {error["extensions"]["code"] for error in refused["errors"]} == {"FORBIDDEN"}, name
    seen = await other.answer(document("ledgerCorrections"))
    assert ("errors" in seen) is (role == "SERVICE")


async def test_another_platforms_things_are_unknown(sold: Market, anna: Caller) -> None:
    nobody = "0" * 26
    for name, input in (
        ("journalEntryReverse", {"entryId": f"ent_{nobody}", "reason": "x"}),
        ("ledgerCorrectionApprove", {"id": f"cor_{nobody}"}),
        ("ledgerCorrectionReject", {"id": f"cor_{nobody}", "reason": "x"}),
        ("ledgerHoldVoid", {"id": f"ent_{nobody}", "reason": "x"}),
        ("ledgerAccountStateSet", {"id": f"acc_{nobody}", "state": "FROZEN", "reason": "x"}),
    ):
        refused = (await anna.ask(document(name), input=input | {"idempotencyKey": "k"}))[name]
        assert [error["__typename"] for error in refused["errors"]] == ["NotFound"], name


def replacement(legs: Sequence[tuple[str, str, int]]) -> dict[str, Any]:
    return {
        "description": "As it was",
        "postings": [
            {"debit": debit, "credit": credit, "amount": {"minor": str(minor), "currency": "EUR"}}
            for debit, credit, minor in legs
        ],
    }
