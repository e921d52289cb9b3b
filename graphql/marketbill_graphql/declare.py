"""The words that the schema is written in: types, inputs, queries and mutations with their rule and their docstring."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types import get_object_definition
from strawberry.types.field import StrawberryField

from marketbill_graphql.access import Roles, access

T = TypeVar("T", bound=type)

_IDEMPOTENCY_KEY = (
    "Your own name for this request, 1 to 255 characters. The same key with the same input gives the same answer and"
    " changes nothing more; with another input it is refused. All API keys of a platform share the names."
    " Remembered for 48 hours."
)


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field, StrawberryField))
def output(roles: Roles, *, name: str | None = None) -> Callable[[T], T]:
    """An object type whose fields `roles` may read; its docstring is its description."""

    def declare(cls: T) -> T:
        return strawberry.type(cls, name=name, description=_description(cls), directives=[access(roles)])

    return declare


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field, StrawberryField))
def interface(roles: Roles) -> Callable[[T], T]:
    """An interface whose fields `roles` may read through it."""

    def declare(cls: T) -> T:
        return strawberry.interface(cls, description=_description(cls), directives=[access(roles)])

    return declare


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field, StrawberryField))
def input(cls: T) -> T:
    """An input object; its docstring is its description."""
    declared = strawberry.input(cls, description=_description(cls))
    for field in get_object_definition(declared, strict=True).fields:
        if field.python_name == "idempotency_key":
            field.description = _IDEMPOTENCY_KEY
    return declared


@dataclass_transform(kw_only_default=True, field_specifiers=(strawberry.field, StrawberryField))
def lookup(cls: T) -> T:
    """An input object of which exactly one field is given (`@oneOf`)."""
    return strawberry.input(cls, description=_description(cls), one_of=True)


def query(roles: Roles, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A field with a resolver, for the given roles; the resolver's docstring is its description."""

    def declare(resolver: Callable[..., Any]) -> Any:
        return strawberry.field(
            resolver, description=_described(resolver, roles), directives=[access(roles)], **options
        )

    return declare


def command(roles: Roles, *extensions: FieldExtension) -> Callable[[Callable[..., Any]], Any]:
    """A mutation for the given roles."""

    def declare(resolver: Callable[..., Any]) -> Any:
        return strawberry.mutation(
            resolver,
            description=_described(resolver, roles),
            directives=[access(roles)],
            extensions=list(extensions),
        )

    return declare


def computed(resolver: Callable[..., Any]) -> Any:
    """A field of an object that is worked out when selected, under its type's rule."""
    return strawberry.field(resolver, description=_description(resolver))


def _description(thing: Any) -> str | None:
    return inspect.cleandoc(thing.__doc__) if thing.__doc__ else None


def _described(resolver: Callable[..., Any], roles: Roles) -> str:
    named = ", ".join(role.value for role in access(roles).roles)
    return f"{_description(resolver) or ''}\n\nRoles: {named}.".strip()
