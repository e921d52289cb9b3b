"""Refusals as data: the members of every mutation's error union, and the step that turns a raised refusal into one.

Each mutation has a union of its own whose members implement `UserError`, so a client that knows only the interface
keeps working when a member is added. A refusal that the union does not list stays an error of the response.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types.base import StrawberryContainer, get_object_definition

from marketbill import errors
from marketbill.errors import ErrorCode, Refusal
from marketbill.ledger.operations import refusal as refusal_of_operations
from marketbill_graphql import declare
from marketbill_graphql.access import ANYONE
from marketbill_graphql.money import Money, amount

strawberry.enum(
    ErrorCode,
    name="ErrorCode",
    description="Why a request was refused. Values may be added: clients need a default branch.",
)


@declare.interface(ANYONE)
class UserError:
    """A refusal that the caller can act on."""

    code: ErrorCode = strawberry.field(description="The reason, for programs.")
    message: str = strawberry.field(description="A sentence for a person; says what would be right.")
    path: list[str] = strawberry.field(description="The field of `input` at fault, outermost first; empty for none.")
    retryable: bool = strawberry.field(description="Whether the very same request may succeed later.")


@declare.output(ANYONE)
class InvalidInput(UserError):
    """A field of the input is wrong, or larger than a limit."""

    constraint: str | None = strawberry.field(default=None, description="The rule it broke, such as `<= 100`.")


@declare.output(ANYONE)
class NotFound(UserError):
    """No such object for this caller."""

    id: strawberry.ID = strawberry.field(description="The id that was given.")


@declare.output(ANYONE)
class Forbidden(UserError):
    """The caller may not do this with this object."""


@declare.output(ANYONE)
class StateConflict(UserError):
    """The object's state does not allow it."""

    current_state: str = strawberry.field(description="The state the object is in.")


@declare.output(ANYONE)
class PreviewStale(UserError):
    """What the preview showed is not what would happen now: ask for a new one."""


@declare.output(ANYONE)
class SuspenseBalance:
    """What a suspense account holds, debits less credits."""

    code: str
    balance: Money


@declare.output(ANYONE)
class SuspenseNotZero(UserError):
    """Suspense accounts are not zero at the end of the period that was to be closed."""

    balances: list[SuspenseBalance]


@declare.output(ANYONE)
class SellerNotAllowed(UserError):
    """A gate of the seller is shut: SELL, TRANSFER or PAYOUT."""

    seller_id: strawberry.ID = strawberry.field(description="The seller.")
    gate: str = strawberry.field(description="SELL, TRANSFER or PAYOUT.")


@declare.output(ANYONE)
class InsufficientFunds(UserError):
    """More was asked than is there."""

    available: Money = strawberry.field(description="What could be had.")


@declare.output(ANYONE)
class IdempotencyConflict(UserError):
    """The idempotency key was used for another input, or its first request is still under way (then retry)."""


@declare.output(ANYONE)
class ProviderDeclined(UserError):
    """The buyer's bank declined the payment."""

    decline_code: str = strawberry.field(description="The provider's decline code.")
    advice: str | None = strawberry.field(default=None, description="The provider's advice code.")


@declare.output(ANYONE)
class ProviderRefused(UserError):
    """The payment provider refused marketbill's request."""

    provider_code: str | None = strawberry.field(default=None, description="The provider's own error code.")


@declare.output(ANYONE)
class Unavailable(UserError):
    """The provider, or a part of marketbill, gave no answer. What was begun is recorded: retry with the same key."""


#: The members of every mutation's union.
AnyMutationError = InvalidInput | NotFound | Forbidden | StateConflict | IdempotencyConflict | Unavailable


def user_error(refusal: Refusal) -> UserError:
    """The refusal as data."""
    said: dict[str, Any] = {
        "code": refusal.code,
        "message": refusal.message,
        "path": list(refusal.path),
        "retryable": refusal.retryable,
    }
    match refusal:
        case errors.InvalidInput():
            return InvalidInput(**said, constraint=refusal.constraint)
        case errors.NotFound():
            return NotFound(**said, id=strawberry.ID(refusal.id))
        case refusal_of_operations.SuspenseNotZero():
            return SuspenseNotZero(**said, balances=[suspense_of(one) for one in refusal.balances])
        case errors.StateConflict():
            return StateConflict(**said, current_state=refusal.current_state)
        case errors.ProviderNotConnected():
            return StateConflict(**said, current_state="PROVIDER_NOT_CONNECTED")
        case errors.PreviewStale():
            return PreviewStale(**said)
        case errors.SellerNotAllowed():
            return SellerNotAllowed(**said, seller_id=strawberry.ID(refusal.seller_id), gate=refusal.gate)
        case errors.InsufficientFunds():
            return InsufficientFunds(**said, available=amount(refusal.available_minor, refusal.currency))
        case errors.IdempotencyConflict():
            return IdempotencyConflict(**said)
        case errors.ProviderDeclined():
            return ProviderDeclined(**said, decline_code=refusal.decline_code, advice=refusal.advice)
        case errors.ProviderRefused():
            return ProviderRefused(**said, provider_code=refusal.provider_code)
        case errors.ProviderUnavailable() | errors.Unavailable():
            return Unavailable(**said)
        case errors.Forbidden() | errors.Unauthenticated():
            return Forbidden(**said)
        case _:
            return InvalidInput(**said, constraint=None)


def suspense_of(held: refusal_of_operations.AccountBalance) -> SuspenseBalance:
    return SuspenseBalance(code=held.code, balance=amount(held.net, held.currency))


class RefusalsAsData(FieldExtension):
    """Answers a mutation's refusals in `errors` of its payload, when the payload's union lists them."""

    def __init__(self) -> None:
        self._payload: Any = None
        self._members: tuple[type, ...] = ()

    def apply(self, field: Any) -> None:
        self._payload = field.type
        definition = get_object_definition(self._payload, strict=True)
        errors_field = next(item for item in definition.fields if item.python_name == "errors")
        self._members = _members(errors_field.type)

    async def resolve_async(
        self, next_: Callable[..., Awaitable[Any]], source: Any, info: strawberry.Info, **arguments: Any
    ) -> Any:
        try:
            return await next_(source, info, **arguments)
        except Refusal as refusal:
            error = user_error(refusal)
            if not isinstance(error, self._members):
                raise
            return self._payload(errors=[error])


def _members(type_: Any) -> tuple[type, ...]:
    while isinstance(type_, StrawberryContainer):
        type_ = type_.of_type
    return tuple(type_.types) if hasattr(type_, "types") else (type_,)
