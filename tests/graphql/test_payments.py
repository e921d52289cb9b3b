"""A sale from preview to payout through the API, and what each party sees of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .market import ERRORS, Caller, Market

AMOUNTS = "gross { minor } tax { minor } net { minor } fee { minor } feeTax { minor } sellerNet { minor }"
SPLIT = f"""{{
  currency feeScheduleVersion totals {{ {AMOUNTS} }}
  lines {{
    lineId amounts {{ {AMOUNTS} }} feePercentPart {{ minor }} feeFixedPart {{ minor }}
    feeTax {{ rate rule label }} flags
    seller {{ name }} explanation {{ name formula exact rounded {{ minor }} rounding rule }}
  }}
  sellers {{ seller {{ name }} amounts {{ {AMOUNTS} }} feeTax {{ rule }} }}
}}"""
PREVIEW = f"query($input: PaymentPreviewInput!) {{ paymentPreview(input: $input) {{ split {SPLIT} {ERRORS} }} }}"


def basket(*sellers: str, currency: str = "EUR", prices: tuple[int, ...] = (4999, 3999, 3102)) -> dict[str, Any]:
    """The basket of the worked example: 121.00 with 21 % tax within the prices."""
    return {
        "currency": currency,
        "lines": [
            {
                "sellerId": seller,
                "description": f"Thing {index}",
                "category": "toys",
                "quantity": 1,
                "unitPrice": {"minor": str(price), "currency": currency},
                "taxRate": "21",
                "taxInclusive": True,
                "externalRefs": [{"name": "sku", "value": f"A-{index}"}],
            }
            for index, (seller, price) in enumerate(zip(sellers, prices, strict=False))
        ],
    }


async def three(market: Market) -> tuple[str, str, str]:
    """The sellers of the worked example; the second has a German VAT number, so his fee is under reverse charge."""
    anna = await market.seller("Anna", externalRef="seller-a")
    bert = await market.seller("Bert", country="DE", vatNumber="DE136695976")
    return anna, bert, await market.seller("Cora")


def minor(amounts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(value["minor"]) for value in amounts.values())


async def test_the_preview_is_the_worked_example(market: Market) -> None:
    answer = await market.operator.ask(PREVIEW, input=basket(*await three(market)))

    split = answer["paymentPreview"]["split"]
    assert answer["paymentPreview"]["errors"] == []
    assert minor(split["totals"]) == (12100, 2100, 10000, 1240, 175, 10685)
    assert [minor(line["amounts"]) for line in split["lines"]] == [
        (4999, 868, 4131, 512, 108, 4379),
        (3999, 694, 3305, 410, 0, 3589),
        (3102, 538, 2564, 318, 67, 2717),
    ]
    assert [line["feeFixedPart"]["minor"] for line in split["lines"]] == ["12", "10", "8"]
    assert [line["seller"]["name"] for line in split["lines"]] == ["Anna", "Bert", "Cora"]
    assert Decimal(split["lines"][1]["feeTax"]["rate"]) == 0
    assert all(line["explanation"] for line in split["lines"])


async def test_the_payment_has_the_split_of_the_preview(market: Market) -> None:
    await market.connect_provider()
    order = basket(*await three(market))
    preview = await market.operator.ask(PREVIEW, input=order)
    made = await market.operator.do(
        "paymentCreate",
        f"payment {{ id status gross {{ decimal }} split {SPLIT} }}",
        **order,
        paymentMethodToken="pm_card_visa",
        reference="order-1",
    )

    assert made["payment"]["status"] == "SUCCEEDED"
    assert made["payment"]["gross"]["decimal"] == "121.00"
    assert made["payment"]["split"] == preview["paymentPreview"]["split"]
    found = await market.operator.ask('{ payment(by: {reference: "order-1"}) { id } }')
    assert found["payment"]["id"] == made["payment"]["id"]


async def test_an_idempotency_key_gives_the_same_payment(market: Market) -> None:
    await market.connect_provider()
    anna = await market.seller("Anna")
    order = basket(anna) | {"paymentMethodToken": "pm_card_visa"}
    first = await market.operator.do("paymentCreate", "payment { id }", **order, idempotencyKey="once")
    again = await market.operator.do("paymentCreate", "payment { id }", **order, idempotencyKey="once")
    other = await market.operator.send(
        "paymentCreate", "payment { id }", **(order | {"reference": "x"}), idempotencyKey="once"
    )

    assert first == again
    assert other["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
    listed = await market.operator.ask("{ payments { nodes { id } } }")
    assert [payment["id"] for payment in listed["payments"]["nodes"]] == [first["payment"]["id"]]


async def test_a_decline_is_told_and_the_payment_stands(market: Market) -> None:
    await market.connect_provider()
    order = basket(await market.seller("Anna")) | {"paymentMethodToken": "pm_card_chargeDeclinedInsufficientFunds"}
    fields = "payment { status decline { code message } }"
    made = await market.operator.send("paymentCreate", fields, **order, idempotencyKey="d")
    again = await market.operator.send("paymentCreate", fields, **order, idempotencyKey="d")

    assert made["payment"]["status"] == "DECLINED"
    assert made["payment"]["decline"]["code"] == "insufficient_funds"
    assert made["errors"][0]["__typename"] == "ProviderDeclined"
    assert made["errors"][0]["code"] == "PROVIDER_DECLINED"
    assert again == made


async def test_a_payment_that_needs_its_buyer_says_so_and_can_be_canceled(market: Market) -> None:
    await market.connect_provider()
    order = basket(await market.seller("Anna")) | {"paymentMethodToken": "pm_card_threeDSecure2Required"}
    fields = "payment { id status nextAction { kind redirectUrl } } clientSecret"
    made = await market.operator.do("paymentCreate", fields, **order, returnUrl="https://shop.example/back")
    id = made["payment"]["id"]

    assert made["payment"]["status"] == "REQUIRES_ACTION"
    assert made["payment"]["nextAction"]["redirectUrl"].startswith("http")
    assert made["clientSecret"]
    canceled = await market.operator.do("paymentCancel", "payment { status }", id=id)
    again = await market.operator.send("paymentCancel", "payment { status }", id=id)
    delivered = await market.operator.send("paymentDeliver", "payment { id }", id=id)
    assert canceled["payment"]["status"] == "CANCELED"
    assert again["errors"][0]["__typename"] == "StateConflict"
    assert delivered["errors"][0]["__typename"] == "StateConflict"


@pytest.mark.parametrize(
    ("wrong", "type_", "path"),
    [
        ({"sellerId": "sel_" + "0" * 26}, "NotFound", ["lines", "0", "sellerId"]),
        ({"sellerId": "nobody"}, "NotFound", ["lines", "0", "sellerId"]),
        ({"unitPrice": {"minor": "0", "currency": "EUR"}}, "InvalidInput", ["lines", "0", "unitPrice"]),
        ({"unitPrice": {"minor": "-5", "currency": "EUR"}}, "InvalidInput", ["lines", "0", "unitPrice"]),
        (
            {"unitPrice": {"minor": str(10**15 + 1), "currency": "EUR"}},
            "InvalidInput",
            ["lines", "0", "unitPrice"],
        ),
        ({"unitPrice": {"minor": "5", "currency": "JPY"}}, "InvalidInput", ["lines", "0", "unitPrice", "currency"]),
        ({"taxRate": "100.5"}, "InvalidInput", ["lines", "0", "taxRate"]),
        ({"taxRate": "-1"}, "InvalidInput", ["lines", "0", "taxRate"]),
        ({"quantity": 0}, "InvalidInput", ["lines", "0", "quantity"]),
        ({"description": "x" * 501}, "InvalidInput", ["lines", "0", "description"]),
        (
            {"externalRefs": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
            "InvalidInput",
            ["lines", "0", "externalRefs", "1", "name"],
        ),
    ],
    ids=repr,
)
async def test_a_wrong_basket_is_named_and_nothing_is_kept(
    market: Market, wrong: dict[str, Any], type_: str, path: list[str]
) -> None:
    order = basket(await market.seller("Anna"))
    order["lines"][0] |= wrong
    preview = (await market.operator.ask(PREVIEW, input=order))["paymentPreview"]
    made = await market.operator.send("paymentCreate", "payment { id }", **order)

    for payload in (preview, made):
        assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [(type_, path)]
    assert (await market.operator.ask("{ payments { nodes { id } } }"))["payments"]["nodes"] == []


async def test_an_empty_basket_or_too_large_a_one_is_refused(market: Market) -> None:
    anna = await market.seller("Anna")
    for order in (basket(), basket(*[anna] * 201, prices=(100,) * 201)):
        payload = (await market.operator.ask(PREVIEW, input=order))["paymentPreview"]
        assert payload["errors"][0]["path"] == ["lines"]


async def test_a_suspended_seller_may_not_sell(market: Market) -> None:
    anna = await market.seller("Anna")
    await market.operator.do("sellerUpdate", "seller { maySell }", id=anna, suspended=True)
    payload = (await market.operator.ask(PREVIEW, input=basket(anna)))["paymentPreview"]

    assert payload["errors"][0]["__typename"] == "SellerNotAllowed"
    assert payload["errors"][0]["path"] == ["lines", "0", "sellerId"]


async def test_without_a_provider_nothing_can_be_paid(market: Market) -> None:
    made = await market.operator.send("paymentCreate", "payment { id }", **basket(await market.seller("Anna")))

    assert made["errors"][0]["__typename"] == "StateConflict"
    assert made["errors"][0]["code"] == "PROVIDER_NOT_CONNECTED"


async def _sold(market: Market) -> tuple[dict[str, Caller], str]:
    """A sale of the worked example to a buyer with a stored card, and a caller for each party."""
    await market.connect_provider()
    sellers = await three(market)
    buyer = (await market.operator.do("buyerCreate", "buyer { id }", name="Bo", externalRef="b-1"))["buyer"]["id"]
    token = (await market.operator.do("buyerTokenCreate", "token", buyerId=buyer))["token"]
    callers = {"operator": market.operator, "buyer": market.caller(token)}
    for name, seller in zip(("anna", "bert", "cora"), sellers, strict=True):
        made = await market.operator.do("sellerTokenCreate", "token", sellerId=seller)
        callers[name] = market.caller(made["token"])
    attached = await callers["buyer"].do(
        "paymentMethodAttach", "paymentMethod { id last4 }", buyerId=buyer, token="pm_card_visa"
    )
    method = attached["paymentMethod"]
    assert method["last4"] == "4242"
    made = await market.operator.do(
        "paymentCreate", "payment { id status }", **basket(*sellers), buyerId=buyer, paymentMethodId=method["id"]
    )
    assert made["payment"]["status"] == "SUCCEEDED"
    return callers, made["payment"]["id"]


async def test_each_party_sees_its_own_part_of_a_payment(market: Market) -> None:
    callers, id = await _sold(market)
    mine = """query($i: ID!) { payment(by: {id: $i}) {
        lines { description seller { name } amounts { sellerNet { minor } } explanation { name } }
        shares { seller { name } sellerNet { minor } } transfers { id } } }"""
    theirs = "query($i: ID!) { payment(by: {id: $i}) { gross { minor } lines { description seller { name } } } }"

    anna = (await callers["anna"].ask(mine, i=id))["payment"]
    assert [(line["seller"]["name"], line["amounts"]["sellerNet"]["minor"]) for line in anna["lines"]] == [
        ("Anna", "4379")
    ]
    assert [share["sellerNet"]["minor"] for share in anna["shares"]] == ["4379"]
    assert anna["lines"][0]["explanation"]

    bought = (await callers["buyer"].ask(theirs, i=id))["payment"]
    assert bought["gross"]["minor"] == "12100"
    assert [line["seller"]["name"] for line in bought["lines"]] == ["Anna", "Bert", "Cora"]

    for caller, field in (
        ("anna", "gross { minor }"),
        ("anna", "fee { minor }"),
        ("anna", "buyer { name }"),
        ("anna", "split { currency }"),
        ("buyer", "fee { minor }"),
        ("buyer", "shares { fee { minor } }"),
        ("buyer", "lines { seller { email } }"),
        ("buyer", "journalEntries { id }"),
    ):
        answer = await callers[caller].post(f"query($i: ID!) {{ payment(by: {{id: $i}}) {{ {field} }} }}", i=id)
        assert answer.status_code == 403, field


async def test_a_party_to_nothing_finds_nothing(market: Market) -> None:
    callers, id = await _sold(market)
    dora = await market.seller("Dora")
    ed = (await market.operator.do("buyerCreate", "buyer { id }", name="Ed"))["buyer"]["id"]
    strangers = [
        market.caller((await market.operator.do("sellerTokenCreate", "token", sellerId=dora))["token"]),
        market.caller((await market.operator.do("buyerTokenCreate", "token", buyerId=ed))["token"]),
    ]
    for stranger in strangers:
        assert (await stranger.ask("query($i: ID!) { payment(by: {id: $i}) { id } }", i=id))["payment"] is None
        assert (await stranger.ask("query($i: ID!) { node(id: $i) { id } }", i=id))["node"] is None
        assert (await stranger.ask("{ payments { nodes { id } } }"))["payments"]["nodes"] == []
    assert [
        item["id"] for item in (await callers["buyer"].ask("{ payments { nodes { id } } }"))["payments"]["nodes"]
    ] == [id]
    other = await strangers[0].send(
        "sellerOnboardingLinkCreate",
        "url",
        sellerId=(await market.seller("Eve")),
        returnUrl="https://a.example",
        refreshUrl="https://a.example",
    )
    assert other["errors"][0]["code"] == "NOT_FOUND"


async def test_the_money_reaches_the_sellers_bank_and_the_books_tell_it(market: Market) -> None:
    await market.connect_provider()
    anna = await market.onboarded("Anna")
    order = basket(anna) | {"paymentMethodToken": "pm_card_bypassPending"}
    made = await market.operator.do("paymentCreate", "payment { id }", **order)
    id = made["payment"]["id"]
    token = (await market.operator.do("sellerTokenCreate", "token", sellerId=anna))["token"]
    seller = market.caller(token)

    early = await seller.send("payoutCreate", "payout { id }", sellerId=anna, currency="EUR")
    assert early["errors"][0]["__typename"] == "InsufficientFunds"

    delivered = await market.operator.do("paymentDeliver", "payment { deliveredAt releaseOn }", id=id)
    assert delivered["payment"]["deliveredAt"]

    async def transferred() -> bool:
        answer = await market.operator.ask("query($i: ID!) { payment(by: {id: $i}) { transfers { status } } }", i=id)
        return [item["status"] for item in answer["payment"]["transfers"]] == ["SENT"]

    await market.until(transferred)
    balance = (
        await seller.ask(
            "query($i: ID!) { seller(by: {id: $i}) { balances { currency pending { minor } "
            "payable { minor } available { minor } total { minor } } } }",
            i=anna,
        )
    )["seller"]["balances"]
    assert [(item["currency"], item["available"]["minor"], item["total"]["minor"]) for item in balance] == [
        ("EUR", "4358", "4358")
    ]

    payout = (
        await seller.do("payoutCreate", "payout { id status amount { decimal } }", sellerId=anna, currency="EUR")
    )["payout"]
    assert payout["amount"]["decimal"] == "43.58"

    story = await market.operator.ask(
        """query($i: ID!) { payment(by: {id: $i}) {
          journalEntries { kind postings { amount { minor } debit { code } credit { code } } }
          transfers { amount { minor } journalEntries { kind } payment { id } seller { name } }
        } trialBalance { currency debit { minor } credit { minor } rows { code } } }""",
        i=id,
    )
    kinds = [entry["kind"] for entry in story["payment"]["journalEntries"]]
    assert kinds[0] == "charge"
    assert "split" in kinds
    assert "release" in kinds
    assert story["payment"]["transfers"][0]["payment"]["id"] == id
    for currency in story["trialBalance"]:
        assert currency["debit"] == currency["credit"]

    pages = []
    after = None
    account = """query($after: String) {
      ledgerAccount(by: {code: {code: "psp:available", currency: EUR_}}) {
        balance { minor } balanceAt { minor }
        movements(first: 1, after: $after) {
          pageInfo { hasNextPage endCursor }
          nodes { amount { minor } balanceAfter { minor } entry { kind source { type id } } counterAccount { code } }
        }
      }
    }""".replace("EUR_", '"EUR"')
    while True:
        found = (await market.operator.ask(account, after=after))["ledgerAccount"]
        assert found["balance"] == found["balanceAt"]
        pages += found["movements"]["nodes"]
        after = found["movements"]["pageInfo"]["endCursor"]
        if not found["movements"]["pageInfo"]["hasNextPage"]:
            break
    assert len(pages) > 1
    assert pages[0]["balanceAfter"] == found["balance"]
    assert sum(int(page["amount"]["minor"]) for page in pages) == int(found["balance"]["minor"])
