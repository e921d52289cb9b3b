"""Templates: what an entry of each kind may move, what is refused, and the domain's examples booked by them."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.members import ID, another, member

from marketbill.errors import InvalidInput
from marketbill.ids import new_id
from marketbill.ledger import chart
from marketbill.ledger.chart import CHART, AccountKind, Family
from marketbill.ledger.entry import JournalEntry, Phase, Posting, Source
from marketbill.ledger.flows import FLOWS
from marketbill.ledger.flows.template import Area, Form, Leg, Template, Times
from marketbill.ledger.refusal import (
    KindMisused,
    LegMissing,
    LegNotAllowed,
    LegRepeated,
    SourceNotAllowed,
    UnknownKind,
)

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
NEEDED = (Times.ONCE, Times.ONE_OR_MORE)
WITH_LEGS = [template for template in FLOWS.values() if template.form is Form.LEGS]
PAIRS = st.tuples(st.sampled_from(CHART), st.sampled_from(CHART)).filter(lambda pair: pair[0] is not pair[1])
PENDING, PAYABLE, POSITION = chart.SELLER_PENDING, chart.SELLER_PAYABLE, chart.FX_POSITION

Move = tuple[Family, Family, str, int]
"""Debit, credit, currency, amount."""


def moved(debit: Family, credit: Family, amount: int = 1, currency: str = "EUR") -> Posting:
    to = another(credit, currency) if debit is credit else member(credit, currency)
    return Posting(member(debit, currency), to, amount)


def entry(kind: str, *postings: Posting, source: str | None = None, **changes: Any) -> JournalEntry:
    template = FLOWS.get(kind)
    usual = template.sources[0] if template and template.sources else "payment"
    return JournalEntry("key", kind, Source(source or usual, ID), postings, NOON, "", {}, **changes)


def legs(template: Template, *times: Times) -> list[Posting]:
    return [moved(leg.debit, leg.credit) for leg in template.legs if leg.times in times]


def test_every_account_has_its_place_on_the_map() -> None:
    reached = {family for template in FLOWS.values() for leg in template.legs for family in (leg.debit, leg.credit)}
    assert [family.pattern for family in CHART if family not in reached] == []


def test_every_flow_says_when_it_happens_and_what_it_moves() -> None:
    assert {template.area for template in FLOWS.values()} == set(Area)
    for kind, template in FLOWS.items():
        assert template.kind == kind
        assert len(kind) <= 50
        assert template.when.endswith("."), kind
        assert all(leg.amount for leg in template.legs), kind
        assert all(len(source) <= 50 for source in template.sources), kind


def test_no_flow_moves_money_between_the_platform_and_custody() -> None:
    for template in FLOWS.values():
        for leg in template.legs:
            assert (leg.debit.kind is AccountKind.CUSTODY) == (leg.credit.kind is AccountKind.CUSTODY), template.kind


@pytest.mark.parametrize("template", WITH_LEGS, ids=lambda template: template.kind)
def test_an_entry_with_all_of_its_legs_can_be_made(template: Template) -> None:
    entry(template.kind, *legs(template, *Times))


@pytest.mark.parametrize(
    "template", [one for one in WITH_LEGS if len(legs(one, *NEEDED)) > 1], ids=lambda template: template.kind
)
def test_an_entry_without_a_leg_it_needs_is_refused(template: Template) -> None:
    needed = legs(template, *NEEDED)
    for place in range(len(needed)):
        with pytest.raises(LegMissing, match=template.kind) as refused:
            entry(template.kind, *needed[:place], *needed[place + 1 :])
        assert refused.value.leg == str(template.legs[place])


def test_a_transfer_without_its_custody_is_refused() -> None:
    with pytest.raises(LegMissing, match=r"debit custody:\*:available, credit custody:\*:owed"):
        entry("transfer", moved(PAYABLE, chart.PSP_AVAILABLE))


def test_a_leg_that_is_there_once_is_refused_twice() -> None:
    fee = moved(chart.PSP_FEE, chart.PSP_PENDING)
    with pytest.raises(LegRepeated, match="psp-fee") as refused:
        entry("psp-fee", fee, fee)
    assert refused.value.leg == "debit expenses:psp-fee, credit psp:pending"
    sale = moved(chart.PSP_PENDING, PENDING)
    entry("charge", sale, sale)


def test_a_posting_that_is_no_leg_of_its_kind_is_refused_with_the_legs_it_may_have() -> None:
    stray = moved(chart.PLATFORM_FEE, PENDING)
    with pytest.raises(LegNotAllowed) as refused:
        entry("release", moved(PENDING, PAYABLE), stray)
    told = refused.value
    assert (told.kind, told.debit, told.credit) == ("release", stray.debit, stray.credit)
    assert told.allowed == ("debit seller:*:pending, credit seller:*:payable",)
    assert told.allowed[0] in told.message
    assert isinstance(told, InvalidInput)


def test_a_leg_has_a_direction() -> None:
    with pytest.raises(LegNotAllowed):
        entry("funds-available", moved(chart.PSP_PENDING, chart.PSP_AVAILABLE))


@given(template=st.sampled_from(WITH_LEGS), pair=PAIRS)
def test_an_entry_takes_the_legs_of_its_kind_and_no_others(template: Template, pair: tuple[Family, Family]) -> None:
    times = next((leg.times for leg in template.legs if (leg.debit, leg.credit) == pair), None)
    asked = [*legs(template, *NEEDED), moved(*pair)]
    if times is None:
        with pytest.raises(LegNotAllowed):
            entry(template.kind, *asked)
    elif times is Times.ONCE:
        with pytest.raises(LegRepeated):
            entry(template.kind, *asked)
    else:
        entry(template.kind, *asked)


def test_a_kind_that_is_no_flow_is_refused() -> None:
    for kind in ("", "sale", "x" * 10_000):
        with pytest.raises(UnknownKind) as refused:
            entry(kind, moved(chart.PSP_PENDING, PENDING))
        assert refused.value.kind == kind
        assert len(refused.value.message) < 300


def test_a_kind_has_its_sources() -> None:
    with pytest.raises(SourceNotAllowed, match="payment or topup") as refused:
        entry("funds-available", moved(chart.PSP_AVAILABLE, chart.PSP_PENDING), source="payout")
    assert refused.value.allowed == ("payment", "topup")


def test_a_correction_reverses_another_entry_and_nothing_else_does() -> None:
    back = moved(PENDING, chart.PSP_PENDING)
    entry("reversal", back, reverses=new_id())
    with pytest.raises(KindMisused, match="reverses another entry"):
        entry("reversal", back)
    with pytest.raises(KindMisused, match="reverses nothing"):
        entry("funds-available", moved(chart.PSP_AVAILABLE, chart.PSP_PENDING), reverses=new_id())


def test_a_hold_is_given_back_by_a_kind_of_its_own() -> None:
    held = entry("charge", moved(chart.PSP_PENDING, PENDING), phase=Phase.HELD)
    for kind in ("hold-voided", "hold-expired"):
        entry(kind, phase=Phase.RELEASED, resolves=new_id())
        with pytest.raises(KindMisused, match="gives a hold back"):
            replace(held, kind=kind)
    with pytest.raises(KindMisused, match="releases nothing"):
        entry("charge", phase=Phase.RELEASED, resolves=new_id())


def test_a_part_of_a_hold_needs_not_every_leg() -> None:
    part = moved(PAYABLE, chart.PSP_AVAILABLE)
    entry("transfer", part, resolves=new_id())
    with pytest.raises(LegNotAllowed):
        entry("transfer", part, moved(chart.PSP_FEE, chart.PSP_AVAILABLE), resolves=new_id())


def test_an_operators_adjustment_is_free_but_for_custody() -> None:
    entry("manual", moved(chart.GOODWILL, chart.BANK), moved(chart.CUSTODY_OWED, chart.CUSTODY_AVAILABLE))
    with pytest.raises(LegNotAllowed, match="two of custody"):
        entry("manual", moved(chart.CUSTODY_AVAILABLE, chart.BANK))
    with pytest.raises(SourceNotAllowed, match="correction"):
        entry("manual", moved(chart.GOODWILL, chart.BANK), source="payment")


@pytest.mark.parametrize(
    "wrong",
    [
        {"legs": ()},
        {"legs": (Leg(chart.BANK, chart.PSP_AVAILABLE, "a"), Leg(chart.BANK, chart.PSP_AVAILABLE, "b"))},
        {"legs": (Leg(chart.BANK, chart.PSP_AVAILABLE, "a"),), "form": Form.FREE},
    ],
    ids=["none", "twice", "free"],
)
def test_a_template_names_each_leg_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="the template x"):
        Template("x", Area.SALE, "Never.", **wrong)


#: The domain's examples beside the worked journal: kind, movements, and what they leave, as net debits.
EXAMPLES: dict[str, tuple[str, list[Move], dict[str, int]]] = {
    "the platform pays a coupon of 10 %": (
        "promo",
        [(chart.PROMO, PENDING, "EUR", 1210)],
        {"expenses:promo": 1210, "seller:*:pending": -1210},
    ),
    "the platform is the deemed supplier": (
        "split",
        [(PENDING, chart.PLATFORM_FEE, "EUR", 512), (PENDING, chart.DEEMED_TAX, "EUR", 868)],
        {"seller:*:pending": 1380, "revenue:platform-fee": -512, "tax:deemed:*": -868},
    ),
    "dollars settled in euros: the position closes in both": (
        "fx-conversion",
        [
            (chart.PSP_PENDING, POSITION, "EUR", 9900),
            (POSITION, chart.PSP_PENDING, "USD", 11000),
            (PENDING, POSITION, "USD", 11000),
            (POSITION, PENDING, "EUR", 9900),
        ],
        {"psp:pending": 9900 - 11000, "seller:*:pending": 11000 - 9900},
    ),
    "a markup of 1 %": (
        "fx-conversion",
        [
            (chart.PSP_PENDING, POSITION, "EUR", 9900),
            (POSITION, PENDING, "EUR", 9801),
            (POSITION, chart.FX_MARGIN, "EUR", 99),
        ],
        {"psp:pending": 9900, "seller:*:pending": -9801, "revenue:fx-margin": -99},
    ),
    "the mid-rate was promised": (
        "fx-conversion",
        [
            (chart.PSP_PENDING, POSITION, "EUR", 9900),
            (POSITION, PENDING, "EUR", 10102),
            (chart.FX_LOSS, POSITION, "EUR", 202),
        ],
        {"psp:pending": 9900, "seller:*:pending": -10102, "expenses:fx-loss": 202},
    ),
    "a refund at a worse rate": (
        "refund-paid",
        [(chart.REFUND_PAYABLE, chart.PSP_AVAILABLE, "EUR", 9900), (chart.FX_LOSS, chart.PSP_AVAILABLE, "EUR", 220)],
        {"buyer:refund-payable": 9900, "psp:available": -10120, "expenses:fx-loss": 220},
    ),
    "a subscription invoiced": (
        "invoice",
        [(chart.RECEIVABLE, chart.DEFERRED_REVENUE, "EUR", 2000), (chart.RECEIVABLE, chart.OUTPUT_VAT, "EUR", 420)],
        {"ar": 2420, "deferred-revenue": -2000, "tax:output-vat:*": -420},
    ),
    "paid from the seller's balance": (
        "invoice-payment",
        [(PAYABLE, chart.RECEIVABLE, "EUR", 2420)],
        {"seller:*:payable": 2420, "ar": -2420},
    ),
    "a day of it earned": (
        "revenue-recognition",
        [(chart.DEFERRED_REVENUE, chart.SUBSCRIPTION, "EUR", 100)],
        {"deferred-revenue": 100, "revenue:subscription": -100},
    ),
    "a credit note of what was paid": (
        "credit-note",
        [(chart.DEFERRED_REVENUE, PAYABLE, "EUR", 1000), (chart.OUTPUT_VAT, PAYABLE, "EUR", 210)],
        {"deferred-revenue": 1000, "tax:output-vat:*": 210, "seller:*:payable": -1210},
    ),
    "an invoice written off": (
        "write-off",
        [(chart.BAD_DEBT, chart.RECEIVABLE, "EUR", 2000), (chart.OUTPUT_VAT, chart.RECEIVABLE, "EUR", 420)],
        {"expenses:bad-debt": 2000, "tax:output-vat:*": 420, "ar": -2420},
    ),
    "a reserve of 10 %": (
        "reserve",
        [(PAYABLE, chart.SELLER_RESERVE, "EUR", 438)],
        {"seller:*:payable": 438, "seller:*:reserve": -438},
    ),
    "a full refund of line B": (
        "refund",
        [(PAYABLE, chart.REFUND_PAYABLE, "EUR", 3599), (chart.FEE_REFUNDED, chart.REFUND_PAYABLE, "EUR", 400)],
        {"seller:*:payable": 3599, "revenue:platform-fee-refunded": 400, "buyer:refund-payable": -3999},
    ),
    "a refund that failed": (
        "refund-failed",
        [(chart.PSP_AVAILABLE, chart.REFUND_PAYABLE, "EUR", 2000)],
        {"psp:available": 2000, "buyer:refund-payable": -2000},
    ),
    "a dispute won, its fee returned": (
        "dispute-won",
        [(chart.PSP_AVAILABLE, chart.DISPUTED, "EUR", 10100), (chart.PSP_AVAILABLE, chart.DISPUTE_FEE, "EUR", 2000)],
        {"psp:available": 12100, "dispute:*": -10100, "expenses:dispute-fee": -2000},
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_domains_examples_are_legs_of_their_flows(name: str) -> None:
    kind, moves, left = EXAMPLES[name]
    made = entry(kind, *(moved(debit, credit, amount, currency) for debit, credit, currency, amount in moves))
    net: Counter[str] = Counter()
    for posting in made.postings:
        net[posting.debit.family.pattern] += posting.amount
        net[posting.credit.family.pattern] -= posting.amount
    assert {pattern: amount for pattern, amount in net.items() if amount} == left
