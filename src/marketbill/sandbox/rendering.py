"""From stored documents to answers: private fields out, derived fields in, ``expand`` and list pages."""

from __future__ import annotations

from typing import Any

from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import Doc, invalid, missing

EXPAND_LEVELS_MAX = 4
LIST_LIMIT_DEFAULT = 10
LIST_LIMIT_MAX = 100

Tree = dict[str, Any]

#: Kinds whose stored documents hold fields, named with an underscore, that no answer shows.
PRIVATE = frozenset({"account", "webhook_endpoint"})

#: What may be expanded: field -> kind of the object behind it, or None where this provider only ever has null.
EXPANDABLE: dict[str, dict[str, str | None]] = {
    "account": {},
    "balance_transaction": {"source": "any"},
    "bank_account": {"account": "account"},
    "capability": {"account": "account"},
    "charge": {
        "application": None,
        "application_fee": None,
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "failure_balance_transaction": "balance_transaction",
        "on_behalf_of": None,
        "payment_intent": "payment_intent",
        "review": None,
        "source_transfer": "transfer",
        "transfer": "transfer",
    },
    "customer": {"default_source": None, "test_clock": None},
    "payment_intent": {
        "application": None,
        "customer": "customer",
        "latest_charge": "charge",
        "on_behalf_of": None,
        "payment_method": "payment_method",
        "review": None,
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
    "topup": {"balance_transaction": "balance_transaction"},
    "transfer": {
        "balance_transaction": "balance_transaction",
        "destination": "account",
        "destination_payment": "charge",
        "source_transaction": "charge",
    },
}


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
        doc = {**doc, "status": "available" if doc["available_on"] <= desk.clock.now() else "pending"}
    if tree:
        doc = dict(doc)
        for name, below in tree.items():
            value = doc.get(name)
            if isinstance(value, str):
                found = desk.store.kind_and_account(value)
                if found is not None:
                    doc[name] = shown(desk, desk.store.get(found[0], value), below)
    return doc


def page(
    desk: Desk,
    kind: str,
    account: str,
    params: Doc,
    *,
    url: str,
    tree: Tree | None = None,
    where: tuple[tuple[str, Any], ...] = (),
    name: str | None = None,
) -> Doc:
    """Return one page of a list, newest first, by ``limit``, ``starting_after``, ``ending_before`` and ``created``.

    :raises ApiError: a limit out of range, a cursor that names nothing, or both cursors at once.
    """
    limit = checked_limit(params)
    conditions = [*where, *created_conditions(params)]
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
    return {"object": "list", "url": url, "has_more": more, "data": [shown(desk, doc, tree) for doc in found]}


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


_COMPARISONS = {"gt": "created > ?", "gte": "created >= ?", "lt": "created < ?", "lte": "created <= ?"}


def created_conditions(params: Doc) -> list[tuple[str, Any]]:
    return [(_COMPARISONS[name], value) for name, value in (params.get("created") or {}).items()]
