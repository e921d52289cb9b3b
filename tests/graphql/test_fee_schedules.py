"""Fee schedules through the API: drafted, changed, published, discarded; for the platform's own people alone."""

from __future__ import annotations

from typing import Any

from .market import FEE_DOCUMENT, Market

FIELDS = "feeSchedule { id name version state effectiveFrom document documentHash createdBy publishedBy }"


def percent(text: str, **more: Any) -> dict[str, Any]:
    return FEE_DOCUMENT | {"rules": [FEE_DOCUMENT["rules"][0] | {"percent": text} | more]}  # type: ignore[index]


async def test_a_draft_is_changed_and_published(market: Market) -> None:
    drafted = (await market.operator.do("feeScheduleDraft", FIELDS, document=percent("12")))["feeSchedule"]
    assert (drafted["version"], drafted["state"], drafted["effectiveFrom"]) == (None, "DRAFT", None)
    changed = await market.operator.do("feeScheduleUpdate", FIELDS, id=drafted["id"], document=percent("12.50"))
    assert changed["feeSchedule"]["document"] == percent("12.5")
    published = (await market.operator.do("feeSchedulePublish", FIELDS, id=drafted["id"]))["feeSchedule"]
    assert (published["version"], published["state"]) == (2, "LIVE")
    assert published["publishedBy"] == published["createdBy"]
    assert published["createdBy"].startswith("key_")

    listed = await market.operator.ask("{ feeSchedules { nodes { version state } } platform { feeSchedule { id } } }")
    assert [(one["version"], one["state"]) for one in listed["feeSchedules"]["nodes"]] == [
        (2, "LIVE"),
        (1, "SUPERSEDED"),
    ]
    assert listed["platform"]["feeSchedule"]["id"] == drafted["id"]
    node = await market.operator.ask(
        "query ($id: ID!) { node(id: $id) { id ... on FeeSchedule { name } } feeSchedule(id: $id) { version } }",
        id=drafted["id"],
    )
    assert node == {"node": {"id": drafted["id"], "name": "Commission"}, "feeSchedule": {"version": 2}}


async def test_what_is_wrong_is_told_by_its_path(market: Market) -> None:
    for document, path in [
        (percent("101"), ["document", "rules", "0", "percent"]),
        (percent("10", fixed={"EUR": 0.3}), ["document", "rules", "0", "fixed", "EUR"]),
        (percent("10", fixd={}), ["document", "rules", "0", "fixd"]),
        ("no object", ["document"]),
        ({"name": "None"}, ["document", "rules"]),
    ]:
        refused = await market.operator.send("feeScheduleDraft", FIELDS, document=document)
        assert refused["errors"][0]["path"] == path, refused
    drafted = await market.operator.do("feeScheduleDraft", FIELDS, document=percent("12"))
    id = drafted["feeSchedule"]["id"]
    late = await market.operator.send("feeSchedulePublish", FIELDS, id=id, effectiveFrom="2020-01-01T00:00:00Z")
    assert late["errors"][0]["path"] == ["effectiveFrom"]
    unknown = await market.operator.send("feeSchedulePublish", FIELDS, id="fee_00000000000000000000000000")
    assert unknown["errors"][0]["__typename"] == "NotFound"
    assert (await market.operator.do("feeScheduleDiscard", "id", id=id))["id"] == id
    assert (await market.operator.ask("query ($id: ID!) { feeSchedule(id: $id) { id } }", id=id)) == {
        "feeSchedule": None
    }


async def test_a_published_schedule_stays_as_it_is(market: Market) -> None:
    live = (await market.operator.ask("{ platform { feeSchedule { id } } }"))["platform"]["feeSchedule"]["id"]
    for name, more in [
        ("feeScheduleUpdate", {"document": percent("1")}),
        ("feeSchedulePublish", {}),
        ("feeScheduleDiscard", {}),
    ]:
        fields = "id" if name == "feeScheduleDiscard" else "feeSchedule { id }"
        refused = await market.operator.send(name, fields, id=live, **more)
        assert refused["errors"][0]["__typename"] == "StateConflict", name


async def test_a_document_may_be_written_into_the_request(market: Market) -> None:
    made = await market.operator.ask(
        """
        mutation {
          feeScheduleDraft(input: {idempotencyKey: "literal", document: {
            name: "Literal", rules: [{name: "commission", percent: 8.5, fixed: {EUR: 0.30}, base: NET,
                                      tax_mode: EXCLUSIVE}]
          }}) { feeSchedule { document } errors { ... on UserError { message path } } }
        }
        """
    )
    assert made["feeScheduleDraft"]["feeSchedule"]["document"]["rules"] == [
        {"name": "commission", "percent": "8.5", "fixed": {"EUR": "0.30"}, "base": "NET", "tax_mode": "EXCLUSIVE"}
    ]


PREVIEW = """
query ($input: FeeSchedulePreviewInput!) {
  feeSchedulePreview(input: $input) {
    split { totals { fee { minor } } }
    why {
      lineId
      stacks { stack charged rejected { rule reason rank outrankedBy misses { dimension expected actual } } }
    }
    errors { __typename ... on UserError { path } }
  }
}
"""


async def test_a_basket_is_tried_under_a_draft_and_explained(market: Market) -> None:
    seller = await market.operator.do(
        "sellerCreate",
        "seller { id groups }",
        name="Anna",
        email="a@sellers.example",
        country="NL",
        groups=["founders"],
    )
    assert seller["seller"]["groups"] == ["founders"]
    rule = FEE_DOCUMENT["rules"][0]  # type: ignore[index]
    founders = rule | {"name": "founders", "percent": "4", "when": {"seller_groups": ["founders"]}}
    books = rule | {"name": "books", "percent": "6", "when": {"categories": ["books"]}}
    line = {
        "sellerId": seller["seller"]["id"],
        "description": "Vase",
        "unitPrice": {"minor": "5000", "currency": "EUR"},
        "taxRate": "21",
    }
    basket = {"currency": "EUR", "lines": [line]}
    document = FEE_DOCUMENT | {"rules": [rule, books, founders]}
    tried = (await market.operator.ask(PREVIEW, input=basket | {"document": document}))["feeSchedulePreview"]
    assert tried["errors"] == []
    assert tried["split"]["totals"]["fee"]["minor"] == "230"
    assert tried["why"] == [
        {
            "lineId": "001",
            "stacks": [
                {
                    "stack": "commission",
                    "charged": "founders",
                    "rejected": [
                        {
                            "rule": "books",
                            "reason": "CONDITION",
                            "rank": None,
                            "outrankedBy": "",
                            "misses": [{"dimension": "categories", "expected": "books", "actual": ""}],
                        },
                        {
                            "rule": "commission",
                            "reason": "OUTRANKED",
                            "rank": "DIMENSIONS",
                            "outrankedBy": "founders",
                            "misses": [],
                        },
                    ],
                }
            ],
        }
    ]
    live = (await market.operator.ask(PREVIEW, input=basket))["feeSchedulePreview"]
    assert live["split"]["totals"]["fee"]["minor"] == "530"
    drafted = await market.operator.do("feeScheduleDraft", FIELDS, document=percent("12"))
    by_id = await market.operator.ask(PREVIEW, input=basket | {"id": drafted["feeSchedule"]["id"]})
    assert by_id["feeSchedulePreview"]["split"]["totals"]["fee"]["minor"] == "630"
    wrong = await market.operator.ask(PREVIEW, input=basket | {"document": percent("101")})
    assert wrong["feeSchedulePreview"]["errors"][0]["path"] == ["document", "rules", "0", "percent"]
    both = await market.operator.ask(PREVIEW, input=basket | {"document": document, "id": "fee_x"})
    assert both["feeSchedulePreview"]["errors"][0]["path"] == ["id"]


async def test_groups_are_words_of_small_letters(market: Market) -> None:
    for groups, path in [
        (["Founders"], ["groups", "0"]),
        (["a"] * 2, ["groups"]),
        ([f"g{n}" for n in range(21)], ["groups"]),
    ]:
        refused = await market.operator.send(
            "sellerCreate", "seller { id }", name="Bo", email="b@sellers.example", country="NL", groups=groups
        )
        assert refused["errors"][0]["path"] == path
