"""A marketplace's year as journal entries alone, in the order in which they would have been booked."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from marketbill.ids import SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.chart import AccountRef
from marketbill.ledger.journal import JournalEntry, Posting, Source

CURRENCY = "EUR"
DAYS = 365
#: A sale's own postings, with its transfer, and what refunds and payouts add on average.
_POSTINGS_A_SALE = 8.3
_FUNDS_DAYS, _RELEASE_DAYS, _REFUND_DAYS, _LATE_DAYS = 2, 3, 5, 2
_REFUNDED, _LATE = 0.03, 0.01
_SPLIT_REASON = {"fee_schedule": "fee_0000000000000000000000000a", "fee_schedule_version": 1}


class Year:
    """Sales of sellers of whom the first sells most, the second half as much, and so on; about `postings` in all."""

    def __init__(self, sellers: Sequence[SellerId], postings: int, *, end: datetime, chance: random.Random) -> None:
        self.sales = round(postings / _POSTINGS_A_SALE)
        self.begin = datetime(end.year - 1, end.month, 1, tzinfo=UTC)
        self._sellers = sellers
        self._weights = list(accumulate(1 / (place + 3) for place in range(len(sellers))))
        self._chance = chance
        self._agenda: dict[int, list[JournalEntry]] = defaultdict(list)
        self._available: dict[SellerId, int] = defaultdict(int)
        self._arriving: dict[int, list[tuple[SellerId, int]]] = defaultdict(list)

    def months(self) -> list[tuple[datetime, datetime]]:
        """The twelve months of the year, each as [start, end)."""
        first = self.begin.year * 12 + self.begin.month - 1
        starts = [datetime(place // 12, place % 12 + 1, 1, tzinfo=UTC) for place in range(first, first + 13)]
        return list(pairwise(starts))

    def entries(self) -> Iterator[JournalEntry]:
        """Every entry, day by day."""
        float_ = ((chart.psp_available(CURRENCY), chart.bank(CURRENCY), 100_000_000),)
        yield self._booked("float", Source("topup", new_id()), float_, self.begin)
        counts = self._days()
        for day in range(DAYS):
            at = self.begin + timedelta(days=day)
            if at.day == 1:
                self._pay_out(day)
            for seller, net in self._arriving.pop(day, ()):
                self._available[seller] += net
            for _ in range(counts[day]):
                self._sell(day)
            yield from sorted(self._agenda.pop(day, ()), key=lambda entry: entry.effective_at)

    def _days(self) -> dict[int, int]:
        counts: dict[int, int] = defaultdict(int)
        for _ in range(self.sales):
            counts[self._chance.randrange(DAYS)] += 1
        return counts

    def _at(self, day: int, seconds: float) -> datetime:
        return self.begin + timedelta(days=day, seconds=seconds)

    def _sell(self, day: int) -> None:
        [seller] = self._chance.choices(self._sellers, cum_weights=self._weights)
        gross = self._chance.randint(500, 20_000)
        fee = gross // 10 + 30
        tax, cost = fee * 21 // 100, gross // 100 + 25
        net = gross - fee - tax
        pending, payable = chart.seller_pending(seller, CURRENCY), chart.seller_payable(seller, CURRENCY)
        sale, second = Source("payment", new_id()), self._chance.randrange(3600, 80_000)
        recorded = day + (_LATE_DAYS if self._chance.random() < _LATE else 0)
        available = chart.psp_available(CURRENCY)
        provider = chart.psp_pending(CURRENCY)
        taxes = chart.output_vat("NL", CURRENCY)
        sold, at = self._agenda[recorded], self._at(day, second)
        sold += [
            self._booked("charge", sale, ((provider, pending, gross),), at),
            self._booked("psp-fee", sale, ((chart.psp_fee(CURRENCY), provider, cost),), at),
            self._booked("split", sale, ((pending, chart.platform_fee(CURRENCY), fee), (pending, taxes, tax)), at),
        ]
        at = self._at(day + _FUNDS_DAYS, 81_000)
        self._agenda[day + _FUNDS_DAYS].append(
            self._booked("funds-available", sale, ((available, provider, gross - cost),), at)
        )
        at, done = self._at(day + _RELEASE_DAYS, second), self._agenda[day + _RELEASE_DAYS]
        done.append(self._booked("release", sale, ((pending, payable, net),), at))
        moved = Source("transfer", new_id())
        done.append(self._booked("transfer", moved, self._transferred(seller, net), at + timedelta(seconds=30)))
        if self._chance.random() < _REFUNDED:
            self._refund(day + _REFUND_DAYS, seller, moved, net=net, fee=fee, tax=tax)
        else:
            self._arriving[day + _RELEASE_DAYS + 1].append((seller, net))

    def _transferred(self, seller: SellerId, net: int) -> tuple[tuple[AccountRef, AccountRef, int], ...]:
        return (
            (chart.seller_payable(seller, CURRENCY), chart.psp_available(CURRENCY), net),
            (chart.custody_available(seller, CURRENCY), chart.custody_owed(seller, CURRENCY), net),
        )

    def _refund(self, day: int, seller: SellerId, moved: Source, *, net: int, fee: int, tax: int) -> None:
        back = tuple((credit, debit, amount) for debit, credit, amount in self._transferred(seller, net))
        owed, refund, at = (
            chart.account(chart.REFUND_PAYABLE, CURRENCY),
            Source("refund", new_id()),
            self._at(day, 82_000),
        )
        parts = (
            (chart.seller_payable(seller, CURRENCY), owed, net),
            (chart.account(chart.FEE_REFUNDED, CURRENCY), owed, fee),
            (chart.output_vat("NL", CURRENCY), owed, tax),
        )
        paid = ((owed, chart.psp_available(CURRENCY), net + fee + tax),)
        self._agenda[day] += [
            self._booked("transfer-reversal", moved, back, at),
            self._booked("refund", refund, parts, at + timedelta(seconds=1)),
            self._booked("refund-paid", refund, paid, at + timedelta(seconds=2)),
        ]

    def _pay_out(self, day: int) -> None:
        for seller, amount in self._available.items():
            if amount:
                payout, at = Source("payout", new_id()), self._at(day, 60)
                transit = chart.custody_in_transit(seller, CURRENCY)
                created = ((transit, chart.custody_available(seller, CURRENCY), amount),)
                paid = ((chart.custody_owed(seller, CURRENCY), transit, amount),)
                self._agenda[day].append(self._booked("payout-created", payout, created, at))
                self._agenda[day + 1].append(self._booked("payout-paid", payout, paid, at + timedelta(days=1)))
        self._available.clear()

    def _booked(
        self, kind: str, source: Source, legs: tuple[tuple[AccountRef, AccountRef, int], ...], at: datetime
    ) -> JournalEntry:
        return JournalEntry(
            key=f"{kind}:{source.id}",
            kind=kind,
            source=source,
            postings=tuple(Posting(*leg) for leg in legs),
            effective_at=at,
            description=kind.replace("-", " ").capitalize(),
            reason=_SPLIT_REASON if kind == "split" else {},
        )
