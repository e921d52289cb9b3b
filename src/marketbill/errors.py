"""Refusals: every way marketbill says no, as nouns that carry their data.

A `Refusal` is an expected answer to a request, never a bug: the edges translate it (GraphQL into a typed error, the
terminal into one line). Anything that is not a Refusal is a defect and is masked at the edge.
"""

from enum import StrEnum
from typing import ClassVar

Path = tuple[str, ...]


class ErrorCode(StrEnum):
    """The closed list of refusal codes; clients must have a default branch, because values may be added."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    STATE_INVALID = "STATE_INVALID"
    SELLER_NOT_ALLOWED = "SELLER_NOT_ALLOWED"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IDEMPOTENCY_IN_PROGRESS = "IDEMPOTENCY_IN_PROGRESS"
    PROVIDER_DECLINED = "PROVIDER_DECLINED"
    PROVIDER_REFUSED = "PROVIDER_REFUSED"
    PROVIDER_UNAVAILABLE = "PROVIDER_UNAVAILABLE"
    PROVIDER_NOT_CONNECTED = "PROVIDER_NOT_CONNECTED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PREVIEW_STALE = "PREVIEW_STALE"
    UNAVAILABLE = "UNAVAILABLE"


class Refusal(Exception):
    """A request that is answered with no.

    `message` is a sentence for a person and says what would be right; `path` names the input field, outermost first,
    in the API's spelling (`("lines", "3", "unitPrice")`); `retryable` tells whether the same request may succeed later.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INVALID_ARGUMENT
    retryable: bool = False

    def __init__(self, message: str, *, path: Path = ()) -> None:
        super().__init__(message)
        self.message = message
        self.path = path


class InvalidInput(Refusal):
    """An input field is wrong; `constraint` states the rule it broke (for example `<= 100`)."""

    code = ErrorCode.INVALID_ARGUMENT

    def __init__(self, message: str, *, path: Path = (), constraint: str | None = None) -> None:
        super().__init__(message, path=path)
        self.constraint = constraint


class Unauthenticated(Refusal):
    """No credential, or one that is wrong, expired or revoked."""

    code = ErrorCode.UNAUTHENTICATED


class Forbidden(Refusal):
    """The credential is good, but its role may not do this."""

    code = ErrorCode.FORBIDDEN


class NotFound(Refusal):
    """No such object for this tenant and party. Another tenant's object gives the same answer as none."""

    code = ErrorCode.NOT_FOUND

    def __init__(self, kind: str, id: str, *, path: Path = ()) -> None:
        super().__init__(f"No {kind} with id {id!r}.", path=path)
        self.kind = kind
        self.id = id


class StateConflict(Refusal):
    """The object is in a state that does not allow this; `current_state` says which."""

    code = ErrorCode.STATE_INVALID

    def __init__(self, message: str, *, current_state: str, path: Path = ()) -> None:
        super().__init__(message, path=path)
        self.current_state = current_state


class PreviewStale(Refusal):
    """What was previewed is not what would happen now, or the preview was carried out already: look again."""

    code = ErrorCode.PREVIEW_STALE

    def __init__(self, *, path: Path = ("token",)) -> None:
        super().__init__(
            "What this preview showed is not what would happen now, or has happened already: ask for a new preview.",
            path=path,
        )


class SellerNotAllowed(Refusal):
    """One of a seller's three gates is shut: SELL, TRANSFER or PAYOUT."""

    code = ErrorCode.SELLER_NOT_ALLOWED

    def __init__(self, message: str, *, seller_id: str, gate: str, path: Path = ()) -> None:
        super().__init__(message, path=path)
        self.seller_id = seller_id
        self.gate = gate


class InsufficientFunds(Refusal):
    """More was asked than is there; `available_minor` is what could be had, in `currency`."""

    code = ErrorCode.INSUFFICIENT_FUNDS

    def __init__(self, message: str, *, available_minor: int, currency: str, path: Path = ()) -> None:
        super().__init__(message, path=path)
        self.available_minor = available_minor
        self.currency = currency


class IdempotencyConflict(Refusal):
    """The idempotency key was used with another body, or its first request is still under way."""

    def __init__(self, message: str, *, in_progress: bool, path: Path = ("idempotencyKey",)) -> None:
        super().__init__(message, path=path)
        self.in_progress = in_progress
        self.retryable = in_progress

    @property
    def code(self) -> ErrorCode:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ErrorCode.IDEMPOTENCY_IN_PROGRESS if self.in_progress else ErrorCode.IDEMPOTENCY_KEY_REUSED


class ProviderDeclined(Refusal):
    """The payment provider (the card's bank behind it) declined the payment; `advice` is the provider's advice code."""

    code = ErrorCode.PROVIDER_DECLINED

    def __init__(self, message: str, *, decline_code: str, advice: str | None = None, path: Path = ()) -> None:
        super().__init__(message, path=path)
        self.decline_code = decline_code
        self.advice = advice
        self.retryable = advice == "try_again_later"


class ProviderRefused(Refusal):
    """The provider refused our request definitively; `provider_code` is its own code."""

    code = ErrorCode.PROVIDER_REFUSED

    def __init__(self, message: str, *, provider_code: str | None, path: Path = ()) -> None:
        super().__init__(message, path=path)
        self.provider_code = provider_code


class ProviderUnavailable(Refusal):
    """The provider could not be reached or gave no definite answer; the request was recorded and will be resolved."""

    code = ErrorCode.PROVIDER_UNAVAILABLE
    retryable = True


class ProviderNotConnected(Refusal):
    """The platform has no payment provider credentials yet."""

    code = ErrorCode.PROVIDER_NOT_CONNECTED

    def __init__(self) -> None:
        super().__init__("This platform has no Stripe credentials yet: set them with providerConnect.")


class LimitExceeded(Refusal):
    """A size or count limit was exceeded."""

    code = ErrorCode.LIMIT_EXCEEDED


class Unavailable(Refusal):
    """A part of marketbill itself (the database, the broker) cannot be reached just now."""

    code = ErrorCode.UNAVAILABLE
    retryable = True


def told(error: Exception) -> str:
    """What may be logged and kept of any exception: its class, and its words when they are ours.

    A database's words may hold the values of a row.
    """
    ours = isinstance(error, KeyError) or type(error).__module__.startswith("marketbill.")
    return f"{type(error).__name__}: {error}" if ours else type(error).__name__
