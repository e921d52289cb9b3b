"""Amounts explained by GraphQL: a flat tree, to the operator whole, to a seller his own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .market import Market
from .test_payments import basket

EXPLAIN = (Path(__file__).parents[2] / "graphql" / "operations" / "explain.graphql").read_text()


async def _paid(market: Market) -> tuple[str, str]:
    """A payment that is in the books, and its seller."""
    await market.connect_provider()
    seller = await market.onboarded("Anna")
    done = await market.operator.do(
        "paymentCreate", "payment { id }", **basket(seller) | {"paymentMethodToken": "pm_card_visa"}
    )
    payment = done["payment"]["id"]

    async def booked() -> bool:
        return any(node["label"] == "split" for node in await _told(market.operator, payment) or [])

    await market.until(booked)
    return payment, seller


async def _told(caller: Any, id: str, **more: Any) -> list[dict[str, Any]] | None:
    return (await caller.ask(EXPLAIN, id=id, **more))["explain"]


async def test_a_payment_from_the_top_down(market: Market) -> None:
    payment, seller = await _paid(market)
    nodes = await _told(market.operator, payment)
    assert nodes is not None
    assert [node["index"] for node in nodes] == list(range(len(nodes)))
    assert nodes[0]["parent"] is None
    assert all(node["parent"] < node["index"] for node in nodes[1:])
    assert nodes[0]["amount"] == {"minor": "4999", "currency": "EUR", "decimal": "49.99"}
    assert (nodes[1]["reference"], nodes[1]["parent"]) == (seller, 0)
    tax = next(node for node in nodes if node["label"] == "tax")
    assert (tax["formula"], tax["exact"], tax["rounding"]) == ("4999 * 21 / (100 + 21)", "104979/121", "HALF_AWAY")

    entry = next(node["reference"] for node in nodes if node["label"] == "split")
    fees = await _told(market.operator, entry, section="FEES")
    taxes = await _told(market.operator, entry, section="FEE_TAX")
    assert fees is not None
    assert taxes is not None
    assert (fees[1]["note"], taxes[1]["note"]) == ("platform fee", "tax on the fees")
    posting = await _told(market.operator, fees[1]["reference"])
    assert posting is not None
    assert posting[0]["amount"] == fees[1]["amount"]


async def test_what_there_is_not_is_null_and_what_cannot_be_is_refused(market: Market) -> None:
    assert await _told(market.operator, "pay_" + "0" * 26) is None
    refused = await market.operator.answer(EXPLAIN, id="trf_" + "0" * 26)
    assert refused["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
