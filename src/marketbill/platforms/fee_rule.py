"""The short form of a first fee schedule: one commission for every sale."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketbill.errors import InvalidInput
from marketbill.money import bounded, decimal_text, exponent
from marketbill.platforms.fee_document import schedule_of_document
from marketbill.rules.fees.rule import FeeTaxMode, FixedScope
from marketbill.rules.fees.schedule import FeeBase

NAME = "Commission"


@dataclass(frozen=True, slots=True)
class FeeRuleDraft:
    """`percent` of `base`, plus a fixed amount per currency (minor units)."""

    percent: Decimal
    fixed: Mapping[str, int]
    fixed_scope: FixedScope
    base: FeeBase
    fee_tax_mode: FeeTaxMode

    def document(self) -> dict[str, Any]:
        """The schedule's document. Raises InvalidInput naming the wrong field of the short form."""
        for currency, amount in self.fixed.items():
            path = ("feeRule", "fixed", currency)
            exponent(currency, path=path)
            bounded(amount, path=path)
        rule = {
            "name": "commission",
            "percent": format(self.percent, "f"),
            "fixed": {currency: decimal_text(amount, currency) for currency, amount in self.fixed.items()},
            "fixed_scope": self.fixed_scope.value,
            "base": self.base.value,
            "tax_mode": self.fee_tax_mode.value,
        }
        document = {"name": NAME, "rules": [rule]}
        try:
            schedule_of_document(document, id="draft", version=1)
        except InvalidInput as error:
            error.path = ("feeRule", *error.path[2:])
            raise
        return document

    def body(self) -> dict[str, Any]:
        return {
            "percent": str(self.percent),
            "fixed": dict(self.fixed),
            "fixed_scope": self.fixed_scope,
            "base": self.base,
            "fee_tax_mode": self.fee_tax_mode,
        }
