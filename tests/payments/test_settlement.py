"""A sale in a currency that the provider does not settle: the books in both, transfers and statements in the other."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from tests.market.machine import NO_FEE, Machine
from tests.market.market import Market

from marketbill.events import inbox
from marketbill.health.examination import examine
from marketbill.ids import PaymentId
from marketbill.payments.settle import ChargeFact, ChargeMismatch, settle
from marketbill.platforms import platform as platforms
from marketbill.provider.objects import BalanceTransaction
from marketbill.rates import store
from marketbill.rates.ecb import Fixing
from marketbill.reconciliation.check import Verdict
from marketbill.reconciliation.verify import verify
from marketbill.statements.statement import Section, statement


async def euro_platform(machine: Machine, **changes: object) -> Market:
    """A platform in euros whose provider turns every other currency into euros: a dollar into 0.90."""
    market = await machine.platform(connected=False, **changes)  # type: ignore[arg-type]
    await machine.control("exchange_rates", {"base": "usd", "rates": {"eur": "0.9"}})
    await market.connect(settle="default")
    return market


async def promise(market: Market, policy: str, markup: str = "0") -> None:
    await platforms.change(
        market.machine.services,
        market.operator,
        idempotency_key=market.machine.key(),
        changes={"seller_rate": policy, "seller_rate_markup": Decimal(markup)},
    )


async def fix(market: Market, rate: str, *, days_ago: int = 0) -> date:
    """What a euro is worth in dollars, as the European Central Bank fixed it."""
    async with market.machine.services.db.system() as scope:
        on = scope.now.date() - timedelta(days=days_ago)
        await store.keep(scope, [Fixing(on, "USD", Decimal(rate))])
    return on


async def proven(market: Market) -> None:
    """The books prove themselves, the business and the provider agree, and no position is open."""
    await market.prove()
    checks = await verify(market.machine.services, market.platform, explained=lambda done, total: None)
    assert [check for check in checks if check.verdict is Verdict.BROKEN] == []
    books = await market.books()
    assert {code: amount for code, amount in books.items() if code[0] == "equity:fx-position" and amount} == {}


async def in_dollars(market: Market, price: int, *more: int) -> PaymentId:
    names = list(market.sellers)
    lines = [market.line(name, amount, currency="USD") for name, amount in zip(names, (price, *more), strict=True)]
    return await market.sale(*lines, reference="order-1")


async def test_the_worked_example_posting_by_posting(machine: Machine) -> None:
    market = await euro_platform(machine, fee_rule=NO_FEE)
    await market.seller("S")

    payment = await in_dollars(market, 11000)

    journal = dict(await market.journal(payment))
    assert journal["charge"] == [("psp:pending", "seller:S:pending", 11000)]
    assert journal["fx-conversion"] == [
        ("psp:pending", "equity:fx-position", 9900),
        ("equity:fx-position", "psp:pending", 11000),
        ("seller:S:pending", "equity:fx-position", 11000),
        ("equity:fx-position", "seller:S:pending", 9900),
    ]
    row = await market.payment(payment)
    assert (row.currency, row.gross, row.settlement_currency, row.settlement_gross) == ("USD", 11000, "EUR", 9900)
    assert row.settlement_rate["numerator"] * 10 == row.settlement_rate["denominator"] * 9
    assert row.settlement_rate["source"] == f"stripe:{row.provider_balance_transaction}"
    await proven(market)


async def test_dollars_are_sold_and_euros_transferred_paid_out_and_proven(machine: Machine) -> None:
    """110.00 USD: fee 10 % + 0.30 = 11.30, tax on it 2.37 (21 % of A's and B's parts), sellers 96.33."""
    market = await euro_platform(machine)
    await market.seller("A")
    await market.seller("B")

    payment = await in_dollars(market, 6000, 5000)
    await machine.advance(days=30)

    row = await market.payment(payment)
    assert (row.fee, row.fee_tax, row.seller_net) == (1130, 237, 9633)
    transfers = await market.transfers(payment)
    # 60.00 - 6.16 - 1.29 = 52.55 USD are 47.295 EUR; 50.00 - 5.14 - 1.08 = 43.78 are 39.402; the fee is 10.17, the
    # tax 2.133. Floors leave one cent, and the largest remainder is A's.
    assert {(one.currency, one.amount, one.status) for one in transfers} == {
        ("EUR", 4730, "SENT"),
        ("EUR", 3940, "SENT"),
    }
    books = await market.books()
    assert books["revenue:platform-fee", "USD"] == 0
    assert books["revenue:platform-fee", "EUR"] == 1017
    assert books["tax:output-vat:NL", "USD"] == 0
    assert books["tax:output-vat:NL", "EUR"] == 213
    assert books["custody:A:available", "EUR"] == 4730
    assert books["psp:pending", "USD"] == books["psp:pending", "EUR"] == 0
    assert books["psp:available", "EUR"] == 9900 - row.provider_fee - 8670
    assert ("psp:available", "USD") not in books
    await proven(market)

    await market.payout("A")
    await machine.advance(days=5)
    assert (await market.books())["custody:A:available", "EUR"] == 0
    await proven(market)


async def test_a_statement_in_each_currency_tells_the_exchange(machine: Machine) -> None:
    market = await euro_platform(machine, fee_rule=NO_FEE)
    await promise(market, "MARKUP", "1")
    await market.seller("S")
    await in_dollars(market, 11000)

    async with machine.services.db.read(market.platform) as scope:
        drawn = {
            currency: await statement(
                scope,
                seller=market.sellers["S"],
                currency=currency,
                start=datetime(2020, 1, 1, tzinfo=UTC),
                end=scope.now + timedelta(days=1),
            )
            for currency in ("USD", "EUR")
        }
    assert [(line.section, line.amount) for line in drawn["USD"].lines] == [
        (Section.SALES, 11000),
        (Section.EXCHANGE, -11000),
    ]
    [line] = drawn["EUR"].lines
    assert (line.section, line.amount) == (Section.EXCHANGE, 9801)
    assert line.description == "Settled in EUR order-1: 1 USD = 0.9 EUR, less 1 %"
    assert drawn["USD"].closing.total == 0
    assert drawn["EUR"].closing.total == 9801
    assert drawn["USD"].agrees
    assert drawn["EUR"].agrees


async def test_a_markup_is_revenue_of_its_own(machine: Machine) -> None:
    market = await euro_platform(machine, fee_rule=NO_FEE)
    await promise(market, "MARKUP", "1")
    await market.seller("S")

    payment = await in_dollars(market, 11000)
    await machine.advance(days=30)

    assert [one.amount for one in await market.transfers(payment)] == [9801]
    assert (await market.books())["revenue:fx-margin", "EUR"] == 99
    row = await market.payment(payment)
    assert (row.settlement_rate["markup"], row.settlement_rate["margin"]) == ("1", 99)
    await proven(market)


async def test_a_promised_middle_rate_costs_the_platform_the_difference(machine: Machine) -> None:
    market = await euro_platform(machine)
    await promise(market, "MID")
    on = await fix(market, "1.0888", days_ago=2)
    await market.seller("S")

    payment = await in_dollars(market, 11000)
    await machine.advance(days=30)

    # The fee is 11.30 and 2.37; 96.33 USD at 1 / 1.0888 are 88.4735 EUR, where the provider's rate makes 86.70.
    assert [one.amount for one in await market.transfers(payment)] == [8847]
    assert (await market.books())["expenses:fx-loss", "EUR"] == 8847 - 8670
    row = await market.payment(payment)
    reference = row.settlement_rate["reference"]
    assert (reference["source"], reference["at"][:10]) == ("inverse of ecb", f"{on}")
    await proven(market)


async def test_a_promise_above_what_was_settled_is_kept_from_the_platforms_own_money(machine: Machine) -> None:
    """C gets 101.02 EUR of a charge that made 99.00: its transfer is not of the charge, and waits for the float."""
    market = await euro_platform(machine, fee_rule=NO_FEE)
    await promise(market, "MID")
    await fix(market, "1.0888502", days_ago=1)
    await market.seller("C")

    payment = await in_dollars(market, 11000)
    await machine.advance(days=9)
    [waiting] = await market.transfers(payment)
    assert (waiting.amount, waiting.status, waiting.source_charge) == (10102, "PENDING", "")

    # D cannot receive yet: his sale's money stays in the platform's balance.
    await market.seller("D", onboard=None)
    await market.sale(market.line("D", 5000))
    await machine.advance(days=30)
    [sent] = await market.transfers(payment)
    assert sent.status == "SENT"
    books = await market.books()
    assert books["expenses:fx-loss", "EUR"] == 202
    assert books["custody:C:available", "EUR"] == 10102
    await proven(market)


async def test_without_the_promised_rate_nothing_is_settled_until_there_is_one(machine: Machine) -> None:
    market = await euro_platform(machine)
    await promise(market, "MID")
    await fix(market, "1.0888", days_ago=9)
    await market.seller("S")

    payment = await in_dollars(market, 11000)

    row = await market.payment(payment)
    assert row.settled_at is None
    assert ("seller:S:pending", "EUR") not in await market.books()
    await machine.advance(seconds=7200)
    findings = await examine(machine.services.db)
    assert {"payment SUCCEEDED 110.00 USD", "event charge.updated"} <= {finding.what for finding in findings}
    async with machine.services.db.read(market.platform) as scope:
        [event] = await inbox.troubled(scope)
    assert "more than 5 days before" in event.error

    await fix(market, "1.0900", days_ago=1)
    await machine.advance(days=1)
    await machine.advance(days=30)
    assert (await market.payment(payment)).settled_at is not None
    # 96.33 USD at 1 / 1.09 are 88.3761 EUR.
    assert [one.amount for one in await market.transfers(payment)] == [8838]
    await proven(market)


@pytest.mark.parametrize(
    ("currency", "rate", "price", "settled"),
    [("JPY", "0.0061", 11005, 6713), ("KWD", "3.05", 11000, 3355), ("ISK", "0.0069", 12550, 8660)],
)
async def test_currencies_of_every_exponent_are_settled(
    machine: Machine, currency: str, rate: str, price: int, settled: int
) -> None:
    market = await euro_platform(machine)
    await machine.control("exchange_rates", {"base": currency.lower(), "rates": {"eur": rate}})
    await market.seller("S")

    payment = await market.sale(market.line("S", price, currency=currency))
    await machine.advance(days=30)

    row = await market.payment(payment)
    assert (row.settlement_currency, row.settlement_gross) == ("EUR", settled)
    books = await market.books()
    assert books["seller:S:pending", currency] == books["psp:pending", currency] == 0
    [transfer] = await market.transfers(payment)
    assert (transfer.currency, transfer.status) == ("EUR", "SENT")
    assert transfer.amount + books["revenue:platform-fee", "EUR"] + books["tax:output-vat:NL", "EUR"] == settled
    await proven(market)


@pytest.mark.parametrize(
    ("amount", "currency", "rate"),
    [
        (10999, "USD", None),
        (9900, "EUR", None),
        (9900, "EUR", "0.91"),
        (990, "EUR", "0.9"),
        (12222, "EUR", "0.9"),
        (0, "EUR", "0.9"),
    ],
)
async def test_an_amount_that_no_rate_explains_is_booked_by_nobody(
    machine: Machine, amount: int, currency: str, rate: str | None
) -> None:
    market = await euro_platform(machine)
    await market.seller("S")
    machine.endpoint.holding = True
    paid = await market.pay(market.draft(market.line("S", 11000, currency="USD")))
    now = datetime.now(UTC)
    told = BalanceTransaction(
        id="txn_1",
        type="charge",
        amount=amount,
        fee=0,
        net=amount,
        currency=currency,
        status="pending",
        available_on=now,
        source="ch_1",
        exchange_rate=None if rate is None else Decimal(rate),
    )
    fact = ChargeFact(PaymentId(paid.payment.id), "pi_1", "ch_1", 11000, "USD", now, told)

    with pytest.raises(ChargeMismatch):
        async with machine.services.db.write(market.platform) as scope:
            await settle(scope, [fact])

    assert await market.books() == {}


async def test_euros_and_dollars_stand_side_by_side(machine: Machine) -> None:
    market = await euro_platform(machine)
    await market.seller("S")
    await market.sale(market.line("S", 5000))
    await in_dollars(market, 5000)
    await machine.advance(days=30)

    # 43.59 EUR, and of 43.59 USD 39.231.
    assert sorted(one.amount for one in await market.transfers()) == [3923, 4359]
    await proven(market)
