"""Matching, pure: what the provider tells of money that moved, against what we kept of it and what the books say.

Everything that moved has one side at the provider (`Told`) and one of ours (`Kept`). They belong together by the
provider's id, or by the name that we gave it. What differs is a drift, of one of four kinds.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import accumulate


class DriftKind(StrEnum):
    """MISSING: one side has it, the other knows nothing of it. DUPLICATE: one side has it twice. ALTERED: both have it,
    and differ. LATE: word of it is there, but it was not booked in time."""

    MISSING = "MISSING"
    DUPLICATE = "DUPLICATE"
    ALTERED = "ALTERED"
    LATE = "LATE"


class Side(StrEnum):
    """Where the fault shows: BOOKS lack or have amiss what the provider did, or the PROVIDER what the books say."""

    BOOKS = "BOOKS"
    PROVIDER = "PROVIDER"


class Thing(StrEnum):
    """What drifted. REVERSAL is all that was taken back of one transfer; OTHER what the provider did by itself, and the
    platform's own payouts."""

    CHARGE = "CHARGE"
    TRANSFER = "TRANSFER"
    REVERSAL = "REVERSAL"
    REFUND = "REFUND"
    DISPUTE = "DISPUTE"
    TOPUP = "TOPUP"
    PAYOUT = "PAYOUT"
    OTHER = "OTHER"


class Stage(StrEnum):
    """How far a payout is, in this order."""

    UNDER_WAY = "UNDER_WAY"
    PAID = "PAID"
    RETURNED = "RETURNED"


_STAGES = list(Stage)


@dataclass(frozen=True, slots=True)
class Told:
    """The provider's side. `steps` are the nets of its movements in `currency`, oldest first; `facts` are amounts in
    the same currency that our row keeps too. `name` is our public id where the provider has it.

    `account` is the connected account of a payout, `words` are ids under which an event that we did not handle yet may
    speak of it.
    """

    thing: Thing
    id: str
    at: datetime
    latest: datetime
    currency: str
    steps: tuple[int, ...]
    facts: Mapping[str, int] = field(default_factory=dict[str, int])
    name: str | None = None
    stage: Stage | None = None
    words: tuple[str, ...] = ()
    account: str | None = None

    @property
    def net(self) -> int:
        return sum(self.steps)


@dataclass(frozen=True, slots=True)
class Kept:
    """Our side: a row under its public id. `booked` is what its entries moved of the money at the provider, by
    currency. `awaited`: we know that it comes, and have not booked it. `latest`: when any of it changed last."""

    thing: Thing
    name: str
    provider_id: str | None
    at: datetime
    latest: datetime
    booked: Mapping[str, int]
    currency: str
    facts: Mapping[str, int] = field(default_factory=dict[str, int])
    stage: Stage | None = None
    awaited: bool = False
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A drift as it was found: `expected` is what the provider says, `found` what we say, in minor units.

    `about` names what differs: "books", or a fact of the row ("amount", "fee"), "status", "id".
    """

    kind: DriftKind
    side: Side
    thing: Thing
    about: str
    at: datetime
    currency: str
    expected: int
    found: int
    name: str | None = None
    provider_id: str | None = None
    account: str | None = None

    @property
    def key(self) -> str:
        """The same for the same drift, whenever it is found."""
        return ":".join((self.kind, self.side, self.thing, self.about, self.provider_id or "", self.name or ""))


@dataclass(frozen=True, slots=True)
class Matched:
    """What was found, and the ids and names of what moved too lately to be judged."""

    findings: tuple[Finding, ...]
    undecided: frozenset[str]


def match(told: Sequence[Told], kept: Sequence[Kept], *, horizon: datetime, waiting: Collection[str] = ()) -> Matched:
    """Every difference between the two sides. What changed after the `horizon` on either side is left undecided.

    `waiting` are ids of the provider's of which an event is there that was not handled yet.
    """
    by_id = {(one.thing, one.provider_id): one for one in kept if one.provider_id}
    by_name = {(one.thing, one.name): one for one in kept}
    told = _with_what_came_back(told, by_name)
    ids = {(one.thing, one.id) for one in told}
    findings: list[Finding] = []
    undecided: set[str] = set()
    paired: set[tuple[Thing, str]] = set()
    for one in told:
        ours = by_id.get((one.thing, one.id)) or by_name.get((one.thing, one.name or ""))
        again = ours is not None and (ours.thing, ours.name) in paired
        if ours is not None:
            paired.add((ours.thing, ours.name))
        if one.latest > horizon or (ours is not None and ours.latest > horizon):
            undecided |= {one.id} | ({ours.name} if ours else set())
            continue
        has_word = not set(waiting).isdisjoint((one.id, *one.words))
        if ours is None:
            findings.append(_unknown(one, has_word))
        elif ours.provider_id not in (None, one.id) or (again and ours.provider_id is None):
            findings.append(_another(one, ours, twice=again or (one.thing, ours.provider_id) in ids))
        else:
            findings += _differences(one, ours, has_word)
    for ours in kept:
        if (ours.thing, ours.name) in paired or not _claims(ours):
            continue
        if ours.latest > horizon:
            undecided.add(ours.name)
        else:
            findings.append(_gone(ours))
    return Matched(tuple(findings), frozenset(undecided))


def _with_what_came_back(told: Sequence[Told], by_name: Mapping[tuple[Thing, str], Kept]) -> list[Told]:
    """A refund that the buyer's bank sent back may be made again: then several of the provider's are one of ours, and
    what the rates made between them is booked with it."""
    before: dict[tuple[Thing, str], tuple[int, ...]] = {}
    left: list[Told] = []
    for one in told:
        ours = by_name.get((one.thing, one.name or ""))
        came_back = one.thing is Thing.REFUND and len(one.steps) > 1
        if came_back and ours is not None and ours.provider_id != one.id:
            before[ours.thing, ours.name] = before.get((ours.thing, ours.name), ()) + one.steps
        else:
            left.append(one)
    return [replace(one, steps=before.get((one.thing, one.name or ""), ()) + one.steps) for one in left]


def _claims(ours: Kept) -> bool:
    """Whether we say that the provider has moved something. A sale is booked before the provider settles it, and a
    refund may wait there for money: of what is awaited nothing can be missed."""
    if ours.awaited:
        return False
    if ours.thing in (Thing.TRANSFER, Thing.PAYOUT) and ours.provider_id:
        return True
    return bool(_nonzero(ours.booked)) or (ours.thing is Thing.REVERSAL and any(ours.facts.values()))


def _unknown(told: Told, has_word: bool) -> Finding:
    """The provider has it, and we have nothing."""
    kind = DriftKind.LATE if has_word else DriftKind.MISSING
    return _finding(kind, Side.BOOKS, told, "books", expected=told.net, found=0)


def _another(told: Told, ours: Kept, *, twice: bool) -> Finding:
    """It bears the name of ours, but ours is another one of the provider's."""
    if twice:
        return _finding(DriftKind.DUPLICATE, Side.PROVIDER, told, "id", expected=told.net, found=0, name=ours.name)
    net = ours.booked.get(told.currency, 0)
    return _finding(DriftKind.ALTERED, Side.BOOKS, told, "id", expected=told.net, found=net, name=ours.name)


def _gone(ours: Kept) -> Finding:
    """We have it, and the provider does not know it."""
    booked = _nonzero(ours.booked)
    currency, found = next(iter(booked.items()), (ours.currency, ours.facts.get("amount", 0)))
    return Finding(
        kind=DriftKind.MISSING,
        side=Side.PROVIDER,
        thing=ours.thing,
        about="books",
        at=ours.at,
        currency=currency,
        expected=0,
        found=found,
        name=ours.name,
        provider_id=ours.provider_id,
        account=ours.account,
    )


def _differences(told: Told, ours: Kept, has_word: bool) -> Iterator[Finding]:
    behind = ours.awaited or has_word
    if told.stage is not None and ours.stage is not None and told.stage is not ours.stage:
        later = _STAGES.index(told.stage) > _STAGES.index(ours.stage)
        kind = DriftKind.LATE if later else DriftKind.ALTERED
        # The state and its money are one drift where both differ.
        if later or told.net == ours.booked.get(told.currency, 0):
            net = ours.booked.get(told.currency, 0)
            yield _finding(kind, Side.BOOKS, told, "status", expected=told.net, found=net, name=ours.name)
            return
    booked, due = _nonzero(ours.booked), _nonzero({told.currency: told.net})
    if booked != due:
        yield from _amiss(told, ours, booked, behind)
        return
    # Where the books agree, the row must too.
    for about, amount in told.facts.items():
        mine = ours.facts.get(about)
        if mine is not None and mine != amount:
            yield _finding(DriftKind.ALTERED, Side.BOOKS, told, about, expected=amount, found=mine, name=ours.name)


def _amiss(told: Told, ours: Kept, booked: Mapping[str, int], behind: bool) -> Iterator[Finding]:
    """What the entries moved is not what the provider's movements come to."""
    others = {currency: net for currency, net in booked.items() if currency != told.currency}
    net = booked.get(told.currency, 0)
    before = list(accumulate(told.steps))[:-1]
    if not booked:
        kind = DriftKind.LATE if behind or told.net == 0 else DriftKind.MISSING
    elif behind or (not others and net in before):
        kind = DriftKind.LATE
    elif not others and told.net and net % told.net == 0 and net // told.net >= 2:
        kind = DriftKind.DUPLICATE
    else:
        kind = DriftKind.ALTERED
    if net != told.net or not others:
        yield _finding(kind, Side.BOOKS, told, "books", expected=told.net, found=net, name=ours.name)
        return
    for currency, found in others.items():
        yield Finding(
            kind=kind,
            side=Side.BOOKS,
            thing=told.thing,
            about="books",
            at=told.at,
            currency=currency,
            expected=0,
            found=found,
            name=ours.name,
            provider_id=told.id,
        )


def _nonzero(amounts: Mapping[str, int]) -> dict[str, int]:
    return {currency: amount for currency, amount in amounts.items() if amount}


def _finding(
    kind: DriftKind, side: Side, told: Told, about: str, *, expected: int, found: int, name: str | None = None
) -> Finding:
    return Finding(
        kind=kind,
        side=side,
        thing=told.thing,
        about=about,
        at=told.at,
        currency=told.currency,
        expected=expected,
        found=found,
        name=name or told.name,
        provider_id=told.id,
        account=told.account,
    )
