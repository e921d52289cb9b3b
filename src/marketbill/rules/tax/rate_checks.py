"""What makes rows of tax rates unusable: an overlap, a gap, a row without its source, a rate or code that is none."""

import re
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise

from marketbill.errors import InvalidInput
from marketbill.rules.countries import COUNTRIES
from marketbill.rules.rates import rate_parts
from marketbill.rules.tax.rate_row import PRODUCT_CATEGORIES, RATE_CATEGORIES, RateRow

_SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
#: Countries' codes in rates that ISO has not assigned: Northern Ireland, which follows the Union for goods.
_BESIDE_ISO = frozenset({"XI"})


class RateRowUnsound(InvalidInput):
    """A row that cannot be used as it is; `row` is the row, `fix` says what would be right."""

    def __init__(self, row: RateRow, fault: str, fix: str, *, field: str) -> None:
        super().__init__(f"The rate row {row.reference} {fault}: {fix}.", path=(field,), constraint=fix)
        self.row = row
        self.fix = fix


class RateRowWithoutSource(RateRowUnsound):
    """A row without the law or the page that it can be checked by."""

    def __init__(self, row: RateRow) -> None:
        missing = "legalSource" if not row.legal_source.strip() else "sourceUrl"
        fix = (
            "name the act and its section"
            if missing == "legalSource"
            else "give the https address of the page where a person can check it"
        )
        super().__init__(row, "has no source", fix, field=missing)


class RateRowsOverlap(RateRowUnsound):
    """Two rows for one thing on one day."""

    def __init__(self, row: RateRow, other: RateRow) -> None:
        until = f"until {other.valid_to.isoformat()}" if other.valid_to else "with no end"
        super().__init__(
            row,
            f"overlaps {other.reference}, which holds {until}",
            f"end the earlier row on {row.valid_from.isoformat()}, or begin this one where the earlier ends",
            field="validFrom",
        )
        self.other = other


class RateRowsGap(RateRowUnsound):
    """Days between two rows on which nothing holds."""

    def __init__(self, row: RateRow, before: RateRow) -> None:
        assert before.valid_to is not None, "a row without an end leaves no gap"
        last = row.valid_from - timedelta(days=1)
        super().__init__(
            row,
            f"leaves a gap after {before.reference}: nothing holds from {before.valid_to.isoformat()} to"
            f" {last.isoformat()}",
            f"begin it on {before.valid_to.isoformat()}, or add a row for those days",
            field="validFrom",
        )
        self.before = before


def check_rows(rows: Iterable[RateRow], *, gaps: bool = True) -> None:
    """Refuse rows that cannot be used together, naming the first wrong row and what would be right.

    With `gaps` False days without a rate between two rows are allowed. Raises `RateRowUnsound` and its kin,
    `RateOutOfRange` and `RateTooPrecise`.
    """
    timelines: dict[tuple[str, str], list[RateRow]] = {}
    for row in rows:
        check_row(row)
        timelines.setdefault((row.jurisdiction, row.subject), []).append(row)
    for timeline in timelines.values():
        timeline.sort(key=lambda row: row.valid_from)
        for before, row in pairwise(timeline):
            if before.valid_to is None or before.valid_to > row.valid_from:
                raise RateRowsOverlap(row, before)
            if gaps and before.valid_to < row.valid_from:
                raise RateRowsGap(row, before)


def check_row(row: RateRow) -> None:
    """Refuse a row that cannot be used by itself."""
    rate_parts(row.rate, path=("rate",))
    if not _is_jurisdiction(row.jurisdiction):
        raise RateRowUnsound(
            row, "names no place", "use an ISO 3166 code such as 'DE', 'XI' or 'CA-ON'", field="jurisdiction"
        )
    if row.category not in RATE_CATEGORIES:
        known = ", ".join(sorted(RATE_CATEGORIES))
        raise RateRowUnsound(row, "has no category of rates", f"use one of {known}", field="category")
    if row.supply and row.supply not in PRODUCT_CATEGORIES:
        known = ", ".join(PRODUCT_CATEGORIES)
        raise RateRowUnsound(row, "has a product that is not in the list", f"use one of {known}", field="supply")
    if row.category in ("zero", "exempt") and row.rate:
        raise RateRowUnsound(row, f"is {row.category} and has a rate", "set the rate to 0", field="rate")
    if not row.tax.strip():
        raise RateRowUnsound(row, "does not name its tax", "name it, such as 'VAT'", field="tax")
    if row.valid_to is not None and row.valid_to <= row.valid_from:
        raise RateRowUnsound(
            row, "ends before it begins", "valid_to is the first day it holds no more", field="validTo"
        )
    if not row.legal_source.strip() or not row.source_url.startswith("https://"):
        raise RateRowWithoutSource(row)


def _is_jurisdiction(code: str) -> bool:
    if _SUBDIVISION.fullmatch(code):
        return code[:2] in COUNTRIES
    return code in COUNTRIES or code in _BESIDE_ISO
