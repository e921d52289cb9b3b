"""What travels: form decoding, error bodies, headers and money in words, as Stripe writes them."""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import unquote_plus

API_VERSION = "2026-10-28.endive"
#: The release family this provider reproduces. Another family has other parameters, so it is refused.
API_RELEASE = "endive"
#: Longest request body, in bytes.
BODY_BYTES_MAX = 1_000_000
#: Most parameters of one request.
PARAMETERS_MAX = 2_000

Doc = dict[str, Any]

_random = Random(secrets.randbits(256))
_LETTERS_ONLY = bytes.maketrans(b"+/", b"Zz")


def new_id(prefix: str, length: int = 24) -> str:
    """Return an identifier in Stripe's form: ``cus_`` or ``ch_3`` and ``length`` letters and digits."""
    letters = b64encode(_random.randbytes(length)).translate(_LETTERS_ONLY)[:length].decode()
    return (prefix if "_" in prefix else prefix + "_") + letters


def new_secret(prefix: str) -> str:
    """Return a secret that cannot be guessed (keys, webhook secrets, link tokens)."""
    return prefix + secrets.token_hex(24)


@dataclass(slots=True)
class ApiError(Exception):
    """An answer of 4xx or 5xx, with Stripe's envelope.

    ``executed`` tells whether the request had begun to execute: only then is its answer kept under the
    idempotency key. ``keep_effects`` commits what was written before the error (a declined charge is a fact).
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    type: str = "invalid_request_error"
    executed: bool = False
    keep_effects: bool = False
    extra: Doc = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self, request_id: str, *, second_version: bool = False) -> Doc:
        """Return the error envelope of this answer; that of the second API version names no parameter by itself."""
        if second_version:
            named = f"{self.param}: " if self.param and self.param not in self.message else ""
            code = self.code or self.type
            message = named + self.message
            return {"error": {"code": code, "doc_url": doc_url(code), "message": message, "type": self.type}}
        error: Doc = {
            "message": self.message,
            "request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}",
        }
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = doc_url(self.code)
        if self.param is not None:
            error["param"] = self.param
        error.update(self.extra)
        error["type"] = self.type
        return {"error": error}


def doc_url(code: str) -> str:
    return "https://stripe.com/docs/error-codes/" + code.replace("_", "-")


def missing(kind: str, identifier: str, *, param: str = "id", status: int = 404) -> ApiError:
    """No such object, in a path (404, param ``id``) or in a parameter (400, that parameter's name)."""
    return ApiError(status, f"No such {kind}: '{identifier}'", code="resource_missing", param=param)


def refused(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """A refusal found while the request executed: its answer is kept under the key."""
    return ApiError(400, message, code=code, param=param, executed=True)


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    """A refusal found while the request was checked: the key stays free."""
    return ApiError(400, message, code=code, param=param)


def no_access(secret_key: str, account: str) -> ApiError:
    shown = secret_key[:12] + "*" * 8 + secret_key[-4:]
    return ApiError(
        403,
        f"The provided key '{shown}' does not have access to account '{account}' (or that account does not exist). "
        "Application access may have been revoked.",
        code="account_invalid",
    )


def unknown_url(method: str, path: str) -> ApiError:
    return ApiError(
        404,
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash. "
        "If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code. "
        "Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
    )


def _unquoted(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid("Your request could not be decoded as a form.") from None


def decode_form(text: str) -> Doc:
    """Decode ``a=1&b[c]=2&d[]=x&e[0][f]=y`` into nested dictionaries; lists stay keyed by position.

    :raises ApiError: when a name is used both as a value and as an object, or there are too many parameters.
    """
    root: Doc = {}
    pairs = text.split("&")
    if len(pairs) > PARAMETERS_MAX:
        raise invalid(f"A request may have at most {PARAMETERS_MAX} parameters.")
    for pair in pairs:
        if not pair:
            continue
        name, _, value = pair.partition("=")
        name, value = _unquoted(name), _unquoted(value)
        bracket = name.find("[")
        if bracket < 0:
            root[name] = value
            continue
        node = root
        steps = [name[:bracket], *name[bracket + 1 :].rstrip("]").split("][")]
        for step in steps[:-1]:
            key = step if step != "" else str(len(node))
            below = node.setdefault(key, {})
            if not isinstance(below, dict):
                raise invalid(f"Invalid object: {name}", param=name)
            node = below
        last = steps[-1]
        node[last if last != "" else str(len(node))] = value
    return root
