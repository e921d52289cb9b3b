"""Stripe Tax: calculations, and the transactions that are made from them.

Sources: Stripe's pages on custom tax integrations and on tax for marketplaces. The platform's own head office and
registrations count; without a registration in a place its tax is zero, which is no error.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from marketbill.provider.port import Refused
from marketbill.provider.stripe.fields import Json, amount, id_of, instant, part, parts, text, text_or_none
from marketbill.provider.stripe.units import to_stripe
from marketbill.provider.stripe.wire import Wire
from marketbill.provider.tax import TaxAddress, TaxPlaceUnknown
from marketbill.rules.countries import EU_MEMBERS
from marketbill.rules.tax.provided import AskedAmount, ProvidedTax, TaxCalculation, TaxPart

_PLACE_CODES = ("customer_tax_location_invalid", "country_code_invalid")


class StripeTax:
    """The part of the adapter that is about taxes."""

    _wire: Wire

    async def calculate_tax(
        self, *, currency: str, amounts: Sequence[AskedAmount], buyer: TaxAddress
    ) -> TaxCalculation:
        if not buyer.country:
            raise TaxPlaceUnknown("country")
        params: dict[str, Any] = {
            "currency": currency.lower(),
            "line_items": [_item(one, currency) for one in amounts],
            "customer_details": _customer(buyer),
            "expand": ["line_items.data.tax_breakdown"],
        }

        def read(data: Json) -> tuple[TaxCalculation, bool]:
            lines = part(data, "line_items")
            taxes = tuple(_tax(line, currency) for line in parts(lines, "data"))
            return TaxCalculation(id_of(data), instant(data, "expires_at"), taxes), lines.get("has_more") is True

        try:
            made, more = await self._wire.call("post", "/v1/tax/calculations", read, params)
        except Refused as refused:
            if refused.failure.code in _PLACE_CODES:
                raise TaxPlaceUnknown from None
            raise
        if not more:
            return made
        # The answer holds the first lines only.
        lines = await self._wire.list(
            f"/v1/tax/calculations/{made.id}/line_items",
            lambda line: _tax(line, currency),
            {"expand": ["data.tax_breakdown"]},
        )
        return TaxCalculation(made.id, made.expires_at, tuple(lines))

    async def create_tax_transaction(
        self, *, key: str, calculation_id: str, reference: str, posted_at: datetime
    ) -> str:
        params = {
            "calculation": calculation_id,
            "reference": reference,
            "posted_at": int(posted_at.timestamp()),
        }
        try:
            return await self._wire.call("post", "/v1/tax/transactions/create_from_calculation", id_of, params, key=key)
        except Refused as refused:
            if refused.failure.code == "resource_already_exists" and refused.failure.param == "reference":
                return reference
            raise


def _item(asked: AskedAmount, currency: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "amount": to_stripe(asked.amount, currency),
        "reference": asked.reference,
        "tax_behavior": "inclusive" if asked.inclusive else "exclusive",
    }
    return {**item, "tax_code": asked.code} if asked.code else item


def _customer(buyer: TaxAddress) -> dict[str, Any]:
    address = {
        "country": buyer.country,
        "state": buyer.region.removeprefix(f"{buyer.country}-"),
        "postal_code": buyer.postcode,
    }
    told: dict[str, Any] = {
        "address": {name: value for name, value in address.items() if value},
        "address_source": "shipping",
    }
    kind = "eu_vat" if buyer.country in EU_MEMBERS else "gb_vat" if buyer.country == "GB" else None
    if buyer.vat_number and kind is not None:
        told["tax_ids"] = [{"type": kind, "value": buyer.vat_number}]
    return told


def _tax(line: Json, currency: str) -> ProvidedTax:
    return ProvidedTax(
        text(line, "reference"),
        amount(line, "amount_tax", currency),
        tuple(_part(one) for one in parts(line, "tax_breakdown")),
    )


def _part(told: Json) -> TaxPart:
    place = part(told, "jurisdiction")
    rate = part(told, "tax_rate_details")
    country, state = text(place, "country"), text_or_none(place, "state")
    percent = text_or_none(rate, "percentage_decimal") or "0"
    try:
        exact = Decimal(percent)
    except InvalidOperation:
        raise ValueError(f"{percent!r} is no percentage") from None
    return TaxPart(
        jurisdiction=f"{country}-{state}" if state else country,
        percent=exact.normalize(),
        reason=text_or_none(told, "taxability_reason") or "",
        name=text_or_none(rate, "display_name") or "",
    )
