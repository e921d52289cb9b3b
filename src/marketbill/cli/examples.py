"""Three operations to paste, as complete curl lines."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from marketbill.demo.market import Market, line, worked_basket

_TRIAL_BALANCE = (
    "{ trialBalance { currency debit { decimal } credit { decimal }"
    " rows { code debit { decimal } credit { decimal } } } }"
)
_PREVIEW = (
    "query ($input: PaymentPreviewInput!) { paymentPreview(input: $input) { split { totals { gross { decimal }"
    " fee { decimal } feeTax { decimal } sellerNet { decimal } } sellers { seller { name } amounts { fee { decimal }"
    " sellerNet { decimal } } feeTax { label } } } errors { ... on UserError { code message } } } }"
)
_CREATE = (
    "mutation ($input: PaymentCreateInput!) { paymentCreate(input: $input) { payment { id status"
    " gross { decimal currency } fee { decimal } sellerNet { decimal } }"
    " errors { ... on UserError { code message } } } }"
)


def curl_lines(url: str, keys: Mapping[str, str], market: Market) -> list[tuple[str, str]]:
    """A query of the books, a preview of a sale, and a sale: what each is, and the line."""
    basket = {"currency": "EUR", "lines": worked_basket(market)}
    sale = {
        "idempotencyKey": f"try-{secrets.token_hex(4)}",
        "currency": "EUR",
        "paymentMethodToken": "pm_card_bypassPending",
        "reference": "TRY-1",
        "lines": [line(market.sellers["A"], "Linen napkins", 2450, "EUR")],
    }
    return [
        ("The trial balance", _curl(url, keys["OPERATOR"], _TRIAL_BALANCE, None)),
        ("Who gets what of a basket, before anybody pays", _curl(url, keys["SERVICE"], _PREVIEW, {"input": basket})),
        ("A sale, paid by a test card", _curl(url, keys["SERVICE"], _CREATE, {"input": sale})),
    ]


def _curl(url: str, key: str, query: str, variables: dict[str, Any] | None) -> str:
    body: dict[str, Any] = {"query": query}
    if variables is not None:
        body["variables"] = variables
    sent = json.dumps(body, separators=(",", ":")).replace("'", "\\u0027")
    return f"curl -s {url}/graphql -H 'content-type: application/json' -H 'authorization: Bearer {key}' -d '{sent}'"
