"""The platform's return of the One Stop Shop and its list of reverse-charge fees, read from the tax lines."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.insight.taxed_sale import DEEMED, DOMESTIC, TaxedSale, book
from tests.market.market import GERMAN_VAT, Market

from marketbill.db import Database
from marketbill.ids import PlatformId
from marketbill.insight.oss_return import RateNotPublished, quarterly_return, sales_list
from marketbill.ledger.operations import period
from marketbill.rates import store
from marketbill.rates.ecb import Fixing
from marketbill.rules.tax.oss import Quarter, SupplyType

#: Its last day, 2017-12-31, was a Sunday, and the day after it is no working day of the bank's either.
QUARTER = Quarter(2017, 4)
DURING = datetime(2017, 11, 20, tzinfo=UTC)


async def publish(db: Database, *fixings: tuple[str, str, str]) -> None:
    async with db.system() as scope:
        await store.keep(scope, [Fixing(date.fromisoformat(on), code, Decimal(rate)) for on, code, rate in fixings])


async def test_a_quarter_in_two_currencies(db: Database, platform: PlatformId) -> None:
    """The rate is that of the next day of publication, 1.2065 dollars on 2018-01-02, and not of the last one before.

    100.00 USD / 1.2065 = 82.8843..., 19.00 / 1.2065 = 15.7480...
    """
    await publish(db, ("2017-12-29", "USD", "1.1993"), ("2018-01-02", "USD", "1.2065"), ("2018-01-03", "USD", "1.2023"))
    service = DEEMED | {"evidence": {"scheme": "OSS", "kind": "E_SERVICE"}, "net": 1_000, "tax": 190}
    await book(
        db,
        platform,
        (TaxedSale(lines=[DEEMED, service]), DURING),
        (TaxedSale(currency="USD"), DURING),
        (TaxedSale(lines=[DOMESTIC]), DURING),
        (TaxedSale(lines=[DEEMED | {"evidence": {"scheme": "IOSS", "kind": "GOODS"}}]), DURING),
        (TaxedSale(), QUARTER.end),
    )
    async with db.read(platform) as scope:
        told = await quarterly_return(scope, QUARTER)
    goods, services = told.lines
    assert (goods.consumed_in, goods.supply, goods.sent_from, goods.rate) == ("DE", SupplyType.GOODS, "NL", Decimal(19))
    assert (goods.base, goods.tax) == (10_000 + 8_288, 1_900 + 1_575)
    euro, dollars = goods.parts
    assert (euro.rate, dollars.base, dollars.tax) == (None, 10_000, 1_900)
    assert dollars.rate is not None
    assert (dollars.rate.at.date(), dollars.rate.fraction) == (date(2018, 1, 2), "2000/2413")
    assert (services.supply, services.sent_from, services.base, services.tax) == (SupplyType.SERVICES, "", 1_000, 190)
    assert (told.payable, told.corrections) == (3_665, ())


async def test_without_its_rate_there_is_no_return(db: Database, platform: PlatformId) -> None:
    """A rate of a day before is no rate for a return; a return in euro needs none."""
    await publish(db, ("2017-12-29", "USD", "1.1993"))
    await book(db, platform, (TaxedSale(), DURING))
    async with db.read(platform) as scope:
        assert (await quarterly_return(scope, QUARTER)).payable == 1_900
    await book(db, platform, (TaxedSale(currency="USD"), DURING))
    async with db.read(platform) as scope:
        with pytest.raises(RateNotPublished, match="from USD to EUR of 2017-12-31, the last day of 2017Q4"):
            await quarterly_return(scope, QUARTER)


async def test_what_is_taken_back_later_corrects_its_own_quarter(db: Database, platform: PlatformId) -> None:
    """A sale of 2017Q3 booked in 2017Q4, as after a closed period, stands as a correction of its quarter."""
    async with db.write(platform) as scope:
        await period.close(scope, until=QUARTER.start, by="a test")
    await book(db, platform, (TaxedSale(), datetime(2017, 9, 30, 23, 59, tzinfo=UTC)), (TaxedSale(), DURING))
    async with db.read(platform) as scope:
        told = await quarterly_return(scope, QUARTER)
        before = await quarterly_return(scope, Quarter(2017, 3))
    [correction] = told.corrections
    assert (correction.quarter, correction.consumed_in, correction.tax) == (Quarter(2017, 3), "DE", 1_900)
    assert (told.tax, told.payable, before.lines) == (1_900, 3_800, ())


async def test_the_list_of_reverse_charge_fees(market: Market) -> None:
    await market.seller("G", country="DE", vat_number=GERMAN_VAT.removeprefix("DE"), onboard=None)
    await market.seller("H", country="GR", vat_number="EL 094259216", onboard=None)
    reverse: Any = (1_000, 0, "0", "fee-vat:eu-reverse-charge", "")
    german = TaxedSale(fee=reverse, seller_country="DE", seller=market.sellers["G"])
    greek = TaxedSale(fee=reverse, seller_country="GR", seller=market.sellers["H"])
    db = market.machine.services.db
    await book(db, market.platform, (german, DURING), (greek, DURING), (TaxedSale(), DURING), (german.again(), DURING))
    async with db.read(market.platform) as scope:
        rows = await sales_list(scope, QUARTER)
    assert [(row.vat_number, row.country, row.currency, row.net, row.lines) for row in rows] == [
        ("DE136695976", "DE", "EUR", 2_000, 2),
        ("EL094259216", "GR", "EUR", 1_000, 1),
    ]
