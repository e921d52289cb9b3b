"""The proof of a payout: from the bank's line to the lines of orders, to the cent, each difference by its name."""

from __future__ import annotations

import csv
import io
from typing import Any

import orjson
import pytest
from tests.market.market import Market
from tests.reconciliation.conftest import Tamper

from marketbill.ids import public_id
from marketbill.reconciliation.payout_proof import prove
from marketbill.reconciliation.proof import LegKind, Proof, as_csv, as_json


async def proof_of(market: Market, seller: str, **how: Any) -> Proof:
    async with market.machine.services.db.read(market.platform) as scope:
        rows = await scope.fetch(
            "select id from payout where platform_id = $1 and seller_id = $2", market.platform, market.sellers[seller]
        )
    id = public_id("payout", rows[-1][0])
    return await prove(market.machine.services, market.operator, market.platform, id, **how)


async def test_a_payout_is_proven_down_to_the_lines_of_orders(paid_out: Market) -> None:
    proof = await proof_of(paid_out, "B")
    assert (proof.amount, proof.currency, proof.told, proof.holds, proof.residue) == (3589, "EUR", 3589, True, 0)
    assert (proof.bank.amount, proof.bank.status) == (3589, "PAID")
    assert proof.transaction
    [line] = proof.lines
    assert (line.amount, line.whole, line.moved) == (3589, 3589, 3589)
    assert line.transaction
    assert line.transaction.startswith("txn_")
    # 39.99 less 10 % (4.00), its part of the 0.30 (0.10), and no tax on the fee.
    assert [(leg.kind, leg.amount) for leg in line.legs] == [(LegKind.ORDER_LINE, 3589)]
    assert line.legs[0].description == "1 x thing of B, gross 39.99, fee 4.10 + tax 0.00"


async def test_the_files_of_a_proof_parse_back_to_its_numbers(paid_out: Market) -> None:
    proof = await proof_of(paid_out, "B")
    rows = list(csv.DictReader(io.StringIO("".join(as_csv(proof)))))
    assert [(row["level"], row["amount"], row["residue"]) for row in rows] == [
        ("BANK_LINE", "35.89", ""),
        ("PAYOUT", "35.89", "0.00"),
        ("LINE", "35.89", "0.00"),
        ("ORDER_LINE", "35.89", ""),
    ]
    told = orjson.loads(as_json(proof))
    assert (told["amount"], told["residue"], told["holds"]) == ("35.89", "0.00", True)
    assert [leg["amount"] for line in told["lines"] for leg in line["legs"]] == ["35.89"]


@pytest.mark.parametrize(
    ("statement", "what", "amount"),
    [
        ("update payout_line set amount = amount - 1", "the payout is not the sum of its lines", 1),
        (
            "update payment_line set seller_net = seller_net - 100, fee = fee + 100 where seller_net = 3589;"
            " update payment_share set seller_net = seller_net - 100, fee = fee + 100, released = 3489"
            " where seller_net = 3589",
            "is not what its order lines and deductions make",
            100,
        ),
    ],
)
async def test_a_difference_has_a_name(
    paid_out: Market, tamper: Tamper, statement: str, what: str, amount: int
) -> None:
    for one in statement.split(";"):
        await tamper(one)
    proof = await proof_of(paid_out, "B")
    [residue] = proof.residues
    assert not proof.holds
    assert (residue.amount, proof.residue) == (amount, amount)
    assert what in residue.what


async def test_what_the_provider_does_not_know_is_a_residue(paid_out: Market, tamper: Tamper) -> None:
    await tamper("update transfer set provider_transfer = 'tr_nobody' where amount = 3589")
    proof = await proof_of(paid_out, "B")
    [residue] = proof.residues
    assert residue.amount == 3589
    assert "has no balance transaction on the seller's account" in residue.what
    assert (await proof_of(paid_out, "B", ask_provider=False)).holds
