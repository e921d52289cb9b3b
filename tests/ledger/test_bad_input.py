"""What no entry can be is refused when it is built: a typed refusal names the account or field, and the rule."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.ledger.test_journal import PAYABLE, PENDING, PSP, SELLER, charge, entry

from marketbill.errors import InvalidInput
from marketbill.ids import new_id
from marketbill.ledger import chart
from marketbill.ledger.entry import POSTINGS_MAX, IfClosed, Phase, Posting, Source
from marketbill.ledger.refusal import EntryInvalid, PostingInvalid, SourceNotAllowed, UnknownKind

DOLLARS = chart.seller_pending(SELLER, "USD")


@pytest.mark.parametrize("amount", [0, -1, 2**63, 10**15 + 1, 1.5, "1", True, None])
def test_an_amount_that_is_none(amount: Any) -> None:
    with pytest.raises(PostingInvalid, match="an amount of 1 to 1000000000000000 minor units") as refused:
        Posting(PSP, PENDING, amount)
    assert refused.value.path == ("amount",)
    assert (refused.value.debit, refused.value.credit) == (PSP, PENDING)
    assert PENDING.code in refused.value.message


def test_two_currencies_and_one_account_twice() -> None:
    with pytest.raises(PostingInvalid, match="one currency, not EUR and USD"):
        Posting(PSP, DOLLARS, 1)
    with pytest.raises(PostingInvalid, match="two accounts, not psp:pending twice"):
        Posting(PSP, PSP, 1)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("key", {"key": ""}),
        ("key", {"key": "k" * 10_240}),
        ("postings", {"postings": ()}),
        ("postings", {"postings": (Posting(PSP, PENDING, 1),) * 10_000}),
        ("reason", {"reason": {"steps": [{"percent": 0.1}]}}),
        ("reason", {"reason": {"note": "a\x00b"}}),
        ("reason", {"description": "half a \ud83d face"}),
        ("reason", {"key": "a\x00b"}),
        ("effective_at", {"effective_at": datetime(2026, 5, 1)}),  # noqa: DTZ001 - that is what is wrong
        ("effective_at", {"effective_at": datetime.max.replace(tzinfo=UTC)}),
        ("expires_at", {"expires_at": datetime(2026, 5, 1, tzinfo=UTC)}),
        ("expires_at", {"phase": Phase.HELD, "expires_at": datetime(2026, 5, 1)}),  # noqa: DTZ001
        ("resolves", {"phase": Phase.HELD, "resolves": new_id()}),
        ("reverses", {"resolves": new_id(), "reverses": new_id()}),
        ("postings", {"phase": Phase.RELEASED}),
    ],
)
def test_an_entry_that_can_not_be(field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid) as refused:
        replace(charge("sale", 1), **wrong)
    assert refused.value.path == (field,)
    assert refused.value.constraint
    assert len(refused.value.message) < 400, "what was wrong is told, not repeated"


def test_an_entry_may_be_as_large_as_its_limit() -> None:
    assert len(entry("large", *[Posting(PSP, PENDING, 1)] * POSTINGS_MAX).postings) == POSTINGS_MAX


def test_an_unknown_kind_and_an_unknown_source() -> None:
    with pytest.raises(UnknownKind, match="no kind of entry named 'gift'"):
        charge("sale", 1, kind="gift")
    with pytest.raises(SourceNotAllowed, match="a source of type payment, not 'wishful'"):
        charge("sale", 1, source=Source("wishful", SELLER))


def test_every_one_of_them_is_a_refusal_and_a_programs_mistake() -> None:
    """An edge tells it to a client; a program that builds entries by itself sees the ValueError it would expect."""
    for invalid in (PostingInvalid, EntryInvalid):
        assert issubclass(invalid, InvalidInput)
        assert issubclass(invalid, ValueError)


def test_a_good_entry_is_none_of_it() -> None:
    good = charge(
        "søt 🙂", 1, description="Zeile\nzwei", reason={"rule": 3, "who": ["Ωmega"]}, if_closed=IfClosed.REFUSE
    )
    assert good.postings[0].credit == PENDING != PAYABLE
