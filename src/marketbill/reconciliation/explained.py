"""Every cent explained: each payment's trace computed again from its text, and held against every posting it led to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Integer, Row, Text, Uuid, bindparam, text

from marketbill.db import Scope
from marketbill.errors import NotFound, Refusal
from marketbill.ids import SellerId, parse_id, public_id
from marketbill.insight.parts import Leg, parts_of_sale
from marketbill.ledger import chart
from marketbill.ledger.audit.history import Progress, Read
from marketbill.money import decimal_text
from marketbill.platforms import fee_schedule
from marketbill.reconciliation.check import Check, broken, holds
from marketbill.rules.fees.schedule import Schedule
from marketbill.rules.recompute import recompute
from marketbill.rules.replay import split_again

#: Payments that are held in memory at once.
BATCH_MAX = 200
#: Differences that are named; the rest is counted.
NAMED_MAX = 50

_KINDS = ("charge", "promo", "split", "processor-fee", "release")
_PAYMENTS = text(
    """
    select id, trace, currency, tax_country, booked_at, settlement_currency, (
             select coalesce(jsonb_object_agg(s.seller_id, jsonb_build_array(s.released, s.returned)), '{}')
             from payment_share s
             where s.platform_id = :platform and s.payment_id = y.id and s.released_at is not null) as released
    from payment y where platform_id = :platform and id > :after order by id limit :limit
    """
).bindparams(bindparam("after", type_=Uuid), bindparam("limit", type_=Integer))
_COUNT = text("select count(*) as payments from payment where platform_id = :platform")
# An entry that was reversed is corrected on purpose, and told as such by the check of payments: it is left out with all
# of its kind. The span stands before the look-up, as `ledger.entries` says why.
_BOOKED = text(
    """
    with span as materialized (
      select e.source_id, e.kind, e.first_posting, e.first_posting + e.posting_count - 1 as last_posting,
             exists (select from journal_entry r where r.platform_id = :platform and r.reverses = e.id) as is_corrected
      from journal_entry e
      where e.platform_id = :platform and e.source_id = any(:ids) and e.source_type = 'payment' and e.kind = any(:kinds)
    )
    select span.source_id, span.kind, span.is_corrected, p.amount, p.currency, d.code as debit, c.code as credit
    from span
    cross join lateral (
      select * from posting where platform_id = :platform and number between span.first_posting and span.last_posting
      order by number limit 2000) p
    join ledger_account d on d.platform_id = :platform and d.id = p.debit_account_id
    join ledger_account c on c.platform_id = :platform and c.id = p.credit_account_id
    where not p.held
    """
).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("kinds", type_=ARRAY(Text)))


@dataclass(slots=True)
class _Proof:
    """What was looked at until now, and what differed. `schedules` are those of the batch."""

    payments: int = 0
    steps: int = 0
    postings: int = 0
    replayed: int = 0
    differing: int = 0
    checks: list[Check] = field(default_factory=list)

    def broken(self, name: str, subject: str, *, expected: str, found: str) -> None:
        self.differing += 1
        if len(self.checks) < NAMED_MAX:
            self.checks.append(broken(name, subject, expected=expected, found=found))


@dataclass(slots=True)
class _Booked:
    """What stands in the books for one payment: amounts and numbers of postings by leg, and the kinds corrected."""

    amounts: dict[Leg, int] = field(default_factory=dict)
    postings: int = 0
    corrected: set[str] = field(default_factory=set)


async def prove_explained(read: Read, *, progress: Progress = lambda done, total: None) -> list[Check]:
    """Every stored payment, in the order of their ids: its trace proves itself (`rules.recompute`); its schedule, which
    is never edited, gives the same trace again; and what the lines come to is what stands on every pair of accounts.

    Reads in batches, so memory does not grow with the payments; names at most `NAMED_MAX` differences.
    """
    proof = _Proof()
    async with read() as scope:
        total = (await scope.one(_COUNT, {"platform": scope.platform})).payments
    after = UUID(int=0)
    while True:
        async with read() as scope:
            rows = await scope.rows(_PAYMENTS, {"platform": scope.platform, "after": after, "limit": BATCH_MAX})
            if not rows:
                break
            booked = await _booked(scope, [row.id for row in rows])
            schedules = await _schedules(scope, rows)
        for row in rows:
            _prove(proof, row, booked.get(row.id, _Booked()), schedules)
        after = rows[-1].id
        progress(proof.payments, total)
    told = f"{proof.steps:,} steps, {proof.postings:,} postings, {proof.replayed:,} sales split again"
    if not proof.differing:
        return [holds("every cent explained", f"{proof.payments:,} payments", told)]
    subject = f"{proof.payments:,} payments"
    summary = broken("every cent explained", subject, expected=told, found=f"{proof.differing:,} differences")
    return [summary, *proof.checks]


async def _booked(scope: Scope, ids: Sequence[UUID]) -> dict[UUID, _Booked]:
    found: dict[UUID, _Booked] = {}
    values = {"platform": scope.platform, "ids": list(ids), "kinds": list(_KINDS)}
    for row in await scope.rows(_BOOKED, values):
        one = found.setdefault(row.source_id, _Booked())
        if row.is_corrected:
            one.corrected.add(row.kind)
            continue
        leg = Leg(row.kind, row.debit, row.credit)
        one.amounts[leg] = one.amounts.get(leg, 0) + row.amount
        one.postings += 1
    return found


async def _schedules(scope: Scope, rows: Iterable[Row[Any]]) -> dict[str, Schedule]:
    """The schedules that the traces name, by id; one that is not there is missing."""
    ids = {row.trace.get("schedule", {}).get("id") for row in rows} - {None}
    found: dict[str, Schedule] = {}
    for id in ids:
        try:
            found[id] = fee_schedule.schedule_of(await fee_schedule.load(scope, parse_id("fee schedule", id)))
        except NotFound:
            continue
    return found


def _prove(proof: _Proof, row: Row[Any], booked: _Booked, schedules: Mapping[str, Schedule]) -> None:
    subject, trace = public_id("payment", row.id), row.trace
    proof.payments += 1
    findings = recompute(trace)
    for finding in findings:
        name = f"{finding.subject}, {finding.name} ({finding.flaw.value.lower()})"
        proof.broken(name, subject, expected=finding.recomputed, found=finding.stored)
    if findings:
        return
    proof.steps += sum(len(line["explanation"]) for line in trace["lines"])
    if trace["trace_version"] != 1:
        _split_again(proof, subject, trace, schedules)
    if row.booked_at is not None:
        _compare(proof, subject, _expected(row, booked), booked, row.currency)


def _split_again(proof: _Proof, subject: str, trace: Mapping[str, Any], schedules: Mapping[str, Schedule]) -> None:
    told = trace["schedule"]
    schedule = schedules.get(told["id"])
    if schedule is None or schedule.version != told["version"]:
        found = "none" if schedule is None else f"version {schedule.version}"
        proof.broken("fee schedule of payment", subject, expected=f"{told['id']}@{told['version']}", found=found)
        return
    try:
        again = split_again(trace, schedule).to_trace()
    except Refusal as refused:
        proof.broken("sale split again", subject, expected="the same trace", found=refused.message)
        return
    proof.replayed += 1
    if again != trace:
        proof.broken("sale split again", subject, expected="the same trace", found=_first_difference(trace, again))


def _first_difference(stored: Any, again: Any, place: str = "") -> str:
    """Where two traces begin to differ."""
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in sorted(stored.keys() | again.keys()):
            if stored.get(key) != again.get(key):
                return _first_difference(stored.get(key), again.get(key), f"{place}.{key}".lstrip("."))
    if isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        for index, (one, other) in enumerate(zip(stored, again, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{place}[{index}]")
    return f"{place}: {str(stored)[:60]} stored, {str(again)[:60]} now"


def _expected(row: Row[Any], booked: _Booked) -> dict[Leg, int]:
    """What the sale's entries must hold; of a release, where it is in the sale's own currency."""
    parts = parts_of_sale(row.trace, tax_country=row.tax_country)
    expected = {leg: sum(part.amount for part in found) for leg, found in parts.items()}
    if not row.released or row.settlement_currency not in (None, row.currency):
        return expected
    for share in row.trace["sellers"]:
        seller = SellerId(parse_id("seller", share["seller_id"]))
        if str(seller) not in row.released:
            continue
        pending, payable = (
            chart.seller_pending(seller, row.currency).code,
            chart.seller_payable(seller, row.currency).code,
        )
        # What the provider's fee came to beyond its estimate was booked when it was known.
        fees = [(leg, amount) for leg, amount in booked.amounts.items() if leg.kind == "processor-fee"]
        more = sum(amount for leg, amount in fees if leg.credit != pending and leg.debit == pending)
        less = sum(amount for leg, amount in fees if leg.credit == pending)
        earned = share["seller_net"] - more + less
        released, returned = row.released[str(seller)]
        # What was given back before the release was not released.
        if due := released if earned - returned <= released <= earned else earned:
            expected[Leg("release", pending, payable)] = due
    return expected


def _compare(proof: _Proof, subject: str, expected: Mapping[Leg, int], booked: _Booked, currency: str) -> None:
    proof.postings += booked.postings
    legs = expected.keys() | {leg for leg in booked.amounts if leg.kind not in ("processor-fee", "release")}
    for leg in sorted(legs, key=lambda leg: (leg.kind, leg.debit, leg.credit)):
        if leg.kind in booked.corrected:
            continue
        due, found = expected.get(leg, 0), booked.amounts.get(leg, 0)
        if due != found:
            name = f"{leg.kind}: debit {leg.debit}, credit {leg.credit}"
            amounts = [f"{decimal_text(amount, currency)} {currency}" for amount in (due, found)]
            proof.broken(name, subject, expected=amounts[0], found=amounts[1])
