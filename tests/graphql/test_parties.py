"""Sellers and buyers: made by the platform, found by id or by the platform's own name, seen by themselves."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest

from marketbill.crypto import Vault

from .market import SECRET_KEY, Market


async def test_a_seller_is_made_once_and_found_by_either_name(market: Market) -> None:
    await market.connect_provider()
    draft = {"name": "Anna", "email": "anna@example.com", "country": "DE", "vatNumber": "DE136695976"}
    fields = "seller { id name country vatNumberValid externalRef maySell mayReceiveTransfers mayBePaidOut version }"
    made = await market.operator.do("sellerCreate", fields, **draft, externalRef="a-1", idempotencyKey="s")
    again = await market.operator.do("sellerCreate", fields, **draft, externalRef="a-1", idempotencyKey="s")
    taken = await market.operator.send("sellerCreate", fields, **draft, externalRef="a-1")

    assert made == again
    assert made["seller"]["vatNumberValid"] is True
    assert made["seller"]["maySell"] is True
    assert made["seller"]["mayBePaidOut"] is False
    assert taken["errors"][0]["path"] == ["externalRef"]
    find = "query($by: SellerLookup!) { seller(by: $by) { id } }"
    for by in ({"id": made["seller"]["id"]}, {"externalRef": "a-1"}):
        assert (await market.operator.ask(find, by=by))["seller"] == {"id": made["seller"]["id"]}
    for by in ({"id": "sel_" + "0" * 26}, {"id": "x"}, {"externalRef": "b"}):
        assert (await market.operator.ask(find, by=by))["seller"] is None
    for wrong in ({}, {"id": "x", "externalRef": "y"}, {"id": None}):
        assert "data" not in await market.operator.answer(find, by=wrong)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "x" * 201}, ["name"]),
        ({"email": "nobody"}, ["email"]),
        ({"country": "XX"}, ["country"]),
        ({"vatNumber": "x" * 33}, ["vatNumber"]),
        ({"externalRef": ""}, ["externalRef"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
        ({"idempotencyKey": "x" * 256}, ["idempotencyKey"]),
    ],
    ids=repr,
)
async def test_a_wrong_field_of_a_seller_is_named(market: Market, wrong: dict[str, Any], path: list[str]) -> None:
    draft = {"name": "Anna", "email": "anna@example.com", "country": "NL"} | wrong
    refused = await market.operator.send("sellerCreate", "seller { id }", **draft)

    assert refused["seller"] is None
    assert [(error["__typename"], error["path"]) for error in refused["errors"]] == [("InvalidInput", path)]
    assert (await market.operator.ask("{ sellers { nodes { id } } }"))["sellers"]["nodes"] == []


async def test_a_seller_is_onboarded_by_link_and_his_gates_open(market: Market) -> None:
    await market.connect_provider()
    anna = await market.seller("Anna")
    token = (await market.operator.do("sellerTokenCreate", "token", sellerId=anna))["token"]
    link = {"sellerId": anna, "returnUrl": "https://a.example/done", "refreshUrl": "https://a.example/again"}
    seller = market.caller(token)
    made = await seller.do("sellerOnboardingLinkCreate", "url expiresAt seller { id }", **link, idempotencyKey="l")
    again = await seller.do("sellerOnboardingLinkCreate", "url expiresAt seller { id }", **link, idempotencyKey="l")
    wrong = await seller.send("sellerOnboardingLinkCreate", "url", **(link | {"returnUrl": "javascript:x"}))

    assert made == again
    assert made["url"].startswith(market.sandbox.url)
    assert wrong["errors"][0]["path"] == ["returnUrl"]
    gates = "query($i: ID!) { seller(by: {id: $i}) { transfers mayReceiveTransfers mayBePaidOut } }"
    bert = await market.onboarded("Bert")
    assert (await market.operator.ask(gates, i=bert))["seller"] == {
        "transfers": "ACTIVE",
        "mayReceiveTransfers": True,
        "mayBePaidOut": True,
    }
    due = await seller.ask("query($i: ID!) { seller(by: {id: $i}) { requirements { currentlyDue dueBy } } }", i=anna)
    assert isinstance(due["seller"]["requirements"]["currentlyDue"], list)


async def test_a_seller_is_changed_by_version(market: Market) -> None:
    anna = await market.seller("Anna", vatNumber="NL123456782B12")
    changed = await market.operator.do(
        "sellerUpdate",
        "seller { name maySell vatNumber version }",
        id=anna,
        name="Anne",
        suspended=True,
        vatNumber=None,
    )
    stale = await market.operator.send("sellerUpdate", "seller { id }", id=anna, name="x", expectedVersion=1)
    emptied = await market.operator.send("sellerUpdate", "seller { id }", id=anna, name=None)
    unknown = await market.operator.send("sellerUpdate", "seller { id }", id="sel_" + "0" * 26, name="x")

    assert changed["seller"] == {"name": "Anne", "maySell": False, "vatNumber": None, "version": 2}
    assert stale["errors"][0]["__typename"] == "StateConflict"
    assert emptied["errors"][0]["path"] == ["name"]
    assert (unknown["errors"][0]["code"], unknown["errors"][0]["path"]) == ("NOT_FOUND", ["id"])


async def test_lists_are_paged_newest_first(market: Market) -> None:
    made = [await market.seller(f"S{number}") for number in range(5)]
    query = (
        "query($first: Int, $after: String, $last: Int, $before: String) {"
        " sellers(first: $first, after: $after, last: $last, before: $before)"
        " { nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"
    )

    async def page(**asked: Any) -> tuple[list[str], dict[str, Any]]:
        found = (await market.operator.ask(query, **asked))["sellers"]
        return [node["id"] for node in found["nodes"]], found["pageInfo"]

    first, info = await page(first=2)
    second, info2 = await page(first=2, after=info["endCursor"])
    third, info3 = await page(first=2, after=info2["endCursor"])
    back, _ = await page(last=2, before=info3["startCursor"])
    assert [*first, *second, *third] == made[::-1]
    assert back == second
    assert (info["hasNextPage"], info3["hasNextPage"]) == (True, False)
    found = await market.operator.ask('{ sellers(search: "s3") { nodes { name } } }')
    assert [node["name"] for node in found["sellers"]["nodes"]] == ["S3"]
    for wrong in ({"first": 0}, {"first": 101}, {"first": 1, "last": 1}, {"after": "x"}):
        answer = await market.operator.answer(query, **wrong)
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_ARGUMENT"
    answer = await market.operator.answer(
        "query($c: String) { buyers(after: $c) { nodes { id } } }", c=info["endCursor"]
    )
    assert answer["errors"][0]["extensions"]["inputPath"] == ["after"]


async def test_a_buyer_keeps_cards_by_token_only(market: Market) -> None:
    await market.connect_provider()
    made = await market.operator.do("buyerCreate", "buyer { id }", name="Bo", email="bo@example.com", externalRef="b-1")
    bo = made["buyer"]["id"]
    token = (await market.operator.do("buyerTokenCreate", "token", buyerId=bo))["token"]
    buyer = market.caller(token)
    attached = await buyer.do(
        "paymentMethodAttach", "paymentMethod { id kind brand last4 }", buyerId=bo, token="pm_card_mastercard"
    )
    number = await buyer.send("paymentMethodAttach", "paymentMethod { id }", buyerId=bo, token="4242424242424242")
    other = await buyer.send(
        "paymentMethodAttach", "paymentMethod { id }", buyerId="buy_" + "0" * 26, token="pm_card_visa"
    )

    assert attached["paymentMethod"]["brand"] == "mastercard"
    assert number["errors"][0]["path"] == ["token"]
    assert other["errors"][0]["code"] == "NOT_FOUND"
    mine = await buyer.ask('{ buyer(by: {externalRef: "b-1"}) { id name paymentMethods { id last4 } } }')
    assert mine["buyer"]["paymentMethods"] == [{"id": attached["paymentMethod"]["id"], "last4": "4444"}]
    node = "query($i: ID!) { node(id: $i) { __typename ... on PaymentMethod { last4 } } }"
    found = await buyer.ask(node, i=attached["paymentMethod"]["id"])
    assert found["node"] == {"__typename": "PaymentMethod", "last4": "4444"}


async def test_a_token_is_for_one_party_and_ends(market: Market) -> None:
    anna = await market.seller("Anna")
    fields = "token expiresAt"
    made = await market.operator.do("sellerTokenCreate", fields, sellerId=anna, idempotencyKey="t", lifetimeSeconds=60)
    again = await market.operator.do("sellerTokenCreate", fields, sellerId=anna, idempotencyKey="t", lifetimeSeconds=60)
    long = await market.operator.send("sellerTokenCreate", fields, sellerId=anna, lifetimeSeconds=86_401)
    unknown = await market.operator.send("sellerTokenCreate", fields, sellerId="sel_" + "0" * 26)

    assert made == again
    assert (await market.caller(made["token"]).ask("{ viewer { role id } }"))["viewer"] == {
        "role": "SELLER",
        "id": anna,
    }
    assert long["errors"][0]["path"] == ["lifetimeSeconds"]
    assert (unknown["errors"][0]["code"], unknown["errors"][0]["path"]) == ("NOT_FOUND", ["sellerId"])
    claims = jwt.decode(made["token"], options={"verify_signature": False})
    key = Vault(SECRET_KEY).token_key
    for forged in (
        jwt.encode(claims | {"exp": int(time.time()) - 1}, key, algorithm="HS256"),
        jwt.encode(claims, b"another key of thirty-two bytes!!", algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode(claims | {"iss": "marketbill-files"}, key, algorithm="HS256"),
        jwt.encode({name: value for name, value in claims.items() if name != "exp"}, key, algorithm="HS256"),
        made["token"] + "x",
        "a.b.c",
    ):
        answer = await market.caller(forged).post("{ viewer { role } }")
        assert answer.status_code == 401, forged


async def test_the_same_request_at_once_makes_one_seller(market: Market) -> None:
    draft = {"name": "Anna", "email": "anna@example.com", "country": "NL", "idempotencyKey": "same"}
    made = await asyncio.gather(*(market.operator.send("sellerCreate", "seller { id }", **draft) for _ in range(5)))

    ids = {payload["seller"]["id"] for payload in made if payload["seller"]}
    assert len(ids) == 1
    assert len((await market.operator.ask("{ sellers { nodes { id } } }"))["sellers"]["nodes"]) == 1
