"""From stored documents to answers: private fields out, derived fields in, ``expand`` and list pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.store import COLUMNS
from marketbill.sandbox.wire import Doc, invalid, missing

EXPAND_LEVELS_MAX = 4
LIST_LIMIT_DEFAULT = 10
LIST_LIMIT_MAX = 100

Tree = dict[str, Any]

#: Kinds whose stored documents hold fields, named with an underscore, that no answer shows.
PRIVATE = frozenset({"account", "application_fee", "refund", "topup", "webhook_endpoint"})

#: What may be expanded: field -> kind of the object behind it, or None where this provider only ever has null.
EXPANDABLE: dict[str, dict[str, str | None]] = {
    "account": {},
    "application_fee": {
        "account": "account",
        "application": None,
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "originating_transaction": "charge",
        "refunds": "fee_refund list",
    },
    "balance": {"instant_available": "instant available"},
    "instant available": {"net_available": None},
    "balance_transaction": {"source": "any"},
    "bank_account": {"account": "account"},
    "capability": {"account": "account"},
    "charge": {
        "application": None,
        "application_fee": "application_fee",
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "on_behalf_of": "account",
        "payment_intent": "payment_intent",
        "refunds": "refund list",
        "review": None,
        "source_transfer": "transfer",
        "transfer": "transfer",
        "transfer_data": "transfer data",
    },
    "customer": {"default_source": None, "test_clock": None},
    "dispute": {
        "balance_transactions": "balance_transaction",
        "charge": "charge",
        "payment_intent": "payment_intent",
    },
    "early_fraud_warning": {"charge": "charge", "payment_intent": "payment_intent"},
    "fee_refund": {"balance_transaction": "balance_transaction", "fee": "application_fee"},
    "fee_refund list": {"data": "fee_refund"},
    "payment_intent": {
        "application": None,
        "customer": "customer",
        "latest_charge": "charge",
        "on_behalf_of": "account",
        "payment_method": "payment_method",
        "review": None,
        "transfer_data": "transfer data",
    },
    "payment_method": {"customer": "customer"},
    "payout": {
        "application_fee": None,
        "balance_transaction": "balance_transaction",
        "destination": "bank_account",
        "failure_balance_transaction": "balance_transaction",
        "original_payout": "payout",
        "reversed_by": "payout",
    },
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
        "payment_method": "payment_method",
        "source_transfer_reversal": "transfer_reversal",
        "transfer_reversal": "transfer_reversal",
    },
    "refund list": {"data": "refund"},
    "setup_intent": {
        "application": None,
        "customer": "customer",
        "latest_attempt": None,
        "mandate": None,
        "on_behalf_of": "account",
        "payment_method": "payment_method",
        "single_use_mandate": None,
    },
    "tax.calculation": {"line_items": "tax.calculation_line_items"},
    "tax.calculation_line_item": {"tax_breakdown": None},
    "tax.calculation_line_items": {"data": "tax.calculation_line_item"},
    "tax.transaction": {"line_items": None},
    "tax.transaction_line_item": {},
    "topup": {"balance_transaction": "balance_transaction"},
    "transfer": {
        "balance_transaction": "balance_transaction",
        "destination": "account",
        "destination_payment": "charge",
        "reversals": "transfer_reversal list",
        "source_transaction": "charge",
    },
    "transfer data": {"destination": "account"},
    "transfer_reversal": {
        "balance_transaction": "balance_transaction",
        "destination_payment_refund": "refund",
        "source_refund": "refund",
        "transfer": "transfer",
    },
    "transfer_reversal list": {"data": "transfer_reversal"},
}

#: Lists inside an object: kind -> (field, kind of its entries).
EMBEDDED = {"application_fee": ("refunds", "fee_refund"), "transfer": ("reversals", "transfer_reversal")}
#: Lists that are there when asked for.
EMBEDDED_WHEN_EXPANDED = {"charge": ("refunds", "refund")}


def expand_tree(paths: Any, kind: str, *, listed: bool) -> Tree:
    """Check the paths of ``expand`` against the kind of the answer and return them as a tree.

    :raises ApiError: a path names something that cannot be expanded, or goes too deep.
    """
    tree: Tree = {}
    for path in paths or ():
        steps = path.split(".")
        if len(steps) > EXPAND_LEVELS_MAX:
            raise invalid(
                f"You cannot expand more than {EXPAND_LEVELS_MAX} levels of a property. Property: {path}",
                param="expand",
            )
        if listed:
            if steps[0] != "data" or len(steps) == 1:
                raise _not_expandable(path)
            steps = steps[1:]
        node, at = tree, kind
        for position, name in enumerate(steps):
            fields = EXPANDABLE.get(at, {})
            if at != "any" and name not in fields:
                raise _not_expandable(path)
            node = node.setdefault(name, {})
            below = "any" if at == "any" else fields[name]
            if below is None:
                if position + 1 < len(steps):
                    raise _not_expandable(path)
                break
            at = below
    return tree


def _not_expandable(path: str) -> Exception:
    return invalid(f"This property cannot be expanded ({path}).", param="expand")


def shown(desk: Desk, doc: Doc, tree: Tree | None = None) -> Doc:
    """Return a document as an answer or an event carries it."""
    kind = doc.get("object")
    if kind in PRIVATE:
        doc = {name: value for name, value in doc.items() if name[0] != "_"}
    elif kind == "balance_transaction":
        doc = {name: value for name, value in doc.items() if name[0] != "_"}
        doc["status"] = "available" if doc["available_on"] <= desk.clock.now() else "pending"
    elif kind == "dispute":
        below = (tree or {}).get("balance_transactions")
        transactions = [desk.store.get("balance_transaction", one) for one in doc["balance_transactions"]]
        doc = {**doc, "balance_transactions": [shown(desk, one, below) for one in transactions]}
    if kind in EMBEDDED:
        doc = _with_list(desk, doc, *EMBEDDED[kind])
    if tree:
        doc = dict(doc)
        if kind in EMBEDDED_WHEN_EXPANDED and EMBEDDED_WHEN_EXPANDED[kind][0] in tree:
            doc = _with_list(desk, doc, *EMBEDDED_WHEN_EXPANDED[kind])
        for name, below in tree.items():
            if name in doc:
                doc[name] = _expanded(desk, doc[name], below)
    return doc


def _expanded(desk: Desk, value: Any, below: Tree) -> Any:
    """Return a field with the objects behind its ids: of an id itself, of a list's entries, of an object's fields."""
    if isinstance(value, str):
        found = desk.store.kind_and_account(value)
        return value if found is None else shown(desk, desk.store.get(found[0], value), below)
    if isinstance(value, list):
        return [_expanded(desk, entry, below) for entry in value]
    if isinstance(value, dict) and "id" in value:
        return shown(desk, value, below)
    if isinstance(value, dict):
        found = {name: deeper for name, deeper in below.items() if name in value}
        return {**value, **{name: _expanded(desk, value[name], deeper) for name, deeper in found.items()}}
    return value


def _with_list(desk: Desk, doc: Doc, field: str, kind: str) -> Doc:
    """Return a document with the newest entries of its list, each naming it in the first column."""
    # What was never reversed or refunded needs no look.
    untouched = field in doc and not doc.get("amount_reversed") and not doc.get("amount_refunded")
    found = None if untouched else desk.store.kind_and_account(doc["id"])
    if found is None:
        return doc
    entries = desk.store.select(kind, found[1], [("a = ?", doc["id"])], limit=LIST_LIMIT_DEFAULT + 1)
    listed = {
        "object": "list",
        "data": [shown(desk, entry) for entry in entries[:LIST_LIMIT_DEFAULT]],
        "has_more": len(entries) > LIST_LIMIT_DEFAULT,
        "url": f"/v1/{doc['object']}s/{doc['id']}/{field}",
    }
    return {**doc, field: listed}


def page(
    call: Call,
    kind: str,
    *,
    url: str,
    account: str | None = None,
    by: tuple[str, ...] = (),
    where: Iterable[tuple[str, Any]] = (),
    name: str | None = None,
) -> Doc:
    """Return one page of a list, newest first, by ``limit``, ``starting_after``, ``ending_before`` and ``created``.

    It lists what belongs to the acting ``account``, or to another one.
    ``by`` names the parameters that a field must be equal to, each where it is given; such a field is a column of the
    kind.

    :raises ApiError: a limit out of range, a cursor that names nothing, or both cursors at once.
    """
    desk, params, account = call.desk, call.params, account or call.account
    limit = checked_limit(params)
    conditions = [*_equal(kind, params, by), *where, *created_conditions(params)]
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise invalid("You can only specify one of these parameters: starting_after, ending_before.")
    order = "DESC"
    if after:
        conditions.append(("seq < ?", _cursor(desk, kind, account, after, "starting_after", name)))
    if before:
        conditions.append(("seq > ?", _cursor(desk, kind, account, before, "ending_before", name)))
        order = "ASC"
    found = desk.store.select(kind, account, conditions, order=order, limit=limit + 1)
    more = len(found) > limit
    found = found[:limit]
    if before:
        found.reverse()
    return {"object": "list", "url": url, "has_more": more, "data": [shown(desk, doc, call.tree) for doc in found]}


def _cursor(desk: Desk, kind: str, account: str, identifier: str, param: str, name: str | None) -> int:
    position = desk.store.position(kind, identifier, account)
    if position is None:
        raise missing(name or kind, identifier, param=param, status=400)
    return position


def checked_limit(params: Doc) -> int:
    limit = params.get("limit", LIST_LIMIT_DEFAULT)
    if limit < 1:
        raise invalid("This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="limit")
    if limit > LIST_LIMIT_MAX:
        raise invalid(
            f"This value must be less than or equal to {LIST_LIMIT_MAX} (it currently is '{limit}').",
            code="parameter_invalid_integer",
            param="limit",
        )
    return limit


def _equal(kind: str, params: Doc, names: tuple[str, ...]) -> list[tuple[str, Any]]:
    columns = dict(zip(COLUMNS[kind], "abcde", strict=True)) if names else {}
    return [(f"{columns[name]} = ?", params[name]) for name in names if params.get(name)]


_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def created_conditions(params: Doc) -> list[tuple[str, Any]]:
    return compared(params, "created", column="created")


def compared(params: Doc, name: str, *, column: str | None = None) -> list[tuple[str, Any]]:
    """Return the conditions of a parameter like ``created[gte]``, on a column or else the field of that name."""
    at = column or f"json_extract(CAST(doc AS TEXT), '$.{name}')"
    return [(f"{at} {_COMPARISONS[how]} ?", value) for how, value in (params.get(name) or {}).items()]
