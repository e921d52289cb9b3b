"""Disputes as a course of states, and what each movement of a dispute means.

The provider's facts come in any order and more than once, each read at another moment. So a state is only followed by
one that may come after it (`next_status`), and money follows the movements alone, never the state.
"""

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from marketbill.money import round_ratio


class DisputeStatus(StrEnum):
    """Where a dispute stands.

    INQUIRY: the buyer's bank asks, no money has moved; ANSWERED and CLOSED follow. NEEDS_RESPONSE: the money was
    withdrawn, and evidence is taken until the deadline. UNDER_REVIEW: the bank judges. WON, PARTLY_WON and LOST are the
    ends, as far as money goes; an appeal may open them again. PREVENTED: it was settled before it became a dispute.
    """

    INQUIRY = "INQUIRY"
    INQUIRY_ANSWERED = "INQUIRY_ANSWERED"
    INQUIRY_CLOSED = "INQUIRY_CLOSED"
    NEEDS_RESPONSE = "NEEDS_RESPONSE"
    UNDER_REVIEW = "UNDER_REVIEW"
    WON = "WON"
    PARTLY_WON = "PARTLY_WON"
    LOST = "LOST"
    PREVENTED = "PREVENTED"


#: What takes evidence.
ANSWERABLE = frozenset({DisputeStatus.INQUIRY, DisputeStatus.NEEDS_RESPONSE})
#: What is over, unless an appeal opens it again.
OVER = frozenset(
    {
        DisputeStatus.INQUIRY_CLOSED,
        DisputeStatus.WON,
        DisputeStatus.PARTLY_WON,
        DisputeStatus.LOST,
        DisputeStatus.PREVENTED,
    }
)

_STATUS = {
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY_ANSWERED,
    "warning_closed": DisputeStatus.INQUIRY_CLOSED,
    "needs_response": DisputeStatus.NEEDS_RESPONSE,
    "under_review": DisputeStatus.UNDER_REVIEW,
    "appeal_needs_response": DisputeStatus.NEEDS_RESPONSE,
    "appeal_under_review": DisputeStatus.UNDER_REVIEW,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "prevented": DisputeStatus.PREVENTED,
}
# An inquiry may become a dispute, a dispute that is over may be appealed, and what won an appeal has won.
_COURSE = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "warning_closed": 2,
    "prevented": 2,
    "needs_response": 3,
    "under_review": 4,
    "lost": 5,
    "appeal_needs_response": 6,
    "appeal_under_review": 7,
    "won": 8,
}


#: How far a converted amount may be from the disputed one and still be it: units, and one part in so many.
_NEAR_UNITS, _NEAR_PARTS = 2, 10_000


class Movement(StrEnum):
    """What a balance transaction of a dispute is: money withdrawn or given back, either with a fee, or a fee alone."""

    WITHDRAWN = "WITHDRAWN"
    COUNTERED = "COUNTERED"
    GIVEN_BACK = "GIVEN_BACK"


def movement_of(*, amount: int, fee: int) -> Movement | None:
    """By its signs: `amount` is below zero where money was withdrawn, `fee` where it is returned. None for nothing."""
    if amount < 0:
        return Movement.WITHDRAWN
    if amount > 0 or fee < 0:
        return Movement.GIVEN_BACK
    return Movement.COUNTERED if fee > 0 else None


def follows(told: str, known: str | None) -> bool:
    """Whether what the provider says now may come after what it said before; not when it was read earlier.

    An appeal that is lost ends as it began, so `lost` after an appeal is believed. Were it an old word, no money would
    follow from it: that of the loss was booked before.
    """
    if known is None or told == known:
        return True
    if told == "lost" and known.startswith("appeal_"):
        return True
    return _COURSE[told] > _COURSE[known]


def status_of(told: str, *, amount: int, won: int) -> DisputeStatus:
    """Our state for the provider's word; won in part is what brought back less than the disputed `amount`."""
    status = _STATUS[told]
    return DisputeStatus.PARTLY_WON if status is DisputeStatus.WON and 0 < won < amount else status


def disputed_part(*, moved: int, rate: Decimal | None, amount: int) -> int:
    """What a movement of the balance is in the currency of the sale, where `rate` made the one of the other.

    A rate is told with a few digits, so what is nearly the whole disputed `amount` is that.
    """
    if rate is None:
        return moved
    numerator, denominator = rate.as_integer_ratio()
    part = round_ratio(abs(moved) * denominator, numerator)
    near = abs(part - amount) * _NEAR_PARTS <= _NEAR_UNITS * _NEAR_PARTS + amount
    return (amount if near else part) * (1 if moved > 0 else -1)


class Outcome(NamedTuple):
    """What is left of a dispute's money when it is over: `lost` to the buyer in the currency of the sale, `taken` the
    same in that of the settlement, and the `difference` that the rate made between withdrawing and giving back (below
    zero for a gain)."""

    lost: int
    taken: int
    difference: int


def outcome(
    status: DisputeStatus, *, amount: int, won: int, withdrawn: int, reinstated: int, converted: bool
) -> Outcome | None:
    """How a dispute ended; None while that is open, or while the money it moved is not known yet.

    `converted` when the settlement's currency is another one than the sale's.
    """
    if status is DisputeStatus.LOST and withdrawn:
        pass
    elif status not in (DisputeStatus.WON, DisputeStatus.PARTLY_WON) or not reinstated:
        return None
    lost, rest = max(0, amount - won), withdrawn - reinstated
    taken = round_ratio(withdrawn * lost, amount) if converted and amount else rest
    return Outcome(lost, taken, rest - taken)
