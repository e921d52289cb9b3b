"""Tax transactions: a calculation that became a sale, and what of it was taken back."""

from __future__ import annotations

from fractions import Fraction

from marketbill.sandbox.call import Call
from marketbill.sandbox.tax_calculations import page_of
from marketbill.sandbox.wire import Doc, invalid, missing, new_id, refused

#: Most partial reversals of one transaction.
PARTIAL_REVERSALS_MAX = 10
REFERENCE_LENGTH_MAX = 500
#: Rows looked at for the reversals of one transaction: one full and the partial ones.
_REVERSALS_MAX = PARTIAL_REVERSALS_MAX + 1

FROM_CALCULATION = "calculation! metadata:m posted_at:i reference!"
REVERSAL = """
    flat_amount:i line_items:[{amount!:i amount_tax!:i metadata:m original_line_item! quantity:i reference!}] metadata:m
    mode!:(full|partial) original_transaction! reference! shipping_cost:{amount!:i amount_tax!:i}
"""


def create_from_calculation(call: Call) -> Doc:
    params = call.params
    calculation = call.store.find("tax.calculation", params["calculation"], call.account)
    if calculation is None:
        raise missing("tax calculation", params["calculation"], param="calculation", status=400)
    if calculation["expires_at"] <= call.now:
        raise refused(
            f"The tax calculation '{calculation['id']}' has expired. Create a new calculation.", param="calculation"
        )
    _check_reference(call)
    shipping = calculation["shipping_cost"]
    doc = _transaction(
        call,
        calculation,
        lines=[
            {
                **{name: value for name, value in line.items() if name not in ("_breakdown", "performance_location")},
                "id": new_id("tax_li", 14),
                "object": "tax.transaction_line_item",
                "reversal": None,
                "type": "transaction",
            }
            for line in calculation["_lines"]
        ],
        shipping={name: value for name, value in shipping.items() if name != "_breakdown"} if shipping else None,
        posted_at=params.get("posted_at") or call.now,
        original=None,
    )
    return _with_lines(call, doc)


def create_reversal(call: Call) -> Doc:
    params = call.params
    original = call.store.find("tax.transaction", params["original_transaction"], call.account)
    if original is None:
        raise missing("tax transaction", params["original_transaction"], param="original_transaction", status=400)
    if original["type"] == "reversal":
        raise refused("A reversal cannot be reversed.", param="original_transaction")
    _check_reference(call)
    reversals = call.store.select("tax.transaction", call.account, [("b = ?", original["id"])], limit=_REVERSALS_MAX)
    left = _left(original, reversals)
    if not any(any(amounts) for amounts in left.values()):
        raise refused(f"The tax transaction '{original['id']}' is already fully reversed.")
    if params["mode"] == "full":
        taken = left
        for name in ("line_items", "shipping_cost", "flat_amount"):
            if name in params:
                raise invalid(f"`{name}` is for `mode=partial` only.", param=name)
    else:
        partial = [reversal for reversal in reversals if reversal["_mode"] == "partial"]
        if len(partial) == PARTIAL_REVERSALS_MAX:
            raise refused(
                f"A tax transaction can be partially reversed at most {PARTIAL_REVERSALS_MAX} times.",
                param="original_transaction",
            )
        if "flat_amount" in params and (params.get("line_items") or params.get("shipping_cost")):
            raise invalid("Give either `flat_amount`, or `line_items` and `shipping_cost`.", param="flat_amount")
        taken = _flat(original, left, params["flat_amount"]) if "flat_amount" in params else _named(original, params)
        _check_left(left, taken)
    named = {item["original_line_item"]: item for item in params.get("line_items") or []}
    lines = [
        _reversed_line(line, taken[line["id"]], named.get(line["id"]))
        for line in original["_lines"]
        if line["id"] in taken and (any(taken[line["id"]]) or line["id"] in named)
    ]
    shipping = None
    if original["shipping_cost"] and any(taken.get("", (0, 0))):
        amount, tax = taken[""]
        shipping = {**original["shipping_cost"], "amount": -amount, "amount_tax": -tax}
    doc = _transaction(call, original, lines=lines, shipping=shipping, posted_at=call.now, original=original["id"])
    return _with_lines(call, doc)


def _check_reference(call: Call) -> None:
    reference = call.params["reference"]
    if len(reference) > REFERENCE_LENGTH_MAX:
        raise invalid(f"A reference may have at most {REFERENCE_LENGTH_MAX} characters.", param="reference")
    if call.store.select("tax.transaction", call.account, [("a = ?", reference)], limit=1):
        raise refused(
            f"A tax transaction with the reference '{reference}' already exists. References must be unique.",
            code="resource_already_exists",
            param="reference",
        )


def _transaction(
    call: Call, source: Doc, *, lines: list[Doc], shipping: Doc | None, posted_at: int, original: str | None
) -> Doc:
    return call.store.insert(
        "tax.transaction",
        call.account,
        {
            "id": new_id("tax_1"),
            "object": "tax.transaction",
            "created": call.now,
            "currency": source["currency"],
            "customer": source["customer"],
            "customer_details": source["customer_details"],
            "livemode": False,
            "metadata": call.params.get("metadata") or {},
            "posted_at": posted_at,
            "reference": call.params["reference"],
            "reversal": {"original_transaction": original} if original else None,
            "ship_from_details": source["ship_from_details"],
            "shipping_cost": shipping,
            "tax_date": source["tax_date"],
            "type": "reversal" if original else "transaction",
            "_lines": lines,
            "_mode": call.params.get("mode"),
            "_original": original,
        },
    )


Amounts = dict[str, tuple[int, int]]


def _amounts(doc: Doc, *, by_original: bool = False) -> Amounts:
    """Return (amount, tax) by line; the shipping's name is empty."""
    found: Amounts = {
        line["reversal"]["original_line_item"] if by_original else line["id"]: (line["amount"], line["amount_tax"])
        for line in doc["_lines"]
    }
    if doc["shipping_cost"]:
        found[""] = (doc["shipping_cost"]["amount"], doc["shipping_cost"]["amount_tax"])
    return found


def _left(original: Doc, reversals: list[Doc]) -> Amounts:
    """Return what may still be reversed, as positive amounts."""
    left = _amounts(original)
    for reversal in reversals:
        for name, (amount, tax) in _amounts(reversal, by_original=True).items():
            left[name] = (left[name][0] + amount, left[name][1] + tax)
    return left


def _named(original: Doc, params: Doc) -> Amounts:
    """Return what a partial reversal names, as positive amounts."""
    items, shipping = params.get("line_items") or [], params.get("shipping_cost")
    if not items and not shipping:
        raise invalid(
            "A partial reversal needs `line_items`, `shipping_cost` or `flat_amount`.",
            code="parameter_missing",
            param="line_items",
        )
    known = {line["id"] for line in original["_lines"]}
    taken: Amounts = {}
    for position, item in enumerate(items):
        path, name = f"line_items[{position}]", item["original_line_item"]
        if name not in known or name in taken:
            raise missing("line item", name, param=f"{path}[original_line_item]", status=400)
        taken[name] = _negative(item, path)
    if shipping:
        if not original["shipping_cost"]:
            raise invalid("The original transaction has no shipping cost.", param="shipping_cost")
        taken[""] = _negative(shipping, "shipping_cost")
    return taken


def _negative(item: Doc, path: str) -> tuple[int, int]:
    for name in ("amount", "amount_tax"):
        if item[name] > 0:
            raise invalid(
                "Amounts of a reversal are negative.", code="parameter_invalid_integer", param=f"{path}[{name}]"
            )
    return -item["amount"], -item["amount_tax"]


def _flat(original: Doc, left: Amounts, flat: int) -> Amounts:
    """Spread an amount that includes tax over what is left, in proportion; the shares add up to it exactly."""
    if flat >= 0:
        raise invalid("`flat_amount` must be negative.", code="parameter_invalid_integer", param="flat_amount")
    inclusive = {line["id"]: line["tax_behavior"] == "inclusive" for line in original["_lines"]}
    if original["shipping_cost"]:
        inclusive[""] = original["shipping_cost"]["tax_behavior"] == "inclusive"
    gross = {name: amount if inclusive[name] else amount + tax for name, (amount, tax) in left.items()}
    whole = sum(gross.values())
    if -flat > whole:
        raise _too_much("flat_amount")
    shares: dict[str, int] = {}
    passed = given = 0
    for name, value in gross.items():
        # Each share is the difference of two rounded running sums, so nothing is lost.
        passed += value
        upto = -flat * passed // whole
        shares[name], given = upto - given, upto
    taken: Amounts = {}
    for name, share in shares.items():
        tax = left[name][1]
        part = round(Fraction(share * tax, gross[name])) if gross[name] else 0
        taken[name] = (share if inclusive[name] else share - part, part)
    return taken


def _check_left(left: Amounts, taken: Amounts) -> None:
    for name, (amount, tax) in taken.items():
        if amount > left[name][0] or tax > left[name][1]:
            raise _too_much("line_items" if name else "shipping_cost")


def _too_much(param: str) -> Exception:
    return refused("The reversal is greater than what is left of the original transaction.", param=param)


def _reversed_line(line: Doc, taken: tuple[int, int], item: Doc | None) -> Doc:
    return {
        **line,
        "id": new_id("tax_li", 14),
        "amount": -taken[0],
        "amount_tax": -taken[1],
        "metadata": (item or {}).get("metadata") or None,
        "quantity": (item or {}).get("quantity") or line["quantity"],
        "reference": item["reference"] if item else line["reference"],
        "reversal": {"original_line_item": line["id"]},
        "type": "reversal",
    }


def retrieve(call: Call) -> Doc:
    return _with_lines(call, call.named("tax.transaction", id_in="transaction", name="tax transaction"))


def list_lines(call: Call) -> Doc:
    doc = call.named("tax.transaction", id_in="transaction", name="tax transaction")
    return page_of(doc["_lines"], call.params, f"/v1/tax/transactions/{doc['id']}/line_items")


def _with_lines(call: Call, doc: Doc) -> Doc:
    """Return a transaction, with its lines only where they were asked for."""
    shown = {name: value for name, value in doc.items() if name[0] != "_"}
    if "line_items" in call.tree:
        shown["line_items"] = page_of(doc["_lines"], {}, f"/v1/tax/transactions/{doc['id']}/line_items")
    return shown
