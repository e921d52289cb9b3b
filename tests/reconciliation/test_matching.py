"""Matching, pure: each pair of records has its verdict, and equal records have none, in whatever order they come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import pages

from marketbill.reconciliation.matching import DriftKind, Kept, Side, Stage, Thing, Told, match

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HORIZON = NOON + timedelta(hours=1)
TOLD = Told(Thing.CHARGE, "ch_1", NOON, NOON, "EUR", (9_793,), {"amount": 10_000, "fee": 207}, "pay_1", words=("pi_1",))
KEPT = Kept(Thing.CHARGE, "pay_1", "ch_1", NOON, NOON, {"EUR": 9_793}, "EUR", {"amount": 10_000, "fee": 207})


def verdicts(told: list[Told], kept: list[Kept], **how: Any) -> list[tuple[str, str, str, int, int]]:
    found = match(told, kept, horizon=HORIZON, **how).findings
    return [(one.kind, one.side, one.about, one.expected, one.found) for one in found]


def test_equal_records_have_no_drift() -> None:
    assert verdicts([TOLD], [KEPT]) == []


@pytest.mark.parametrize(
    ("told", "kept", "waiting", "verdict"),
    [
        (TOLD, None, (), ("MISSING", "BOOKS", "books", 9_793, 0)),
        (TOLD, None, ("pi_1",), ("LATE", "BOOKS", "books", 9_793, 0)),
        (None, KEPT, (), ("MISSING", "PROVIDER", "books", 0, 9_793)),
        (TOLD, replace(KEPT, booked={}), (), ("MISSING", "BOOKS", "books", 9_793, 0)),
        (TOLD, replace(KEPT, booked={}, awaited=True), (), ("LATE", "BOOKS", "books", 9_793, 0)),
        (TOLD, replace(KEPT, booked={"EUR": 19_586}), (), ("DUPLICATE", "BOOKS", "books", 9_793, 19_586)),
        (TOLD, replace(KEPT, booked={"EUR": 9_792}), (), ("ALTERED", "BOOKS", "books", 9_793, 9_792)),
        (TOLD, replace(KEPT, booked={"EUR": 9_793, "USD": 5}), (), ("ALTERED", "BOOKS", "books", 0, 5)),
        (TOLD, replace(KEPT, facts={"amount": 10_000, "fee": 208}), (), ("ALTERED", "BOOKS", "fee", 207, 208)),
        (TOLD, replace(KEPT, provider_id="ch_2"), (), ("ALTERED", "BOOKS", "id", 9_793, 9_793)),
        # A refund that came back, of which only the payment is booked.
        (replace(TOLD, steps=(-500, 500), facts={}), replace(KEPT, booked={"EUR": -500}), (),
         ("LATE", "BOOKS", "books", 0, -500)),
    ],
)  # fmt: skip
def test_each_difference_has_its_name(
    told: Told | None, kept: Kept | None, waiting: tuple[str, ...], verdict: tuple[str, str, str, int, int]
) -> None:
    assert verdicts([told] if told else [], [kept] if kept else [], waiting=waiting) == [verdict]


def test_one_of_ours_that_the_provider_has_twice_is_named_by_the_second() -> None:
    second = replace(TOLD, id="ch_2")
    [found] = match([TOLD, second], [KEPT], horizon=HORIZON).findings
    assert (found.kind, found.side, found.provider_id, found.name) == (
        DriftKind.DUPLICATE,
        Side.PROVIDER,
        "ch_2",
        "pay_1",
    )


def test_the_state_of_a_payout_is_late_or_altered() -> None:
    told = Told(Thing.PAYOUT, "po_1", NOON, NOON, "EUR", (-700, 700), {"amount": 700}, "pot_1", Stage.RETURNED)
    kept = Kept(Thing.PAYOUT, "pot_1", "po_1", NOON, NOON, {"EUR": -700}, "EUR", {"amount": 700}, Stage.PAID)
    assert verdicts([told], [kept]) == [("LATE", "BOOKS", "status", 0, -700)]
    under_way = replace(told, steps=(-700,), stage=Stage.UNDER_WAY)
    assert verdicts([under_way], [kept]) == [("ALTERED", "BOOKS", "status", -700, -700)]


def test_what_moved_just_now_is_left_undecided() -> None:
    young = HORIZON + timedelta(seconds=1)
    for told, kept in (([replace(TOLD, latest=young)], []), ([], [replace(KEPT, latest=young)])):
        matched = match(told, kept, horizon=HORIZON)
        assert matched.findings == ()
        assert matched.undecided & {"ch_1", "pay_1"}


def test_a_sale_that_is_not_settled_is_not_missed_at_the_provider() -> None:
    assert verdicts([], [replace(KEPT, awaited=True)]) == []


_AMOUNTS = st.lists(st.integers(1, 10**9), min_size=1, max_size=12)


@given(amounts=_AMOUNTS, seed=st.integers(0, 2**32), broken=st.integers(0, 11))
def test_of_many_only_the_broken_one_is_found_in_any_order(amounts: list[int], seed: int, broken: int) -> None:
    told = [Told(Thing.TRANSFER, f"tr_{n}", NOON, NOON, "EUR", (-a,), name=f"trf_{n}") for n, a in enumerate(amounts)]
    kept = [Kept(Thing.TRANSFER, f"trf_{n}", f"tr_{n}", NOON, NOON, {"EUR": -a}, "EUR") for n, a in enumerate(amounts)]
    order = Random(seed)
    order.shuffle(told)
    order.shuffle(kept)
    assert verdicts(told, kept) == []
    gone = broken % len(amounts)
    [missing] = match([one for one in told if one.id != f"tr_{gone}"], kept, horizon=HORIZON).findings
    assert (missing.side, missing.name, missing.found) == (Side.PROVIDER, f"trf_{gone}", -amounts[gone])
    [unknown] = match(told, [one for one in kept if one.name != f"trf_{gone}"], horizon=HORIZON).findings
    assert (unknown.side, unknown.provider_id, unknown.expected) == (Side.BOOKS, f"tr_{gone}", -amounts[gone])


async def test_the_page_runs() -> None:
    assert await pages.run("reconciliation.md", {}) >= 1
