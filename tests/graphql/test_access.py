"""Who may select what is decided once for a document and a role, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import strawberry

from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE, OPERATOR, TENANT, AccessRules, UndeclaredAccess
from marketbill_graphql.endpoint import executable
from marketbill_graphql.schema import assemble

SECRET = "{ duck { name secret } }"


@pytest.mark.parametrize(
    "query",
    [
        SECRET,
        "{ duck { name ... { secret } } }",
        "{ duck { ... on Duck { secret } } }",
        "{ duck { ...A } } fragment A on Duck { pond { ducks { ...B } } } fragment B on Duck { secret }",
        "{ duck { name secret @include(if: false) } }",
        "query A { duck { s: secret } }",
    ],
)
async def test_a_field_is_refused_wherever_it_hides(caller: Callable[..., Any], query: str) -> None:
    allowed = await caller("operator").post({"query": query})
    refused = await caller("seller").post({"query": query})

    assert "errors" not in allowed.json()
    assert refused.status_code == 403
    assert "data" not in refused.json()
    assert refused.json()["errors"][0]["message"] == "Duck.secret is not for SELLER: OPERATOR may use it."
    assert refused.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert refused.json()["errors"][0]["extensions"]["field"] == "Duck.secret"


async def test_only_the_chosen_operation_counts(caller: Callable[..., Any]) -> None:
    query = "query A { viewer } query B { duck { secret } }"

    assert (await caller("seller").post({"query": query, "operationName": "A"})).status_code == 200
    assert (await caller("seller").post({"query": query, "operationName": "B"})).status_code == 403


@pytest.mark.parametrize(("key", "status"), [("operator", 200), ("seller", 200), ("bootstrap", 200), ("buyer", 403)])
async def test_the_schema_is_not_read_out_to_buyers(caller: Callable[..., Any], key: str, status: int) -> None:
    assert (await caller(key).post({"query": "{ __schema { types { name } } }"})).status_code == status
    assert (await caller(key).post({"query": '{ __type(name: "Duck") { name } }'})).status_code == status
    assert (await caller(key).post({"query": "{ __typename }"})).status_code == 200


async def test_the_bootstrap_key_sees_no_tenant(caller: Callable[..., Any]) -> None:
    assert (await caller("bootstrap").post({"query": "{ viewer }"})).json() == {"data": {"viewer": "BOOTSTRAP"}}
    assert (await caller("bootstrap").post({"query": "{ duck { name } }"})).status_code == 403


@strawberry.type
class Loose:
    name: str


@strawberry.type
class LooseQueries:
    @declare.query(TENANT)
    def loose(self) -> Loose:
        """A type that nobody declared."""
        return Loose(name="x")

    @strawberry.field
    def open(self) -> int:
        return 1


@declare.interface(ANYONE)
class Named:
    """Has a name."""

    name: str


@declare.output(OPERATOR)
class Narrow(Named):
    """For operators alone."""


@strawberry.type
class NarrowQueries:
    @declare.query(TENANT)
    def named(self) -> Named:
        """Something."""
        return Narrow(name="x")


def test_a_field_without_a_rule_stops_the_schema() -> None:
    with pytest.raises(UndeclaredAccess, match=r"Loose\.name, Query\.open"):
        AccessRules(executable(assemble(queries=[LooseQueries], mutations=[])))


def test_a_type_may_not_be_narrower_than_its_interface() -> None:
    with pytest.raises(UndeclaredAccess, match=r"narrower than Named\.name"):
        AccessRules(executable(assemble(queries=[NarrowQueries], mutations=[], types=[Narrow])))
