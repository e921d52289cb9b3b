"""Every limit holds, and says what it is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from marketbill.errors import LimitExceeded
from marketbill_graphql.access import AccessRules
from marketbill_graphql.documents import Documents
from marketbill_graphql.endpoint import executable
from marketbill_graphql.limits import check_rows
from marketbill_graphql.schema import build_schema


def _deep(levels: int) -> str:
    """A query of that many nested fields."""
    turns = "pond { ducks { " * ((levels - 2) // 2)
    return "{ duck { " + turns + "name" + " }" * (2 * ((levels - 2) // 2) + 2)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (_deep(14), "14 levels of fields"),
        ("{ duck { " + " ".join(f"a{i}: name" for i in range(31)) + " } }", "31 aliases"),
        ("{ " + "viewer " * 11 + "}", "11 fields at the root"),
        ("{ duck { " + "name " * 11 + "} }", "11 repetitions"),
        ("{ duck { " + " ".join(f"a{i}: name" for i in range(700)) + " } }", "Syntax Error: Document contains more"),
        ("{ a " * 600 + "}" * 600, "nested too deeply"),
        ('{ duck(name: "' + "x" * 10_001 + '") { name } }', "longer than 10000"),
        ('{ duck(name: "\\u0000") { name } }', "NUL"),
        (
            "{ duck { ...F0 } } "
            + " ".join(
                f"fragment F{i} on Duck {{ pond {{ ducks {{ ...F{i + 1} }} }} p: pond {{ ducks {{ ...F{i + 1} }} }} }}"
                for i in range(4)
            )
            + " fragment F4 on Duck { pond { ducks { name secret } } }",
            None,
        ),
    ],
)
async def test_a_document_beyond_a_limit_is_refused_in_no_time(client: Any, query: str, text: str | None) -> None:
    start = time.process_time()
    answer = (await client.post({"query": query})).json()

    assert time.process_time() - start < 2
    if text:
        assert "data" not in answer
        assert text in answer["errors"][0]["message"]


async def test_a_document_at_its_limits_is_served(client: Any) -> None:
    at_depth = await client.ask(_deep(12))
    with_aliases = await client.ask("{ duck { " + " ".join(f"a{i}: name" for i in range(30)) + " } }")

    assert "errors" not in at_depth
    assert len(with_aliases["data"]["duck"]) == 30


async def test_fragments_count_as_what_they_stand_for(client: Any) -> None:
    doubling = " ".join(
        f"fragment F{i} on Duck {{ pond {{ ducks {{ ...F{i + 1} }} }} p: pond {{ ducks {{ ...F{i + 1} }} }} }}"
        for i in range(9)
    )
    answer = await client.ask("{ duck { ...F0 } } " + doubling + " fragment F9 on Duck { name }")

    assert any("once its fragments are spread" in error["message"] for error in answer["errors"])


async def test_a_fragment_that_spreads_itself_is_refused(client: Any) -> None:
    answer = await client.ask("{ duck { ...A } } fragment A on Duck { name ...B } fragment B on Duck { ...A }")

    assert "data" not in answer
    assert "itself" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 10_001, "Variable $n is longer than 10000 characters."),
        ("a\0b", "Variable $n contains a NUL character."),
        ([["x" * 10_001]], "Variable $n.0.0 is longer"),
        ([0] * 1_001, "more than 1000 items"),
    ],
)
async def test_a_variable_beyond_a_limit_is_refused(client: Any, value: Any, text: str) -> None:
    answer = await client.ask("query($n: String!) { duck(name: $n) { name } }", n=value)

    assert text in answer["errors"][0]["message"]
    assert answer["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"


async def test_a_deeply_nested_variable_is_refused(client: Any) -> None:
    value: Any = 1
    for _ in range(200):
        value = [value]
    answer = await client.ask("query($n: String!) { duck(name: $n) { name } }", n=value)

    assert "nested deeper than 32" in answer["errors"][0]["message"]


async def test_at_most_fifty_errors_are_told(client: Any) -> None:
    fields = " ".join(f"nothing{i}" for i in range(60))
    answer = await client.ask("{ duck { " + fields + " } }")

    assert len(answer["errors"]) <= 51


async def test_introspection_keeps_the_limits(client: Any) -> None:
    from graphql import get_introspection_query

    answer = await client.ask(get_introspection_query(input_value_deprecation=True))

    assert "errors" not in answer
    assert answer["data"]["__schema"]["queryType"]["name"] == "Query"


async def test_documents_are_parsed_and_validated_once(client: Any, duck_app: Any) -> None:
    documents = duck_app.state.documents
    for turn in range(100):
        answer = await client.ask("query A($n: String!) { duck(name: $n) { name } }", n=str(turn))
        assert answer == {"data": {"duck": {"name": str(turn)}}}

    assert (documents.hits, documents.misses) == (99, 1)


async def test_a_refused_document_is_not_kept(client: Any, duck_app: Any) -> None:
    for _ in range(3):
        await client.ask("{ nothing }")

    assert duck_app.state.documents.hits == 0
    assert not duck_app.state.documents._kept


async def test_the_cache_forgets_the_oldest(duck_schema: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketbill_graphql import documents

    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 2)
    schema = executable(duck_schema)
    kept = documents.Documents(schema, AccessRules(schema))
    for text in ("{ viewer }", "{ a: viewer }", "{ viewer }", "{ b: viewer }", "{ viewer }", "{ a: viewer }"):
        kept.find(text)

    assert (kept.hits, kept.misses) == (2, 4)


PAGES = "accounts: ledgerAccounts(first: %s) { nodes { movements(first: %s) { nodes { balanceAfter { minor } } } } }"


@pytest.mark.parametrize(
    ("document", "variables", "rows"),
    [
        ("{ " + PAGES % (40, 100) + " }", {}, 4_040),
        ("{ " + PAGES % (100, 100) + " }", {}, 10_100),
        ("query($n: Int!) { " + PAGES % ("$n", "$n") + " }", {"n": 70}, 4_970),
        ("query($n: Int!) { " + PAGES % ("$n", "$n") + " }", {"n": 71}, 5_112),
        ("query($n: Int = 5) { " + PAGES % ("$n", "$n") + " }", {}, 10_100),
        ("{ ...A } fragment A on Query { " + PAGES % (99, 99) + " }", {}, 9_900),
        ("{ ledgerAccounts { nodes { movements { edges { cursor } } } } }", {}, 420),
        ("{ ledgerAccounts(first: 1000000) { nodes { code } } }", {}, 100),
    ],
    ids=repr,
)
def test_pages_within_pages_are_multiplied(document: str, variables: dict[str, int], rows: int) -> None:
    schema = executable(build_schema())
    pages = Documents(schema, AccessRules(schema)).find(document).operation(None).pages

    if rows > 5_000:
        with pytest.raises(LimitExceeded, match=f"{rows} rows"):
            check_rows(pages, variables)
    else:
        check_rows(pages, variables)
