"""The tax lines of a sale: what was decided on each of its lines and fees, kept with the entries that book it.

They come from the payment's own trace, so they say what was computed when the sale was made, whatever rates and rules
have become since. Reports by jurisdiction and period are sums of them, and each amount that the platform owes names the
account on which it is booked: the two are compared to the cent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from marketbill.db import Instant, WriteScope
from marketbill.ids import parse_id
from marketbill.ledger import chart
from marketbill.payments.model import TaxKind
from marketbill.prepared import prepared
from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.fees.schedule import FeeKind, FeePayer
from marketbill.rules.stored_lines import withheld
from marketbill.rules.tax.line_tax import Liable

#: Older traces do not say how the tax of a line was decided; no lines are kept of their payments.
TRACE_VERSION_MIN = 2

_KEEP = prepared(
    text(
        """
        insert into tax_line (platform_id, payment_id, ordinal, kind, line_id, seller_id, seller_country, buyer_country,
                              liable, jurisdiction, category, scheme, supply, ship_from, rate, rule, account, currency,
                              net, tax, effective_at, tax_point, cause_type, cause_id)
        select :platform, told.payment_id, told.ordinal, told.kind, told.line_id, told.seller_id, told.seller_country,
               told.buyer_country, told.liable, told.jurisdiction, told.category, told.scheme, told.supply,
               told.ship_from, told.rate, told.rule, told.account, told.currency, told.net, told.tax,
               greatest(coalesce(cast(:at as timestamptz), told.tax_point), head.closed_until), told.tax_point,
               told.cause_type, told.cause_id
        from jsonb_to_recordset(:lines) as told
          (payment_id uuid, ordinal integer, kind text, line_id text, seller_id uuid, seller_country text,
           buyer_country text, liable text, jurisdiction text, category text, scheme text, supply text, ship_from text,
           rate numeric, rule text, account text, currency text, net bigint, tax bigint, tax_point timestamptz,
           cause_type text, cause_id uuid)
        left join ledger_head head on head.platform_id = :platform
        """
    ).bindparams(bindparam("lines", type_=JSONB), bindparam("at", type_=Instant))
)


@dataclass(frozen=True, slots=True)
class _Sale:
    """A payment's trace, and what every line of it has in common."""

    trace: Mapping[str, Any]
    common: dict[str, Any]

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.trace["inputs"]

    def country_of(self, seller: str) -> str:
        return self.inputs["sellers"].get(seller, {}).get("country", "")


async def keep(scope: WriteScope, booked: Sequence[tuple[Row[Any], datetime]]) -> None:
    """Writes the tax lines of payments with the instants at which they are booked, in one statement.

    To be called after the journal: what happened in a closed period is effective at its end, and only under the lock of
    the books is it certain which that is.
    """
    lines = [line for payment, at in booked for line in lines_of(payment, at)]
    await write(scope, lines)


async def write(scope: WriteScope, lines: Sequence[Mapping[str, Any]], *, booked_at: datetime | None = None) -> None:
    """Writes tax lines; `booked_at` for those that are booked at another instant than their tax point."""
    if lines:
        await scope.run(_KEEP, {"platform": scope.platform, "lines": list(lines), "at": booked_at})


def lines_of(payment: Row[Any], at: datetime) -> list[dict[str, Any]]:
    """The tax lines of a payment by its trace: sales by line, what is withheld, fees by seller and decision."""
    trace = payment.trace
    if trace.get("trace_version", 1) < TRACE_VERSION_MIN:
        return []
    sale = _Sale(
        trace,
        {
            "payment_id": str(payment.id),
            "currency": trace["currency"],
            "buyer_country": trace["inputs"]["buyer"].get("country") or "",
            "tax_point": at.isoformat(),
        },
    )
    lines = [*_sales(sale), *_fees(sale)]
    for ordinal, line in enumerate(lines):
        line["ordinal"] = ordinal
    return lines


def _sales(sale: _Sale) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for line in sale.trace["lines"]:
        tax = sale.inputs["lines"][line["line_id"]]["tax"]
        evidence = tax.get("evidence") or {}
        seller = {
            **sale.common,
            "line_id": line["line_id"],
            "seller_id": str(parse_id("seller", line["seller_id"])),
            "seller_country": sale.country_of(line["seller_id"]),
            "jurisdiction": tax["jurisdiction"],
            "scheme": evidence.get("scheme", ""),
            "supply": evidence.get("kind", ""),
            "ship_from": evidence.get("ship_from", ""),
            "net": line["net"],
        }
        owes = tax["liable"] == Liable.PLATFORM and line["deemed_tax"] != 0
        made.append(
            {
                **seller,
                "kind": TaxKind.SALE,
                "liable": tax["liable"],
                "category": tax["category"],
                "rate": tax["rate"],
                "rule": tax["rule"],
                "account": _code(chart.DEEMED_TAX, tax["jurisdiction"]) if owes else "",
                "tax": line["tax"],
            }
        )
        for (scheme, rate, rule), amount in withheld(line, tax.get("withheld") or []):
            made.append(
                {
                    **seller,
                    "kind": TaxKind.WITHHELD,
                    "liable": Liable.PLATFORM,
                    "category": scheme,
                    "rate": rate,
                    "rule": rule,
                    "account": _code(chart.WITHHELD_TAX, scheme),
                    "tax": amount,
                }
            )
    return made


def _fees(sale: _Sale) -> list[dict[str, Any]]:
    """The platform's own fees by payer and decision; parts of other participants are no services of the platform."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    for line in sale.trace["lines"]:
        for fee in line["fees"]:
            if fee["kind"] != FeeKind.PLATFORM:
                continue
            payer = "" if fee["payer"] == FeePayer.BUYER else line["seller_id"]
            amounts = found.setdefault((payer, fee["tax_rule"], fee["tax_rate"], fee["tax_jurisdiction"]), [0, 0])
            amounts[0] += fee["amount"]
            amounts[1] += fee["tax"]
    home = sale.inputs["platform"]["country"]
    made: list[dict[str, Any]] = []
    for (payer, rule, rate, jurisdiction), (net, tax) in found.items():
        if not net and not tax:
            continue
        country = sale.country_of(payer) if payer else ""
        abroad = not payer and jurisdiction != home and jurisdiction in EU_MEMBERS
        made.append(
            {
                **sale.common,
                "kind": TaxKind.FEE if payer else TaxKind.BUYER_FEE,
                "line_id": "",
                "seller_id": str(parse_id("seller", payer)) if payer else None,
                "seller_country": country,
                # Where nothing is charged, it is still a supply, made where its customer is.
                "jurisdiction": jurisdiction or (country if payer else sale.common["buyer_country"]),
                "liable": _liable_for_fee(jurisdiction, rule),
                "category": "",
                "scheme": "OSS" if abroad and home in EU_MEMBERS else "",
                "supply": "SERVICE",
                "ship_from": "",
                "rate": rate,
                "rule": rule,
                "account": _code(chart.OUTPUT_VAT, jurisdiction) if tax else "",
                "net": net,
                "tax": tax,
            }
        )
    return made


def _liable_for_fee(jurisdiction: str, rule: str) -> Liable:
    if jurisdiction:
        return Liable.PLATFORM
    return Liable.BUYER if rule.endswith("reverse-charge") else Liable.NOBODY


def _code(family: chart.Family, part: str) -> str:
    return family.pattern.replace("*", part)
