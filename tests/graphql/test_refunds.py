"""Refunds through the API: shown, made as shown, and what each party sees of them."""

from typing import Any

from .market import Caller, Market
from .test_payments import basket

PREVIEW = """query($input: RefundInput!) { refundPreview(input: $input) {
  token amount { minor currency } left { minor } policyVersion
  bearers { bearer amount { minor } settled { minor currency } }
  lines { ordinal amount { minor } net { minor } tax { minor } sellerNet { minor } fee { minor } feeTax { minor } }
  sellers { sellerId part { minor } before { minor } after { minor } pending { minor } debt { minor } }
} }"""
REFUND = "refund { id status kind cause amount { minor } shares { seller { name } part { minor } } }"


async def paid(market: Market, *sellers: str) -> tuple[str, list[str]]:
    """A paid and settled basket: its id and those of its lines."""
    made = await market.operator.do(
        "paymentCreate", "payment { id lines { id } }", paymentMethodToken="pm_card_visa", **basket(*sellers)
    )
    id = made["payment"]["id"]

    async def settled() -> bool:
        found = await market.operator.ask("query($i: ID!) { payment(by: {id: $i}) { settledAt } }", i=id)
        return found["payment"]["settledAt"] is not None

    await market.until(settled)
    return id, [line["id"] for line in made["payment"]["lines"]]


async def test_a_refund_is_made_exactly_as_it_was_shown(market: Market) -> None:
    await market.connect_provider()
    anna = await market.onboarded("Anna")
    bert = await market.onboarded("Bert", country="DE", vatNumber="DE136695976")
    payment, lines = await paid(market, anna, bert)
    asked: dict[str, Any] = {
        "paymentId": payment,
        "kind": "LINES",
        "cause": "SELLER_FAULT",
        "reason": "it came broken",
        "lines": [{"lineId": lines[0], "amount": "2000"}],
    }
    shown = (await market.operator.ask(PREVIEW, input=asked))["refundPreview"]
    assert shown["amount"] == {"minor": "2000", "currency": "EUR"}
    assert {one["bearer"]: one["settled"]["minor"] for one in shown["bearers"]} == {
        f"seller:{anna}": "1758",
        "fee": "200",
        "fee_tax:NL": "42",
    }
    [line] = shown["lines"]
    assert {name: one["minor"] for name, one in line.items() if name != "ordinal"} == {
        "amount": "2000",
        "net": "1653",
        "tax": "347",
        "sellerNet": "1758",
        "fee": "200",
        "feeTax": "42",
    }
    [seller] = shown["sellers"]
    assert (seller["sellerId"], seller["part"]["minor"], seller["pending"]["minor"]) == (anna, "1758", "1758")

    other = asked | {"lines": [{"lineId": lines[0], "amount": "2001"}]}
    refused = await market.operator.send("refundCreate", REFUND, token=shown["token"], refund=other)
    assert [(one["__typename"], one["path"]) for one in refused["errors"]] == [("PreviewStale", ["token"])]

    made = await market.operator.do("refundCreate", REFUND, token=shown["token"], refund=asked)
    id = made["refund"]["id"]
    assert made["refund"]["shares"] == [{"seller": {"name": "Anna"}, "part": {"minor": "1758"}}]

    async def succeeded() -> bool:
        return (await _seen(market.operator))[0]["status"] == "SUCCEEDED"

    await market.until(succeeded)
    again = await market.operator.send("refundCreate", REFUND, token=shown["token"], refund=asked)
    assert again["errors"][0]["code"] == "PREVIEW_STALE"

    assert [one["id"] for one in await _seen(await _as_seller(market, anna))] == [id]
    assert await _seen(await _as_seller(market, bert)) == []
    kinds = "query($i: ID!) { node(id: $i) { ... on Refund { journalEntries { kind } payment { refunds { id } } } } }"
    node = (await market.operator.ask(kinds, i=id))["node"]
    assert [entry["kind"] for entry in node["journalEntries"]] == ["refund", "refund-paid"]
    assert node["payment"]["refunds"] == [{"id": id}]


async def test_refunds_that_cannot_be_are_refused_by_their_field(market: Market) -> None:
    await market.connect_provider()
    payment, lines = await paid(market, await market.seller("Anna"))
    right = {"paymentId": payment, "kind": "AMOUNT", "cause": "REMORSE", "reason": "changed his mind", "amount": "100"}
    for wrong, path in (
        ({"reason": ""}, ["reason"]),
        ({"amount": "5000"}, ["token"]),
        ({"amount": "0"}, ["amount"]),
        ({"currency": "USD"}, ["currency"]),
        ({"paymentId": "pay_00000000000000000000000000"}, ["paymentId"]),
        ({"lines": [{"lineId": lines[0]}]}, ["lines"]),
    ):
        payload = await market.operator.send("refundCreate", REFUND, token="prv_x", refund=right | wrong)
        assert [one["path"] for one in payload["errors"]] == [path]
        assert payload["refund"] is None


async def test_a_policy_is_published_whole_and_read_back(market: Market) -> None:
    fields = "rows { cause price percentFee fixedFee providerFee disputeFee }"
    held = (await market.operator.ask(f"{{ returnPolicy {{ version {fields} }} }}"))["returnPolicy"]
    assert held["version"] == 0
    rows = [row | ({"fixedFee": "RETURNED"} if row["cause"] == "REMORSE" else {}) for row in held["rows"]]
    made = await market.operator.do("returnPolicyPublish", f"returnPolicy {{ version {fields} }}", rows=rows, note="x")
    assert made["returnPolicy"] == {"version": 1, "rows": rows}
    missing = await market.operator.send("returnPolicyPublish", "returnPolicy { version }", rows=rows[1:], note="x")
    assert [(one["__typename"], one["path"]) for one in missing["errors"]] == [("InvalidInput", ["rows"])]
    found = (await market.operator.ask("{ returnPolicies { version note } }"))["returnPolicies"]
    assert found == [{"version": 1, "note": "x"}]


async def _as_seller(market: Market, seller: str) -> Caller:
    made = await market.operator.do("sellerTokenCreate", "token", sellerId=seller)
    return market.caller(made["token"])


async def _seen(caller: Caller) -> list[Any]:
    found = await caller.ask("{ refunds(first: 10) { nodes { id status amount { minor } } } }")
    return found["refunds"]["nodes"]
