"""Release share by share: rules by seller and category, events of one seller, holds by reason and their end."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Row, select
from tests.market.machine import Machine
from tests.market.market import Market

from marketbill.errors import InvalidInput, NotFound, SellerNotAllowed
from marketbill.health.examination import examine
from marketbill.health.waits import Kind
from marketbill.ids import PaymentId, public_id
from marketbill.ledger.journal import Source
from marketbill.payments import delivery, holds, release_rules, risk
from marketbill.payments.holds import HoldKind, HoldScope
from marketbill.payments.model import payment_share, seller_hold
from marketbill.rules.release import HoldFrom, ReleaseRule, ReleaseTerms, ReserveRule, RiskRule, RiskSign


async def rules(market: Market, terms: ReleaseTerms, key: str = "rules") -> Row[Any]:
    return await release_rules.publish(market.machine.services, market.operator, idempotency_key=key, terms=terms)


async def shares(market: Market, payment: PaymentId) -> dict[str, Row[Any]]:
    names = {id: name for name, id in market.sellers.items()}
    statement = select(payment_share).where(payment_share.c.payment_id == payment)
    async with market.machine.services.db.read(market.platform) as scope:
        return {names[row.seller_id]: row for row in await scope.rows(statement)}


async def hold(market: Market, seller: str, payment: PaymentId | None = None, **how: Any) -> Row[Any]:
    async with market.machine.services.db.write(market.platform) as scope:
        until = how.pop("days", None)
        return await holds.place(
            scope,
            market.sellers[seller],
            payment,
            how.pop("kind", HoldKind.MANUAL),
            how.pop("reason", "Papers are missing."),
            scope.now + timedelta(days=until) if until else None,
            "key_1",
            how.pop("source", None),
            **how,
        )


async def lift(market: Market, which: Any) -> int:
    async with market.machine.services.db.write(market.platform) as scope:
        lifted = len(await holds.lift(scope, which, "key_2", "The papers came."))
    await market.machine.quiet()
    return lifted


async def released(market: Market) -> dict[str, int]:
    """What each seller was released, by the entries, in their order."""
    found: dict[str, int] = {}
    for kind, postings in await market.journal():
        for debit, _, amount in postings if kind == "release" else ():
            found[debit.split(":")[1]] = found.get(debit.split(":")[1], 0) + amount
    return found


async def two_sellers(machine: Machine) -> Market:
    market = await machine.platform(hold_days=7)
    await market.seller("A")
    await market.seller("B")
    return market


async def test_each_share_goes_by_the_rule_of_its_seller_and_category(machine: Machine) -> None:
    market = await two_sellers(machine)
    await rules(
        market,
        ReleaseTerms(
            (
                ReleaseRule(HoldFrom.DELIVERY, 2, categories=frozenset({"furniture"})),
                ReleaseRule(HoldFrom.APPROVAL, 0, categories=frozenset({"tickets"})),
            )
        ),
    )
    await market.seller("C")
    payment = await market.sale(
        market.line("A", 5000),
        market.line("B", 4000, category="furniture"),
        market.line("C", 3000, category="tickets"),
    )
    found = await shares(market, payment)
    assert {name: (row.hold_from, row.hold_days) for name, row in found.items()} == {
        "A": ("CAPTURE", 7),
        "B": ("DELIVERY", 2),
        "C": ("APPROVAL", 0),
    }
    await machine.advance(days=9)
    assert await released(market) == {"A": found["A"].seller_net}
    assert (await market.payment(payment)).released_at is None

    id, services = public_id("payment", payment), machine.services
    with pytest.raises(NotFound):
        await delivery.deliver(
            services, market.operator, idempotency_key="x", id=id, seller_id=public_id("seller", uuid4())
        )
    await delivery.deliver(services, market.operator, idempotency_key="d", id=id, seller_id=market.seller_id("B"))
    await delivery.approve(services, market.operator, idempotency_key="a", id=id)
    await machine.quiet()
    assert await released(market) == {name: found[name].seller_net for name in "AC"}
    await machine.advance(days=2.1)
    assert await released(market) == {name: found[name].seller_net for name in "ABC"}
    row = await market.payment(payment)
    assert row.released_at is not None
    assert row.delivered_at is not None
    assert {one.amount for one in await market.transfers(payment)} == {row.seller_net for row in found.values()}
    await market.prove()


async def test_changed_rules_hold_for_new_sales_only(machine: Machine) -> None:
    market = await two_sellers(machine)
    old = await market.sale(market.line("A", 5000))
    first = await rules(market, ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, 30),)))
    again = await rules(market, ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, 30),)))
    assert (again.id, again.version) == (first.id, 1)
    new = await market.sale(market.line("A", 5000))
    await rules(market, ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, 1),)), key="more")
    assert [(await shares(market, id))["A"].hold_days for id in (old, new)] == [7, 30]
    assert [(await shares(market, id))["A"].release_rule_id for id in (old, new)] == [None, first.id]


@pytest.mark.parametrize(
    ("terms", "path"),
    [
        (ReleaseTerms(reserves=(ReserveRule(Decimal("100.01"), 90),)), ("reserves", "0", "percent")),
        (ReleaseTerms(reserves=(ReserveRule(Decimal(0), 90),)), ("reserves", "0", "percent")),
        (ReleaseTerms(reserves=(ReserveRule(Decimal(10), 91),)), ("reserves", "0", "days")),
        (ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, 91),)), ("releases", "0", "days")),
        (ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, -1),)), ("releases", "0", "days")),
        (
            ReleaseTerms((ReleaseRule(HoldFrom.CAPTURE, 1, categories=frozenset({""})),)),
            ("releases", "0", "categories"),
        ),
        (ReleaseTerms(risks=(RiskRule(RiskSign.DISPUTE_RATE, 30, 7, Decimal(0)),)), ("risks", "0", "threshold")),
    ],
)
async def test_rules_that_are_none_are_refused_by_name(market: Market, terms: ReleaseTerms, path: tuple[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        await rules(market, terms)
    assert refused.value.path == path
    assert refused.value.constraint


async def test_a_hold_keeps_what_would_be_released_and_its_end_lets_it_go(machine: Machine) -> None:
    market = await two_sellers(machine)
    payment = await market.sale(market.line("A", 5000), market.line("B", 4000))
    net = {name: row.seller_net for name, row in (await shares(market, payment)).items()}
    dispute = Source("dispute", uuid4())
    placed = await hold(market, "A", payment, kind=HoldKind.DISPUTE, reason="A dispute is open.", source=dispute)
    assert (await hold(market, "A", payment, kind=HoldKind.DISPUTE, source=dispute)).id == placed.id
    everything = await hold(market, "A", days=20)

    await machine.advance(days=9)
    assert await released(market) == {"B": net["B"]}
    assert (await shares(market, payment))["A"].held_at is not None
    assert (await market.payment(payment)).release_on is None

    # One of two holds has gone: the other still keeps it.
    assert await lift(market, dispute) == 1
    assert await lift(market, dispute) == 0
    assert await released(market) == {"B": net["B"]}
    await machine.advance(days=11.5)
    assert await released(market) == net
    async with machine.services.db.read(market.platform) as scope:
        [ended] = await scope.rows(select(seller_hold).where(seller_hold.c.id == everything.id))
    assert (ended.lifted_by, ended.lift_reason) == ("marketbill", "Its end has come.")
    assert ended.resumed_at is not None
    # The shares that were released apart are entries of their own.
    assert [kind for kind, _ in await market.journal() if kind == "release"] == ["release", "release"]
    await market.prove()


async def test_a_hold_of_another_payment_or_seller_keeps_nothing(machine: Machine) -> None:
    market = await two_sellers(machine)
    first = await market.sale(market.line("A", 5000))
    second = await market.sale(market.line("A", 3000))
    await hold(market, "A", second)
    await hold(market, "B")
    await machine.advance(days=9)
    assert await released(market) == {"A": (await shares(market, first))["A"].seller_net}


async def test_payouts_that_are_held_are_refused_with_the_reason(market: Market) -> None:
    await market.seller("A")
    await hold(market, "A", on=HoldScope.PAYOUT, reason="Your bank account is being checked.")
    async with market.machine.services.db.read(market.platform) as scope:
        with pytest.raises(SellerNotAllowed, match="bank account is being checked") as refused:
            await holds.gate_to_pay_out(scope, market.sellers["A"])
    assert refused.value.gate == "PAYOUT"


async def test_a_hold_has_a_reason_and_an_end_to_come(market: Market) -> None:
    await market.seller("A")
    with pytest.raises(InvalidInput) as refused:
        await hold(market, "A", reason="  ")
    assert refused.value.path == ("reason",)
    with pytest.raises(InvalidInput) as refused:
        await hold(market, "A", days=-1)
    assert refused.value.path == ("until",)


async def test_a_sign_of_risk_holds_releases_with_a_notice_and_once(machine: Machine) -> None:
    market = await two_sellers(machine)
    await market.sale(market.line("A", 5000))
    await market.sale(market.line("A", 5000))
    await market.sale(market.line("B", 5000))
    await rules(market, ReleaseTerms(risks=(RiskRule(RiskSign.NEW_SELLER, 30, minimum=2),)))
    for _ in range(2):
        await risk.assess_risk(machine.services, market.platform)
    async with machine.services.db.read(market.platform) as scope:
        [placed] = await holds.open_holds(scope, market.sellers.values())
    assert placed.seller_id == market.sellers["A"]
    assert placed.reason.startswith("Your account is 0 days old; releases are held during the first 30 days.")
    assert (placed.placed_by, placed.facts["sign"], placed.facts["sales"]) == ("marketbill", "NEW_SELLER", 2)
    await machine.advance(days=9)
    assert set(await released(market)) == {"B"}
    # What a person lifted is not placed again for what he has seen.
    await lift(market, placed.id)
    await risk.assess_risk(machine.services, market.platform)
    assert set(await released(market)) == {"A", "B"}
    await market.prove()


async def test_a_spike_is_measured_against_the_days_before(machine: Machine) -> None:
    market = await two_sellers(machine)
    await rules(market, ReleaseTerms(risks=(RiskRule(RiskSign.VOLUME_SPIKE, 7, 10, Decimal(3)),)))
    # 90.00 in ninety days are 7.00 in seven: three times that are 21.00.
    await market.sale(market.line("A", 9000))
    await market.sale(market.line("B", 9000))
    await machine.advance(days=20)
    await market.sale(market.line("A", 2100))
    await market.sale(market.line("B", 2099))
    await risk.assess_risk(machine.services, market.platform)
    async with machine.services.db.read(market.platform) as scope:
        [placed] = await holds.open_holds(scope, market.sellers.values())
    assert placed.seller_id == market.sellers["A"]
    assert (placed.facts["gross"], placed.facts["gross_before"]) == (2100, 9000)
    assert placed.until - placed.placed_at == timedelta(days=10)


async def test_what_is_held_for_nearly_as_long_as_the_law_lets_it_raises_an_alarm(machine: Machine) -> None:
    market = await two_sellers(machine)
    await market.seller("T", country="TH", onboard=None)
    dutch = await market.sale(market.line("A", 5000))
    thai = await market.sale(market.line("T", 5000))
    rows = [await market.payment(id) for id in (dutch, thai)]
    assert [row.release_by - row.succeeded_at for row in rows] == [timedelta(days=90), timedelta(days=10)]
    await hold(market, "A")

    async def late() -> set[str | None]:
        findings = await examine(machine.services.db)
        return {one.id for one in findings if one.kind == Kind.PAYMENT_HELD_LONG}

    await machine.advance(days=82.9)
    assert await late() == set()
    await machine.advance(days=0.2)
    assert await late() == {public_id("payment", dutch)}


async def test_a_payout_is_refused_while_payouts_are_held(market: Market) -> None:
    await market.seller("A")
    await market.sale(market.line("A", 5000), card="pm_card_bypassPending")
    placed = await hold(market, "A", on=HoldScope.PAYOUT)
    with pytest.raises(SellerNotAllowed, match=r"Papers are missing\."):
        await market.payout("A", 1000)
    await lift(market, placed.id)
    assert (await market.payout("A", 1000)).amount == 1000
