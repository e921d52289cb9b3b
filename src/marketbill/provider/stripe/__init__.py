"""The Stripe adapter: the only room that imports `stripe`."""

from marketbill.provider.stripe.adapter import StripeProvider
from marketbill.provider.stripe.webhooks import (
    API_VERSION,
    CONNECT_TYPES,
    HANDLED_TYPES,
    PLATFORM_TYPES,
    check_body,
    knows_version,
    parse_event,
    verify_signature,
)

__all__ = [
    "API_VERSION",
    "CONNECT_TYPES",
    "HANDLED_TYPES",
    "PLATFORM_TYPES",
    "StripeProvider",
    "check_body",
    "connect",
    "knows_version",
    "parse_event",
    "verify_signature",
]


def connect(secret_key: str, base_url: str | None = None) -> StripeProvider:
    """A provider for one secret key: Stripe itself, or whatever speaks its wire at `base_url`.

    It belongs to the event loop that first uses it, keeps its connections, and must be closed.
    """
    return StripeProvider(secret_key, base_url)
