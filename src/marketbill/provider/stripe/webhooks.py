"""Stripe's webhooks: what we subscribe to, who really sent it, and what it says."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
from stripe import SignatureVerificationError, WebhookSignature

from marketbill.provider.port import BadEvent, BadSignature, ProviderEvent
from marketbill.provider.stripe import reading

#: The platform's own events.
PLATFORM_TYPES = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.requires_action",
    "payment_intent.processing",
    "charge.updated",
    "balance.available",
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
    "account.external_account.updated",
)
HANDLED_TYPES = frozenset(PLATFORM_TYPES + CONNECT_TYPES)

#: A signature older than this, or further in the future, is a replay or a wrong clock.
TOLERANCE = timedelta(minutes=5)
#: Longer headers are not looked at: Stripe sends a timestamp and one or two signatures.
_HEADER_LENGTH_MAX = 2_000


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


def parse_event(raw: bytes) -> ProviderEvent:
    """The event in a webhook's body. Raises BadEvent when it is none."""
    try:
        data = orjson.loads(raw)
        if data["object"] != "event":
            raise BadEvent(f"Not an event but a {str(data['object'])[:40]}.")
        return reading.event(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadEvent("The webhook's body is not a Stripe event.") from error


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
