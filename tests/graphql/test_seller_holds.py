"""Holds, rules of release and reserve, and where money is, through the API: what each role sees and may do."""

from __future__ import annotations

from typing import Any

from .market import Market
from .test_payments import basket

WHERE = """query($s: ID!, $first: Int, $after: String) { moneyWhereabouts(sellerId: $s) {
  currency total { minor } balance { total { minor } }
  heaps { place reason party number amount { minor } detail until }
  pieces(first: $first, after: $after) { nodes { id reason amount { minor } } pageInfo { hasNextPage endCursor } }
} }"""


async def test_rules_holds_and_where_the_money_is(market: Market) -> None:
    await market.connect_provider()
    id = await market.onboarded("Anna")
    other = await market.onboarded("Bea")
    operator = market.operator
    rules: dict[str, Any] = {
        "releases": [{"event": "APPROVAL", "days": 0}],
        "reserves": [{"percent": "10", "days": 30, "cap": [{"minor": 500, "currency": "EUR"}]}],
    }
    bad = rules | {"reserves": [{"percent": "101", "days": 30}]}
    refused = await operator.send("releaseRulesPublish", "releaseRules { id }", **bad)
    assert [(one["__typename"], one["path"][-3:]) for one in refused["errors"]] == [
        ("InvalidInput", ["reserves", "0", "percent"])
    ]
    made = await operator.do(
        "releaseRulesPublish", "releaseRules { version reserves { percent cap { minor } } }", **rules
    )
    assert made["releaseRules"] == {"version": 1, "reserves": [{"percent": "10", "cap": [{"minor": "500"}]}]}

    order = basket(id) | {"paymentMethodToken": "pm_card_bypassPending"}
    payment = (await operator.do("paymentCreate", "payment { id }", **order))["payment"]["id"]

    async def heaps() -> list[dict[str, Any]]:
        [told] = (await operator.ask(WHERE, s=id))["moneyWhereabouts"] or [{"heaps": []}]
        return told["heaps"]

    async def awaits_approval() -> bool:
        return [heap["reason"] for heap in await heaps()] == ["AWAITING_APPROVAL"]

    await market.until(awaits_approval)
    hold = (await operator.do("sellerHoldPlace", "sellerHold { id }", sellerId=id, reason="We look at your papers."))[
        "sellerHold"
    ]["id"]
    await operator.do("paymentApprove", "payment { id releaseOn }", id=payment)
    for _ in range(2):
        await market.work()
    [held] = await heaps()
    assert (held["reason"], held["party"], held["detail"]) == ("MANUAL_HOLD", "PLATFORM", "We look at your papers.")

    anna = market.caller((await operator.do("sellerTokenCreate", "token", sellerId=id))["token"])
    bea = market.caller((await operator.do("sellerTokenCreate", "token", sellerId=other))["token"])
    seen = "{ sellerHolds(filter: {open: true}) { nodes { id reason } } }"
    assert [one["id"] for one in (await anna.ask(seen))["sellerHolds"]["nodes"]] == [hold]
    assert (await bea.ask(seen))["sellerHolds"]["nodes"] == []
    assert "errors" in await bea.answer(WHERE, s=id)
    assert "errors" in await anna.answer('mutation { sellerHoldLift(input: {id: "x"}) { errors { __typename } } }')

    unlifted = await operator.send("sellerHoldLift", "sellerHold { id }", id=hold, reason=" ")
    assert [one["code"] for one in unlifted["errors"]] == ["INVALID_ARGUMENT"]
    await operator.do("sellerHoldLift", "sellerHold { liftedAt }", id=hold, reason="They are fine.")
    again = await operator.send("sellerHoldLift", "sellerHold { id }", id=hold, reason="They are fine.")
    assert [one["__typename"] for one in again["errors"]] == ["StateConflict"]

    async def transferred() -> bool:
        return {heap["reason"] for heap in await heaps()} == {"TO_BE_PAID_OUT", "ROLLING_RESERVE"}

    await market.until(transferred)
    [told] = (await anna.ask(WHERE, s=id, first=1))["moneyWhereabouts"]
    assert told["total"] == told["balance"]["total"]
    [first] = told["pieces"]["nodes"]
    assert told["pieces"]["pageInfo"]["hasNextPage"]
    [rest] = (await anna.ask(WHERE, s=id, first=1, after=told["pieces"]["pageInfo"]["endCursor"]))["moneyWhereabouts"]
    pieces = [first, *rest["pieces"]["nodes"]]
    assert sum(int(one["amount"]["minor"]) for one in pieces) == int(told["total"]["minor"])
    assert {one["id"][:4] for one in pieces} == {"rsv_", "pit_"}
