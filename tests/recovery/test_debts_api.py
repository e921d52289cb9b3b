"""Debts through GraphQL: what the operator and the seller see, and write-offs by two keys."""

from typing import Any

import httpx2
import pytest
from tests.market.market import Market
from tests.recovery.test_debts import in_debt

from marketbill_graphql.app import create_app

ERRORS = "errors { __typename ... on UserError { code message path } ... on StateConflict { currentState } }"


class Api:
    """The API with one credential."""

    def __init__(self, market: Market, key: str) -> None:
        app = create_app(market.machine.services)
        self._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api")
        self._key = key

    async def ask(self, query: str, **variables: Any) -> Any:
        answer = await self._http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": f"Bearer {self._key}"},
        )
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]

    async def do(self, name: str, fields: str, /, **input: Any) -> Any:
        type_ = name[0].upper() + name[1:]
        input.setdefault("idempotencyKey", f"{name}-{len(str(input))}-{id(input)}")
        query = f"mutation($input: {type_}Input!) {{ {name}(input: $input) {{ {fields} {ERRORS} }} }}"
        return (await self.ask(query, input=input))[name]


@pytest.fixture
async def operator(market: Market) -> Api:
    return Api(market, market.operator_key)


DEBTS = """{ debts { nodes { id cause step remaining { minor } amount { minor } seller { name }
  plan { step dueAt doneAt outcome } } } }"""


async def test_debts_are_shown_with_their_plan_and_written_off_by_two_keys(market: Market, operator: Api) -> None:
    id = await in_debt(market, 2727)
    await market.machine.advance(days=7)
    [shown] = (await operator.ask(DEBTS))["debts"]["nodes"]
    assert (shown["id"], shown["step"], shown["seller"]["name"]) == (id, "NOTICE", "B")
    assert (shown["amount"]["minor"], shown["remaining"]["minor"]) == ("2727", "2727")
    assert [(one["step"], one["outcome"]) for one in shown["plan"]] == [
        ("NETTING", "TAKEN"),
        ("NOTICE", "TOLD"),
        ("DEBIT", None),
        ("RECEIVABLE", None),
        ("SUSPENSION", None),
        ("WRITE_OFF", None),
    ]

    # The seller sees his own debt, and nothing of the write-offs.
    made = await operator.do("sellerTokenCreate", "token", sellerId=market.seller_id("B"))
    assert not made["errors"], made
    seller = Api(market, made["token"])
    assert [one["id"] for one in (await seller.ask(DEBTS))["debts"]["nodes"]] == [id]
    await market.seller("A")
    made = await operator.do("sellerTokenCreate", "token", sellerId=market.seller_id("A"))
    assert (await Api(market, made["token"]).ask(DEBTS))["debts"]["nodes"] == []

    proposed = await operator.do("writeOffPropose", "writeOff { id status }", debtId=id, reason="insolvent")
    wof = proposed["writeOff"]["id"]
    own = await operator.do("writeOffApprove", "writeOff { id }", id=wof)
    assert (own["errors"][0]["__typename"], own["errors"][0]["currentState"]) == ("StateConflict", "PROPOSED")
    key = await operator.do("apiKeyCreate", "secret", name="second person", role="OPERATOR")
    second = Api(market, key["secret"])
    agreed = await second.do("writeOffApprove", "writeOff { status booked { minor } debt { closedAt } }", id=wof)
    assert agreed["writeOff"]["status"] == "BOOKED"
    assert agreed["writeOff"]["booked"]["minor"] == "2727"
    assert agreed["writeOff"]["debt"]["closedAt"] is not None


async def test_bad_input_is_named(market: Market, operator: Api) -> None:
    id = await in_debt(market, 1000)
    for steps, path in (
        ([{"step": "NOTICE", "days": 7}], ["steps"]),
        ([{"step": "NETTING", "days": 0}, {"step": "NOTICE", "days": -1}], ["steps", "1", "days"]),
    ):
        answer = await operator.do("debtPolicyPublish", "policy { version }", steps=steps)
        assert answer["errors"][0]["path"][-len(path) :] == path
    answer = await operator.do("writeOffPropose", "writeOff { id }", debtId=id, reason="")
    assert answer["errors"][0]["code"] == "INVALID_ARGUMENT"
    too_much = await operator.do(
        "debtPaymentRecord",
        "payment { id }",
        sellerId=market.seller_id("B"),
        amount={"minor": "1001", "currency": "EUR"},
        method="TOP_UP",
        reference="NL-1",
    )
    assert "owes 10.00 EUR" in too_much["errors"][0]["message"]
    paid = await operator.do(
        "debtPaymentRecord",
        "payment { id journalEntries { kind } }",
        sellerId=market.seller_id("B"),
        amount={"minor": "1000", "currency": "EUR"},
        method="TOP_UP",
        reference="NL-1",
    )
    assert [one["kind"] for one in paid["payment"]["journalEntries"]] == ["top-up"]
