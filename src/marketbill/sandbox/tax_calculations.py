"""Tax calculations: what tax a sale would carry, line by line; kept for ninety days.

Tax is due where the account has a registration; elsewhere it is zero, which is no error. Each line and the shipping are
rounded for themselves, half up, as the wire shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marketbill.sandbox import tax_registrations, tax_settings
from marketbill.sandbox.call import Call
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.currencies import check_maximum, check_step, checked_currency
from marketbill.sandbox.payment_methods import address
from marketbill.sandbox.rendering import checked_limit
from marketbill.sandbox.tax_places import Place, not_determined, place_of
from marketbill.sandbox.tax_rates import EUROPEAN_UNION, GENERAL, NONTAXABLE, SHIPPING, Rate, rate, tax_type
from marketbill.sandbox.wire import Doc, invalid, missing, new_id

#: How long a calculation may become a transaction.
CALCULATION_DAYS = 90
LINES_MAX = 250

CREATE = """
    currency! customer
    customer_details:{
        address:{city country! line1 line2 postal_code state} address_source:(billing|shipping) ip_address:later
        tax_ids:[{type! value!}] taxability_override:(customer_exempt|none|reverse_charge)
    }
    line_items!:[{
        amount!:i metadata:m performance_location:later product:later quantity:i reference
        tax_behavior:(exclusive|inclusive) tax_code
    }]
    ship_from_details:{address!:{city country! line1 line2 postal_code state}}
    shipping_cost:{amount:i shipping_rate:later tax_behavior:(exclusive|inclusive) tax_code} tax_date:i
"""


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one jurisdiction treats the sale: the rate, or the reason why there is none."""

    place: Place
    rate: Rate | None
    reason: str

    def tax(self, amount: int, *, inclusive: bool) -> int:
        if self.rate is None:
            return 0
        return self.rate.within(amount) if inclusive else self.rate.on_top(amount)

    @property
    def percent(self) -> str:
        return str(self.rate.percent) if self.rate else "0.0"

    @property
    def tax_type(self) -> str:
        return self.rate.tax_type if self.rate else tax_type(self.place.country)


def create(call: Call) -> Doc:
    params = call.params
    currency = checked_currency(params["currency"])
    given = params["line_items"]
    if not given:
        raise invalid("A calculation needs at least one line item.", code="parameter_missing", param="line_items")
    if len(given) > LINES_MAX:
        raise invalid(f"A calculation may have at most {LINES_MAX} line items.", param="line_items")
    details, place = _customer(call)
    tax_date = params.get("tax_date") or call.now
    usual = tax_settings.behaviour(call.desk, call.account, currency)
    lines: list[Doc] = []
    parts: list[tuple[Treatment, int, int, bool]] = []
    references: set[str] = set()
    for position, item in enumerate(given):
        path = f"line_items[{position}]"
        line = _line(item, currency, path, usual)
        if line["reference"] in references:
            raise invalid(
                f"Line item references must be unique: '{line['reference']}' is there twice.",
                param=f"{path}[reference]",
            )
        references.add(line["reference"])
        treatment = _treatment(call, details, place, tax_date, line["tax_code"])
        _tax(line, treatment, parts)
        lines.append(line)
    shipping = _shipping(call, currency, usual)
    if shipping is not None:
        _tax(shipping, _treatment(call, details, place, tax_date, shipping["tax_code"]), parts)
    exclusive = sum(tax for _, _, tax, inclusive in parts if not inclusive)
    origin = params.get("ship_from_details")
    identifier = new_id("taxcalc_1")
    doc = call.store.insert(
        "tax.calculation",
        call.account,
        {
            "id": identifier,
            "object": "tax.calculation",
            "amount_total": sum(amount for _, amount, _, _ in parts) + exclusive,
            "currency": currency,
            "customer": params.get("customer") or None,
            "customer_details": details,
            "expires_at": call.now + CALCULATION_DAYS * DAY,
            "livemode": False,
            "ship_from_details": {"address": address(origin["address"])} if origin else None,
            "shipping_cost": shipping,
            "tax_amount_exclusive": exclusive,
            "tax_amount_inclusive": sum(tax for _, _, tax, inclusive in parts if inclusive),
            "tax_breakdown": _breakdown(parts),
            "tax_date": tax_date,
            "_lines": lines,
        },
    )
    return _with_lines(call, doc)


def _customer(call: Call) -> tuple[Doc, Place]:
    """Return the customer's details as the answer shows them, and where he is for tax."""
    given, customer = call.params.get("customer_details"), call.params.get("customer")
    param = "customer_details[address]"
    if given and customer:
        raise invalid(
            "You may only specify one of these parameters: customer, customer_details.", param="customer_details"
        )
    if customer:
        found = call.store.find("customer", customer, call.account)
        if found is None:
            raise missing("customer", customer, param="customer", status=400)
        ship = (found["shipping"] or {}).get("address")
        given = {"address": ship or found["address"] or {}, "address_source": "shipping" if ship else "billing"}
        if found.get("tax_exempt") in ("exempt", "reverse"):
            given["taxability_override"] = "customer_exempt" if found["tax_exempt"] == "exempt" else "reverse_charge"
        param = "customer"
    elif not given:
        raise invalid(
            "Give `customer_details` with an address, or a `customer` that has one.",
            code="parameter_missing",
            param="customer_details",
        )
    if not given.get("address") or not given["address"].get("country"):
        raise not_determined(param)
    if not customer and not given.get("address_source"):
        raise invalid(
            "`customer_details[address_source]` is required when you give an address: billing or shipping.",
            code="parameter_missing",
            param="customer_details[address_source]",
        )
    place = place_of(given["address"], param=param)
    details: Doc = {
        "address": address({**given["address"], "country": place.country}),
        "address_source": given["address_source"],
        "ip_address": None,
        "tax_ids": given.get("tax_ids") or [],
        "taxability_override": given.get("taxability_override") or "none",
    }
    return details, place


def _line(item: Doc, currency: str, path: str, usual: str) -> Doc:
    quantity = item.get("quantity", 1)
    if quantity < 1:
        raise invalid(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param=f"{path}[quantity]",
        )
    _check_amount(item["amount"], currency, f"{path}[amount]")
    identifier = new_id("tax_li", 14)
    return {
        "id": identifier,
        "object": "tax.calculation_line_item",
        "amount": item["amount"],
        "amount_tax": 0,
        "livemode": False,
        "metadata": item.get("metadata") or None,
        "performance_location": None,
        "product": None,
        "quantity": quantity,
        "reference": item.get("reference") or identifier,
        "tax_behavior": item.get("tax_behavior") or usual,
        "tax_code": item.get("tax_code") or GENERAL,
    }


def _shipping(call: Call, currency: str, usual: str) -> Doc | None:
    given = call.params.get("shipping_cost")
    if not given:
        return None
    amount = given.get("amount", 0)
    _check_amount(amount, currency, "shipping_cost[amount]")
    return {
        "amount": amount,
        "amount_tax": 0,
        "tax_behavior": given.get("tax_behavior") or usual,
        "tax_code": given.get("tax_code") or SHIPPING,
    }


def _check_amount(amount: int, currency: str, param: str) -> None:
    if amount < 0:
        raise invalid("This value must be greater than or equal to 0.", code="parameter_invalid_integer", param=param)
    check_maximum(amount, currency, param=param)
    check_step(amount, currency, param=param)


def _treatment(call: Call, details: Doc, place: Place, at: int, tax_code: str) -> Treatment:
    if details["taxability_override"] == "customer_exempt":
        return Treatment(place, None, "customer_exempt")
    if not tax_registrations.collects(call.desk, call.account, place, at):
        return Treatment(place, None, "not_collecting")
    if tax_code == NONTAXABLE:
        return Treatment(place, None, "product_exempt")
    found = rate(place.country, place.state)
    if found is None:
        return Treatment(place, None, "not_supported")
    if not found.percent:
        return Treatment(place, None, "not_subject_to_tax")
    if details["taxability_override"] == "reverse_charge" or _is_business_abroad(call, details, place):
        return Treatment(place, None, "reverse_charge")
    return Treatment(place, found, "standard_rated")


def _is_business_abroad(call: Call, details: Doc, place: Place) -> bool:
    """Tell whether a business of another country of the union buys, who then accounts for the tax himself."""
    office = tax_settings.settings(call.desk, call.account)["head_office"]
    home = office["address"]["country"] if office else call.store.get("account", call.account)["country"]
    within = {home, place.country} <= EUROPEAN_UNION and home != place.country
    return within and any(tax_id["type"] == "eu_vat" for tax_id in details["tax_ids"])


def _tax(line: Doc, treatment: Treatment, parts: list[tuple[Treatment, int, int, bool]]) -> None:
    """Write the tax of a line, or of the shipping, and its account of it."""
    inclusive = line["tax_behavior"] == "inclusive"
    tax = treatment.tax(line["amount"], inclusive=inclusive)
    line["amount_tax"] = tax
    place, taxed = treatment.place, treatment.rate
    base = line["amount"] - tax if inclusive else line["amount"]
    line["_breakdown"] = [
        {
            "amount": tax,
            "jurisdiction": {
                "country": place.country,
                "display_name": place.name,
                "level": "state" if place.state else "country",
                "state": place.state,
            },
            "sourcing": "destination",
            "tax_rate_details": {
                "display_name": taxed.name,
                "percentage_decimal": treatment.percent,
                "tax_type": treatment.tax_type,
            }
            if taxed
            else None,
            "taxability_reason": treatment.reason,
            "taxable_amount": base if taxed else 0,
        }
    ]
    parts.append((treatment, line["amount"], tax, inclusive))


def _breakdown(parts: list[tuple[Treatment, int, int, bool]]) -> list[Doc]:
    """Return the tax of the whole by treatment; its amounts add up to the total."""
    found: dict[tuple[str, str, bool], Doc] = {}
    for treatment, amount, tax, inclusive in parts:
        entry = found.setdefault(
            (treatment.reason, treatment.percent, inclusive),
            {
                "amount": 0,
                "inclusive": inclusive,
                "tax_rate_details": {
                    "country": treatment.place.country,
                    "flat_amount": None,
                    "percentage_decimal": treatment.percent,
                    "rate_type": "percentage",
                    "state": treatment.place.state,
                    "tax_type": treatment.tax_type,
                },
                "taxability_reason": treatment.reason,
                "taxable_amount": 0,
            },
        )
        entry["amount"] += tax
        if treatment.rate is not None:
            entry["taxable_amount"] += amount - tax if inclusive else amount
    return list(found.values())


def retrieve(call: Call) -> Doc:
    return _with_lines(call, call.named("tax.calculation", name="tax calculation"))


def list_lines(call: Call) -> Doc:
    doc = call.named("tax.calculation", id_in="calculation", name="tax calculation")
    lines = [_shown(line, call.tree) for line in doc["_lines"]]
    return page_of(lines, call.params, f"/v1/tax/calculations/{doc['id']}/line_items")


def page_of(lines: list[Doc], params: Doc, url: str) -> Doc:
    """Return one page of line items, in their own order."""
    limit = checked_limit(params)
    after, before = params.get("starting_after"), params.get("ending_before")
    places = {line["id"]: place for place, line in enumerate(lines)}
    for name, cursor in (("starting_after", after), ("ending_before", before)):
        if cursor and cursor not in places:
            raise missing("line item", cursor, param=name, status=400)
    if before:
        rest = lines[: places[before]]
        return {"object": "list", "url": url, "has_more": len(rest) > limit, "data": rest[-limit:]}
    rest = lines[places[after] + 1 :] if after else lines
    return {"object": "list", "url": url, "has_more": len(rest) > limit, "data": rest[:limit]}


def _shown(line: Doc, tree: dict[str, Any]) -> Doc:
    shown = {name: value for name, value in line.items() if name[0] != "_"}
    if "tax_breakdown" in tree:
        shown["tax_breakdown"] = line["_breakdown"]
    return shown


def _with_lines(call: Call, doc: Doc) -> Doc:
    """Return a calculation, with its lines only where they were asked for."""
    shown = {name: value for name, value in doc.items() if name[0] != "_"}
    if shown["shipping_cost"] is not None:
        shown["shipping_cost"] = {name: value for name, value in shown["shipping_cost"].items() if name[0] != "_"}
    if "line_items" in call.tree:
        below = call.tree["line_items"].get("data", {})
        lines = [_shown(line, below) for line in doc["_lines"]]
        shown["line_items"] = page_of(lines, {}, f"/v1/tax/calculations/{doc['id']}/line_items")
    return shown
