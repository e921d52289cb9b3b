"""Payout proofs and drifts through the API: who sees what, files by link, and a drift that an operator accepts."""

from __future__ import annotations

import csv
import io

from marketbill.ids import parse_id
from marketbill.reconciliation import drifts
from marketbill.reconciliation.matching import DriftKind, Finding, Matched, Side, Thing

from .market import Caller, Market
from .test_statements import anna

__all__ = ["anna"]

PROOF = """query($id: ID!) { payoutProof(id: $id) {
  holds askedProvider amount { minor } residue { minor } residues { what } bankReference balanceTransaction
  lines { nodes { sourceId amount { minor } balanceTransaction residue { minor } legs { kind amount { minor } } }
    pageInfo { hasNextPage } }
  csv { url } json { url }
} }"""
DRIFTS = """{ drifts(filter: {open: true}) { nodes { id kind side thing about expected { minor } found { minor }
  providerId subjectId toDo acceptedBy acceptReason } } reconciliation { openDrifts ranAt } }"""
ACCEPT = "drift { id acceptReason }"


async def test_a_seller_has_the_proof_of_his_payout_and_nobody_elses(market: Market, anna: tuple[Caller, str]) -> None:
    caller, id = anna
    payout = await caller.do("payoutCreate", "payout { id }", sellerId=id, currency="EUR")

    async def sent() -> bool:
        found = await market.operator.ask("{ payouts { nodes { providerPayout } } }")
        return found["payouts"]["nodes"][0]["providerPayout"] is not None

    await market.until(sent)
    told = (await caller.ask(PROOF, id=payout["payout"]["id"]))["payoutProof"]
    assert (told["holds"], told["askedProvider"], told["residues"]) == (True, True, [])
    assert (told["amount"]["minor"], told["residue"]["minor"]) == ("4358", "0")
    [line] = told["lines"]["nodes"]
    assert line["balanceTransaction"].startswith("txn_")
    # 49.99 less 10 % and 0.30 an order, with tax of 21 % on both.
    assert line["legs"] == [{"kind": "ORDER_LINE", "amount": {"minor": "4358"}}]
    path = told["csv"]["url"].partition("/files/")[2]
    file = await market.http.get(f"/files/{path}")
    assert file.status_code == 200
    assert [row["level"] for row in csv.DictReader(io.StringIO(file.text))] == [
        "BANK_LINE",
        "PAYOUT",
        "LINE",
        "ORDER_LINE",
    ]
    as_json = await market.http.get("/files/" + told["json"]["url"].partition("/files/")[2])
    assert as_json.json()["holds"] is True
    assert (await market.http.get("/files/payout-proof.csv?token=nonsense")).status_code == 404

    other = await market.seller("Other")
    token = (await market.operator.do("sellerTokenCreate", "token", sellerId=other))["token"]
    assert (await market.caller(token).ask(PROOF, id=payout["payout"]["id"]))["payoutProof"] is None


async def test_a_drift_is_accepted_with_a_reason_until_its_amounts_change(market: Market) -> None:
    await market.connect_provider()

    async def found(minor: int) -> None:
        async with market.services.db.write(market.tenant) as scope:
            one = Finding(
                kind=DriftKind.MISSING,
                side=Side.BOOKS,
                thing=Thing.OTHER,
                about="books",
                at=scope.now,
                currency="EUR",
                expected=minor,
                found=0,
                provider_id="txn_1",
            )
            await drifts.keep(scope, Matched((one,), frozenset()), scope.now, scope.now)

    await found(-2_000)
    told = await market.operator.ask(DRIFTS)
    [drift] = told["drifts"]["nodes"]
    assert (drift["kind"], drift["side"], drift["expected"]["minor"]) == ("MISSING", "BOOKS", "-2000")
    assert "txn_1" in drift["toDo"]
    assert told["reconciliation"]["openDrifts"] == 1
    refused = await market.operator.send("driftAccept", ACCEPT, id=drift["id"], reason=" ")
    assert [(one["code"], one["path"]) for one in refused["errors"]] == [("INVALID_ARGUMENT", ["reason"])]
    for _ in range(2):
        accepted = await market.operator.do(
            "driftAccept", ACCEPT, id=drift["id"], reason="Booked by hand", idempotencyKey="accept"
        )
        assert accepted["drift"]["acceptReason"] == "Booked by hand"
    assert (await market.operator.ask(DRIFTS))["reconciliation"]["openDrifts"] == 0
    await found(-2_000)
    assert (await market.operator.ask(DRIFTS))["reconciliation"]["openDrifts"] == 0
    await found(-2_500)
    told = await market.operator.ask(DRIFTS)
    assert told["reconciliation"]["openDrifts"] == 1
    assert told["drifts"]["nodes"][0]["acceptedBy"] is None
    async with market.services.db.read(market.tenant) as scope:
        row = await drifts.by_id(scope, drift["id"])
    assert row.id == parse_id("drift", drift["id"])
