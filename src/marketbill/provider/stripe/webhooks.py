"""Stripe's webhooks: what we subscribe to, who really sent it, and what it says."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import stripe
from stripe import SignatureVerificationError, WebhookSignature

from marketbill.provider.objects import ProviderEvent
from marketbill.provider.port import BadEvent, BadSignature
from marketbill.provider.stripe import reading

#: The version in which our endpoints get their events.
API_VERSION = stripe.api_version
_RELEASE = API_VERSION.partition(".")[2]

#: The platform's own events; the provider's list of events can be asked for 20 types at once.
PLATFORM_TYPES = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "charge.updated",
    "balance.available",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "transfer.reversed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
    "radar.early_fraud_warning.updated",
    "topup.succeeded",
    "topup.reversed",
)
#: Those of the connected accounts.
CONNECT_TYPES = (
    "account.updated",
    "capability.updated",
    "payout.created",
    "payout.updated",
    "payout.paid",
    "payout.failed",
    "payout.canceled",
    "account.external_account.created",
    "account.external_account.updated",
    "account.application.deauthorized",
)
HANDLED_TYPES = frozenset(PLATFORM_TYPES + CONNECT_TYPES)

#: A signature older than this, or further in the future, is a replay or a wrong clock.
TOLERANCE = timedelta(minutes=5)
#: Longer headers are not looked at: Stripe sends a timestamp and one or two signatures.
_HEADER_LENGTH_MAX = 2_000
#: What Stripe's ids never exceed.
_ID_LENGTH_MAX = 255


def of_connected(types: Sequence[str]) -> bool:
    """Whether an endpoint of ours with these types is the one of the connected accounts."""
    return not set(CONNECT_TYPES).isdisjoint(types)


def verify_signature(raw: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> int:
    """The index of the secret that signed the body. Raises BadSignature when none did, or at another time than now.

    stripe-python checks the signature (several `v1` entries are allowed while a secret is rolled) but lets a timestamp
    from the future pass, so the time is checked here.
    """
    if not header or len(header) > _HEADER_LENGTH_MAX:
        raise BadSignature("The webhook carries no signature.")
    signer = next((index for index, secret in enumerate(secrets) if _signed(raw, header, secret)), None)
    if signer is None:
        raise BadSignature("The webhook's signature does not fit its body and our secret.")
    if abs(now - _signed_at(header)) > TOLERANCE:
        raise BadSignature("The webhook was signed at another time than now.")
    return signer


def knows_version(version: str | None) -> bool:
    """Whether the snapshots of an API version read as those of ours: within one named release Stripe only adds."""
    return version is None or version.partition(".")[2] == _RELEASE


def check_body(raw: bytes) -> None:
    """Refuses a body that two readers could read differently, or none. Raises BadEvent, which says what is wrong."""
    try:
        _STRICT.decode(raw.decode())
    except RecursionError:
        raise BadEvent("The webhook's body is nested too deeply.") from None
    except UnicodeDecodeError:
        raise BadEvent("The webhook's body is not JSON in UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadEvent(f"The webhook's body is not JSON: {error.msg} at character {error.pos}.") from None
    except ValueError:
        raise BadEvent("The webhook's body holds a number of too many digits.") from None


def parse_event(raw: bytes) -> ProviderEvent:
    """The event in a webhook's body. Raises BadEvent when it is none."""
    try:
        data = orjson.loads(raw)
        if data["object"] != "event":
            raise BadEvent(f"Not an event but a {str(data['object'])[:40]}.")
        optional = {"account": data.get("account"), "api_version": data.get("api_version")}
        _check_names({"id": data["id"], "type": data["type"]}, optional)
        event = reading.event(data)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise BadEvent("The webhook's body is not a Stripe event.") from error
    _check_names({}, {"data.object.id": event.object_id or None})
    return event


def _check_names(required: Mapping[str, Any], optional: Mapping[str, Any]) -> None:
    """Raises BadEvent for a name that our tables and logs should not hold."""
    for field, value in {**required, **optional}.items():
        if value is None and field in optional:
            continue
        if not isinstance(value, str) or not 0 < len(value) <= _ID_LENGTH_MAX or not value.isprintable():
            raise BadEvent(f"The event's {field} must be printable text of 1 to {_ID_LENGTH_MAX} characters.")


def _object(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise BadEvent(f"The webhook's body names {twice[:40]!r} twice in one object.")


def _constant(name: str) -> None:
    raise BadEvent(f"The webhook's body is not JSON: {name} is no number.")


_STRICT = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _signed(raw: bytes, header: str, secret: str) -> bool:
    try:
        return bool(WebhookSignature.verify_header(raw, header, secret))
    except (SignatureVerificationError, ValueError, TypeError):  # not UTF-8, or not ASCII where it must be
        return False


def _signed_at(header: str) -> datetime:
    stamp = next(item[2:] for item in header.split(",") if item.startswith("t="))
    try:
        return datetime.fromtimestamp(int(stamp), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise BadSignature("The webhook's signature has no time.") from error
