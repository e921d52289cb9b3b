"""Two words of a fee rule: what its fixed part is charged once for, and where the tax on the fee lies."""

from enum import StrEnum


class FixedScope(StrEnum):
    """What the fixed amount is charged once for, among the lines that the rule is charged on."""

    ORDER = "ORDER"
    SELLER_ORDER = "SELLER_ORDER"
    LINE = "LINE"
    UNIT = "UNIT"


class FeeTaxMode(StrEnum):
    """Whether tax on the fee comes on top of the fee as the rule states it, or lies within it."""

    EXCLUSIVE = "EXCLUSIVE"
    INCLUSIVE = "INCLUSIVE"
