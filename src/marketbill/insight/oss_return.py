"""The platform's own return of the One Stop Shop, and the list of its reverse-charge fees, from the tax lines.

The return holds what the platform owes as deemed supplier, and for services of its own to consumers, where the decision
on the line says that it is declared there. What sellers owe is in their own returns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Row, text

from marketbill.db import ReadScope
from marketbill.errors import InvalidInput
from marketbill.ids import SellerId
from marketbill.rates.store import DAYS_MAX, rates_on
from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.fx import ExchangeRate, RateMissing, RateTooOld
from marketbill.rules.tax.oss import EURO, OssReturn, OssSales, Quarter, SupplyType, oss_return

#: How a decision names the scheme.
SCHEME = "OSS"


class RateNotPublished(InvalidInput):
    """A quarter in a foreign currency whose rate the European Central Bank has not published yet, or was not read."""

    def __init__(self, currency: str, quarter: Quarter) -> None:
        super().__init__(
            f"There is no exchange rate from {currency} to EUR of {quarter.last_day}, the last day of {quarter}, or of"
            " the next day of publication: it is published after that day (`marketbill fx refresh` reads it).",
            path=("quarter",),
            constraint=f"a rate of {quarter.last_day} or the next day of publication",
        )
        self.currency = currency
        self.quarter = quarter


@dataclass(frozen=True, slots=True)
class SalesListRow:
    """The fees that one seller accounts for himself (reverse charge), without tax, in minor units of `currency`.

    `vat_number` is what he has shown, with the prefix of its country. Source: Directive 2006/112/EC, art. 262 to 264.
    """

    seller: SellerId
    country: str
    vat_number: str
    currency: str
    net: int
    lines: int


_SALES = text(
    """
    select jurisdiction, supply, ship_from, rate, currency, extract(year from tax_point at time zone 'UTC') as year,
           extract(quarter from tax_point at time zone 'UTC') as number, sum(net) as base, sum(tax) as tax
    from tax_line
    where platform_id = :platform and effective_at >= :start and effective_at < :end and scheme = :scheme
      and liable = 'PLATFORM' and kind in ('SALE', 'BUYER_FEE')
    group by 1, 2, 3, 4, 5, 6, 7
    """
)
_SALES_LIST = text(
    """
    select l.seller_id, l.seller_country, coalesce(s.vat_number, '') as vat_number, l.currency, sum(l.net) as net,
           count(*) as lines
    from tax_line l
    left join seller s on s.platform_id = :platform and s.id = l.seller_id
    where l.platform_id = :platform and l.effective_at >= :start and l.effective_at < :end
      and l.kind = 'FEE' and l.liable = 'BUYER' and l.seller_country = any(:members)
    group by 1, 2, 3, 4
    order by 2, 3, 1, 4
    """
)


async def quarterly_return(scope: ReadScope, quarter: Quarter) -> OssReturn:
    """The return of a quarter. Raises RateNotPublished where a foreign currency cannot be converted yet."""
    rows = await scope.rows(
        _SALES, {"platform": scope.platform, "start": quarter.start, "end": quarter.end, "scheme": SCHEME}
    )
    sales = [_sales(row) for row in rows]
    rates = {of: await _rates(scope, of, sales) for of in {sale.quarter for sale in sales}}
    return oss_return(quarter, sales, rates)


async def sales_list(scope: ReadScope, quarter: Quarter) -> list[SalesListRow]:
    """The rows of the EC sales list (recapitulative statement) of a quarter: services to sellers by VAT number."""
    values = {"platform": scope.platform, "start": quarter.start, "end": quarter.end, "members": sorted(EU_MEMBERS)}
    return [
        SalesListRow(
            seller=SellerId(row.seller_id),
            country=row.seller_country,
            vat_number=_prefixed(row.seller_country, row.vat_number),
            currency=row.currency,
            net=int(row.net),
            lines=row.lines,
        )
        for row in await scope.rows(_SALES_LIST, values)
    ]


def _sales(row: Row[tuple[object, ...]]) -> OssSales:
    is_goods = row.supply == "GOODS"
    return OssSales(
        # A territory with rates of its own (Madeira, `PT-30`) is declared with its member state.
        consumed_in=row.jurisdiction[:2],
        supply=SupplyType.GOODS if is_goods else SupplyType.SERVICES,
        sent_from=row.ship_from if is_goods else "",
        rate=row.rate.normalize(),
        quarter=Quarter(int(row.year), int(row.number)),
        currency=row.currency,
        base=int(row.base),
        tax=int(row.tax),
    )


async def _rates(scope: ReadScope, quarter: Quarter, sales: Iterable[OssSales]) -> dict[str, ExchangeRate]:
    """The rates of the quarter's last day or, where none was published on it, of the next day of publication."""
    currencies = {sale.currency for sale in sales if sale.quarter == quarter} - {EURO}
    return {currency: await _rate(scope, quarter, currency) for currency in sorted(currencies)}


async def _rate(scope: ReadScope, quarter: Quarter, currency: str) -> ExchangeRate:
    for days in range(DAYS_MAX + 1):
        try:
            on = quarter.last_day + timedelta(days=days)
            return (await rates_on(scope, on, [(currency, EURO)], days_max=0)).rate(currency, EURO)
        except (RateTooOld, RateMissing):
            continue
    raise RateNotPublished(currency, quarter)


def _prefixed(country: str, number: str) -> str:
    """A VAT number with its prefix, which may be left out when it is told; Greece's is EL."""
    prefix = "EL" if country == "GR" else country
    compact = "".join(character for character in number.upper() if character.isalnum())
    return compact if not compact or compact.startswith(prefix) else prefix + compact
