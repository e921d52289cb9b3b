"""Stored sales under another schedule, one batch at a time: pure, so that it runs in a process of its own."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from marketbill.errors import InvalidInput
from marketbill.platforms.fee_document import schedule_of_document
from marketbill.rules.fees.schedule import Period, Schedule
from marketbill.rules.fees.terms import FeeTerms
from marketbill.rules.plan import SplitPlan
from marketbill.rules.replay import Sale, TraceNotReplayable, sale_of
from marketbill.rules.split import split_decided

#: Upper edges of the distribution: the change of a sale's fees in hundredths of a percent of its price.
EDGES = (-500, -200, -100, -50, -10, -1, 0, 9, 49, 99, 199, 499)


class StoredSale(NamedTuple):
    """A payment's trace as JSON, and what its sellers had sold before it, counted where the trace does not tell."""

    trace: str
    volumes: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is compared. The documents are made schedules by whoever computes.

    Sales of the schedule `live_id` count before as they were charged, and others as the live schedule would have them;
    with `charged`, all count as they were charged. `sellers` are the public ids that are looked at, None for all;
    `groups` are the groups that sellers are taken to be in, None for those of the trace.
    """

    draft: object
    live: object
    live_id: str
    live_version: int
    charged: bool
    sellers: frozenset[str] | None
    groups: Mapping[str, frozenset[str]] | None


@dataclass(slots=True)
class Sums:
    """Minor units before and after: the platform's fees without tax, and what sellers get."""

    sales: int = 0
    gross: int = 0
    fee_before: int = 0
    fee_after: int = 0
    net_before: int = 0
    net_after: int = 0

    def add(self, other: "Sums") -> None:
        self.sales += other.sales
        self.gross += other.gross
        self.fee_before += other.fee_before
        self.fee_after += other.fee_after
        self.net_before += other.net_before
        self.net_after += other.net_after

    @property
    def fee_change(self) -> int:
        return self.fee_after - self.fee_before

    @property
    def net_change(self) -> int:
        return self.net_after - self.net_before


@dataclass(slots=True)
class Tally:
    """Sums by currency, by currency and seller, and how many sales changed by how much (`EDGES`, and one above).

    `refused` are sales that the draft, or the schedule it is compared with, would refuse, by the reason; `unreadable`
    are those whose trace is of a version that cannot be computed again. Neither is in any sum.
    """

    currencies: dict[str, Sums] = field(default_factory=dict)
    sellers: dict[tuple[str, str], Sums] = field(default_factory=dict)
    changes: dict[str, list[int]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    changed: int = 0

    def add(self, other: "Tally") -> None:
        for currency, sums in other.currencies.items():
            self.currencies.setdefault(currency, Sums()).add(sums)
        for key, sums in other.sellers.items():
            self.sellers.setdefault(key, Sums()).add(sums)
        for currency, counts in other.changes.items():
            mine = self.changes.setdefault(currency, [0] * (len(EDGES) + 1))
            self.changes[currency] = [one + more for one, more in zip(mine, counts, strict=True)]
        self.refused.update(other.refused)
        self.unreadable += other.unreadable
        self.changed += other.changed


class _Share(NamedTuple):
    gross: int
    fee: int
    net: int


class Replay:
    """The comparison of some terms, ready for any number of batches."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._draft = schedule_of_document(terms.draft, id="fee_draft", version=1)
        self._live = schedule_of_document(terms.live, id=terms.live_id, version=terms.live_version)

    def run(self, sales: Sequence[StoredSale]) -> Tally:
        """The sums of a batch."""
        tally = Tally()
        for sale in sales:
            self._compare(orjson.loads(sale.trace), sale.volumes, tally)
        return tally

    def _compare(self, trace: dict[str, Any], volumes: Mapping[str, Mapping[str, int]], tally: Tally) -> None:
        try:
            sale = sale_of(trace)
            after = _planned(self._split(sale, self._draft, volumes))
            if self._terms.charged or (trace["schedule"]["id"] == self._terms.live_id and self._terms.groups is None):
                before = {one["seller_id"]: _share(one) for one in trace["sellers"]}
            else:
                before = _planned(self._split(sale, self._live, volumes))
        except TraceNotReplayable:
            tally.unreadable += 1
            return
        except InvalidInput as refusal:
            tally.refused[type(refusal).__name__] += 1
            return
        self._count(trace["currency"], before, after, tally)

    def _split(self, sale: Sale, schedule: Schedule, counted: Mapping[str, Mapping[str, int]]) -> SplitPlan:
        volumes = {id: {Period(period): sold for period, sold in told.items()} for id, told in counted.items()}
        told = {id: known for id, known in sale.volumes.items() if known}
        groups = sale.groups if self._terms.groups is None else self._terms.groups
        return split_decided(
            sale.basket, FeeTerms(schedule, sale.at, groups, {**volumes, **told}), sale.tax, sale.decisions, sale.rates
        )

    def _count(self, currency: str, before: dict[str, _Share], after: dict[str, _Share], tally: Tally) -> None:
        nobody = _Share(0, 0, 0)
        whole = Sums(sales=1)
        for seller in before | after:
            if self._terms.sellers is not None and seller not in self._terms.sellers:
                continue
            was, now = before.get(seller, nobody), after.get(seller, nobody)
            own = Sums(1, now.gross or was.gross, was.fee, now.fee, was.net, now.net)
            tally.sellers.setdefault((currency, seller), Sums()).add(own)
            own.sales = 0
            whole.add(own)
        tally.currencies.setdefault(currency, Sums()).add(whole)
        counts = tally.changes.setdefault(currency, [0] * (len(EDGES) + 1))
        counts[bucket(whole.fee_change, whole.gross)] += 1
        tally.changed += before != after


_replay: Replay | None = None


def begin_process(terms: Terms) -> None:
    """Makes a process ready, once, for `run_in_process`."""
    global _replay
    _replay = Replay(terms)


def run_in_process(sales: Sequence[StoredSale]) -> Tally:
    """The sums of a batch, in a process that `begin_process` made ready."""
    assert _replay is not None, "the process has begun"
    return _replay.run(sales)


def bucket(change: int, gross: int) -> int:
    """The place in the distribution of a sale whose fees change by so much of its price. No change is its own place."""
    if change == 0 or gross <= 0:
        return EDGES.index(0)
    share = change * 10_000 // gross if change > 0 else -(-change * 10_000 // gross)
    if share == 0:
        return EDGES.index(0) + 1 if change > 0 else EDGES.index(-1)
    return next((place for place, edge in enumerate(EDGES) if share <= edge), len(EDGES))


def _planned(plan: SplitPlan) -> dict[str, _Share]:
    return {
        share.seller_id: _Share(share.totals.gross, share.totals.fee + share.totals.buyer_fee, share.totals.seller_net)
        for share in plan.sellers
    }


def _share(told: Mapping[str, Any]) -> _Share:
    return _Share(told["gross"], told["fee"] + told["buyer_fee"], told["seller_net"])
