"""The tax lines of what was undone of a sale: its own lines with amounts below zero, in the period of the refund.

They name the supply that is taken back, at its own rate and with its own tax point, and the accounts that the refund's
entry moves. Of a sale that was settled in another currency the lines stay in the sale's; the accounts moved in the
settlement's, so those lines name none.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, select

from marketbill.db import WriteScope
from marketbill.ids import parse_id
from marketbill.ledger.journal import Source
from marketbill.payments import tax_lines
from marketbill.payments.model import TaxKind, tax_line
from marketbill.prepared import prepared
from marketbill.refunds import arithmetic
from marketbill.rules.fees.schedule import FeeKind, FeePayer

_LAST = prepared(
    select(func.max(tax_line.c.ordinal)).where(
        tax_line.c.platform_id == bindparam("platform"), tax_line.c.payment_id == bindparam("payment")
    )
)


async def tell(scope: WriteScope, cause: Source, payment: Row[Any], *, undoes: bool = False) -> None:
    """Writes the tax lines of a return that is kept; `undoes` those that take them back. The payment's row is locked.

    To be called after the journal, in its transaction, as `tax_lines.keep`.
    """
    made = await arithmetic.kept(scope, cause, payment)
    if made is None or payment.booked_at is None:
        return
    last = await scope.scalar(_LAST, {"platform": scope.platform, "payment": payment.id})
    told = _lines(payment, made, sign=1 if undoes else -1)
    for place, line in enumerate(told):
        line |= {"ordinal": (last if last is not None else -1) + 1 + place}
        line |= {"cause_type": cause.type, "cause_id": str(cause.id)}
    await tax_lines.write(scope, told, booked_at=scope.now)


def _lines(payment: Row[Any], made: arithmetic.Returned, *, sign: int) -> list[dict[str, Any]]:
    by_line = {payment.trace["lines"][one.ordinal]["line_id"]: one.amounts for one in made.lines}
    fees = _fees(payment.trace, by_line)
    told: list[dict[str, Any]] = []
    for line in tax_lines.lines_of(payment, payment.booked_at):
        if line["kind"] in (TaxKind.SALE, TaxKind.WITHHELD):
            amounts = by_line.get(line["line_id"], {})
            net = amounts.get("net", 0)
            tax = amounts.get("tax" if line["kind"] == TaxKind.SALE else f"withheld:{line['category']}", 0)
        else:
            seller = UUID(line["seller_id"]) if line["seller_id"] else None
            net, tax = fees.pop((seller, line["rule"], line["rate"]), (0, 0))
        if net or tax:
            account = "" if payment.settlement_currency else line["account"]
            told.append({**line, "net": sign * net, "tax": sign * tax, "account": account})
    return told


def _fees(
    trace: Mapping[str, Any], by_line: Mapping[str, Mapping[str, int]]
) -> dict[tuple[UUID | None, str, str], tuple[int, int]]:
    """What was given back of the platform's own fees, by who paid them and the decision on their tax."""
    found: dict[tuple[UUID | None, str, str], tuple[int, int]] = {}
    for line in trace["lines"]:
        amounts = by_line.get(line["line_id"], {})
        for payer, name in ((FeePayer.SELLER, "fee"), (FeePayer.BUYER, "buyer_fee")):
            fee = next((one for one in line["fees"] if one["kind"] == FeeKind.PLATFORM and one["payer"] == payer), None)
            if fee is None:
                continue
            key = (parse_id("seller", line["seller_id"]) if payer is FeePayer.SELLER else None, fee["tax_rule"])
            net, tax = found.get((*key, fee["tax_rate"]), (0, 0))
            found[*key, fee["tax_rate"]] = (net + amounts.get(name, 0), tax + amounts.get(f"{name}_tax", 0))
    return found
