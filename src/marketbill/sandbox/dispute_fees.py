"""What disputes cost: a fee for each chargeback received, and where it was set, another for each that is answered.

Platforms have different prices, and of a dispute that is won some get all fees back, some only that for answering: so
the control plane sets both.
"""

from __future__ import annotations

from typing import Any

import orjson

from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import Doc, invalid

#: What a chargeback costs, in minor units: 15.00 of a currency with two decimals, unless that is nothing much there.
RECEIVED = 1_500
RECEIVED_BY_CURRENCY = {
    "jpy": 1_300, "krw": 15_000, "clp": 12_000, "huf": 540_000, "czk": 34_000, "isk": 180_000, "twd": 45_000,
    "dkk": 11_000, "nok": 15_000, "sek": 15_000, "hkd": 11_500, "mxn": 22_500, "thb": 50_000, "inr": 100_000,
    "idr": 20_000_000, "ugx": 5_500_000, "vnd": 350_000, "bhd": 5_000, "jod": 10_000, "kwd": 4_500, "omr": 5_500,
    "tnd": 45_000,
}  # fmt: skip

#: Which fees come back with a dispute that is won.
RETURNED = ("all", "countered", "none")
_FEE_MAX = 99_999_999
_META = "dispute_fees"


def received(desk: Desk, currency: str) -> int:
    """Return the fee for a chargeback received, in minor units of the currency that it is withdrawn in."""
    return _set(desk).get(currency, {}).get("received", RECEIVED_BY_CURRENCY.get(currency, RECEIVED))


def countered(desk: Desk, currency: str) -> int:
    """Return the fee for answering one; nothing unless it was set."""
    return _set(desk).get(currency, {}).get("countered", 0)


def returned(desk: Desk, currency: str, *, received: int, countered: int) -> int:
    """Return what of a dispute's fees comes back when it is won."""
    match _set(desk).get(currency, {}).get("returned", "all"):
        case "all":
            return received + countered
        case "countered":
            return countered
        case _:
            return 0


def set_fees(desk: Desk, currency: str, changes: Doc) -> Doc:
    """Set the fees of a currency and return what is in force; inside a transaction.

    :raises ApiError: a fee below zero, or beyond all reason.
    """
    for name in ("received", "countered"):
        if not 0 <= changes.get(name, 0) <= _FEE_MAX:
            raise invalid(f"Invalid {name}: must be from 0 to {_FEE_MAX} minor units.", param=name)
    all_set = _set(desk)
    all_set[currency] = all_set.get(currency, {}) | changes
    desk.store.set_meta(_META, orjson.dumps(all_set).decode())
    return {
        "currency": currency,
        "received": received(desk, currency),
        "countered": countered(desk, currency),
        "returned": all_set[currency].get("returned", "all"),
    }


def _set(desk: Desk) -> dict[str, dict[str, Any]]:
    stored = desk.store.meta(_META)
    return orjson.loads(stored) if stored else {}
