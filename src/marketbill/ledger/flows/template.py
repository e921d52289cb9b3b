"""What an entry of a kind may move: a template of legs, as accountants call the sides of a posting.

A template is data (`flows.FLOWS` holds them all). Every entry is held against its kind's when it is made, so that no
posting takes a path that is not on the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from marketbill.ledger.chart import AccountKind, AccountRef, Family
from marketbill.ledger.refusal import KindMisused, LegMissing, LegNotAllowed, LegRepeated, SourceNotAllowed


class Movement(Protocol):
    """A posting, as far as a template looks at it."""

    @property
    def debit(self) -> AccountRef: ...

    @property
    def credit(self) -> AccountRef: ...


class Times(StrEnum):
    """How often an entry has a leg."""

    ONCE = "once"
    AT_MOST_ONCE = "at most once"
    ONE_OR_MORE = "one or more"
    ANY = "any number"


ONCE, AT_MOST_ONCE, ONE_OR_MORE, ANY = Times


class Form(StrEnum):
    """What an entry's postings follow.

    LEGS: the template's own. MIRROR: those of the entry it reverses. FREE: any two accounts, both of the platform's
    books or both custody. RELEASE: it has none, for it gives a hold back.
    """

    LEGS = "LEGS"
    MIRROR = "MIRROR"
    FREE = "FREE"
    RELEASE = "RELEASE"


# A member by its enum's name costs ten times one by a name of its own, and every entry asks for some.
LEGS, MIRROR, FREE, RELEASE = Form
_CUSTODY = AccountKind.CUSTODY


class Area(StrEnum):
    """The part of the business a flow belongs to; the map is drawn part by part."""

    SALE = "Sales"
    PAYOUT = "Transfers and payouts"
    REFUND = "Refunds"
    DISPUTE = "Disputes"
    DEBT = "Reserves and debts"
    PROVIDER = "The provider's own movements"
    CURRENCY = "Currencies"
    SUBSCRIPTION = "Subscriptions"
    CORRECTION = "Corrections and holds"


@dataclass(frozen=True, slots=True)
class Leg:
    """A movement that a flow may make, from the family `credit` to the family `debit`; `amount` names what is moved."""

    debit: Family
    credit: Family
    amount: str
    times: Times = Times.ONCE

    def __str__(self) -> str:
        return f"debit {self.debit.pattern}, credit {self.credit.pattern}"


def legs_from(credit: Family, *debits: tuple[Family, str], times: Times = ANY) -> tuple[Leg, ...]:
    """Legs from one family to several, each with the name of its amount."""
    return tuple(Leg(debit, credit, amount, times) for debit, amount in debits)


def legs_to(debit: Family, *credits: tuple[Family, str], times: Times = ANY) -> tuple[Leg, ...]:
    """Legs from several families to one."""
    return tuple(Leg(debit, credit, amount, times) for credit, amount in credits)


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The template of one kind of entry: when it happens, what objects it may come from, and the legs it may have.

    `sources` are kinds of objects as in `entry.Source`; empty for any.
    """

    kind: str
    area: Area
    when: str
    sources: tuple[str, ...] = ()
    legs: tuple[Leg, ...] = ()
    form: Form = LEGS
    _bits: dict[Family, dict[Family, int]] = field(init=False, repr=False)
    _needed: int = field(init=False, repr=False)
    _single: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if (self.form is LEGS) is not bool(self.legs):
            raise ValueError(f"the template {self.kind} has legs and another form, or neither")
        bits: dict[Family, dict[Family, int]] = {}
        for place, leg in enumerate(self.legs):
            if bits.setdefault(leg.debit, {}).setdefault(leg.credit, 1 << place) != 1 << place:
                raise ValueError(f"the template {self.kind} names a leg twice: {leg}")
        object.__setattr__(self, "_bits", bits)
        object.__setattr__(self, "_needed", self._mask(Times.ONCE, Times.ONE_OR_MORE))
        object.__setattr__(self, "_single", self._mask(Times.ONCE, Times.AT_MOST_ONCE))

    def judge(self, key: str, form: Form, source_type: str, movements: Sequence[Movement], is_part: bool) -> None:
        """Holds an entry against the template; `is_part` when it posts a hold, of which it may leave legs out.

        Raises SourceNotAllowed, KindMisused, LegNotAllowed, LegRepeated, LegMissing.
        """
        if source_type not in self.sources and self.sources:
            raise SourceNotAllowed(entry_key=key, kind=self.kind, source_type=source_type, allowed=self.sources)
        own = self.form
        if form is not (LEGS if own is FREE else own):
            raise KindMisused(entry_key=key, kind=self.kind, form=own)
        if own is LEGS:
            self._judge_legs(key, movements, is_part)
        elif own is FREE:
            self._judge_free(key, movements)

    def _judge_legs(self, key: str, movements: Sequence[Movement], is_part: bool) -> None:
        # This runs for every posting there is: look-ups by identity and a mask, nothing else.
        bits, single, seen = self._bits, self._single, 0
        for one in movements:
            try:
                bit = bits[one.debit.family][one.credit.family]
            except KeyError:
                raise self._refused(key, one) from None
            if seen & bit & single:
                raise LegRepeated(entry_key=key, kind=self.kind, leg=str(self._leg(bit)))
            seen |= bit
        missing = self._needed & ~seen
        if missing and not is_part:
            raise LegMissing(entry_key=key, kind=self.kind, leg=str(self._leg(missing & -missing)))

    def _judge_free(self, key: str, movements: Sequence[Movement]) -> None:
        for one in movements:
            if (one.debit.kind is _CUSTODY) is not (one.credit.kind is _CUSTODY):
                raise self._refused(key, one)

    def _mask(self, *times: Times) -> int:
        return sum(1 << place for place, leg in enumerate(self.legs) if leg.times in times)

    def _leg(self, bit: int) -> Leg:
        return self.legs[bit.bit_length() - 1]

    def _refused(self, key: str, one: Movement) -> LegNotAllowed:
        allowed = tuple(map(str, self.legs)) or ("two accounts of the platform's books, or two of custody",)
        return LegNotAllowed(entry_key=key, kind=self.kind, debit=one.debit, credit=one.credit, allowed=allowed)
