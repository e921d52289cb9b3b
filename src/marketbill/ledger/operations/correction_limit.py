"""The amount above which a correction needs a second person, per currency: data that operators set, with a default.

Setting it is kept as it was set, by whom and why. A limit that somebody raised does not count for himself: until
another sets one, his own corrections are held against the one before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, text

from marketbill.db import Scope, WriteScope
from marketbill.errors import InvalidInput
from marketbill.ids import new_id
from marketbill.ledger.operations.model import ledger_correction_limit
from marketbill.money import AMOUNT_MINOR_MAX, exponent
from marketbill.text import checked_reason

#: Where none was set, in minor units by the currency's decimals: 100,000 yen, 1,000.00 euros, 300.000 dinars.
DEFAULTS = {0: 100_000, 2: 100_000, 3: 300_000}

#: The most settings of one list.
SETTINGS_MAX = 200

_COUNTING = text(
    """
    select w.currency, newest.amount as newest, others.amount as others, newest.set_by
    from unnest(cast(:currencies as text[])) as w (currency)
    left join lateral (
      select amount, set_by from ledger_correction_limit
      where platform_id = :platform and currency = w.currency order by id desc limit 1) as newest on true
    left join lateral (
      select amount from ledger_correction_limit
      where platform_id = :platform and currency = w.currency and set_by <> :by order by id desc limit 1
    ) as others on true
    """
)
_SETTINGS = text(
    """
    select * from ledger_correction_limit
    where platform_id = :platform and (cast(:currency as text) is null or currency = :currency)
    order by id desc limit :limit
    """
)


@dataclass(frozen=True, slots=True)
class LimitSetting:
    """A limit as it was set; the newest of a currency counts. `amount` in minor units."""

    currency: str
    amount: int
    reason: str
    set_by: str
    set_at: datetime


def default(currency: str) -> int:
    """The limit where none was set, in minor units. Raises UnknownCurrency."""
    return DEFAULTS[exponent(currency)]


async def limits(scope: Scope, currencies: Iterable[str], *, by: str) -> dict[str, int]:
    """Up to what amount `by` corrects alone, by currency, in minor units."""
    values = {"platform": scope.platform, "currencies": list(currencies), "by": by}
    return {row.currency: _counting(row, by) for row in await scope.rows(_COUNTING, values)}


async def set_limit(scope: WriteScope, *, currency: str, amount: int, by: str, reason: str) -> LimitSetting:
    """Sets the limit of a currency; 0 has every correction approved. Raises InvalidInput, UnknownCurrency."""
    exponent(currency)
    if not 0 <= amount <= AMOUNT_MINOR_MAX:
        raise InvalidInput(
            "A limit is 0 or more, in minor units.", path=("amount",), constraint=f"0..{AMOUNT_MINOR_MAX}"
        )
    made = LimitSetting(currency, amount, checked_reason(reason), by, scope.now)
    await scope.run(
        insert(ledger_correction_limit),
        {
            "platform_id": scope.platform,
            "id": new_id(),
            "currency": currency,
            "amount": amount,
            "reason": made.reason,
            "set_by": by,
            "set_at": scope.now,
        },
    )
    return made


async def settings(scope: Scope, *, currency: str | None = None, limit: int = SETTINGS_MAX) -> list[LimitSetting]:
    """The limits as they were set, the newest first; of one currency, or of all. At most `SETTINGS_MAX`."""
    values = {"platform": scope.platform, "currency": currency, "limit": min(limit, SETTINGS_MAX)}
    rows = await scope.rows(_SETTINGS, values)
    return [LimitSetting(row.currency, row.amount, row.reason, row.set_by, row.set_at) for row in rows]


def _counting(row: Row[Any], by: str) -> int:
    if row.newest is None:
        return default(row.currency)
    if row.set_by != by:
        return row.newest
    return min(row.newest, default(row.currency) if row.others is None else row.others)
