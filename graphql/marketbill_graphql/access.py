"""Who may read or call what: one rule for every field, declared where the field is, checked before anything runs.

A field's own `@access` wins; without one the rule of its type holds. A field with neither stops the schema from being
built. An operation is checked once for each role (the answer is kept with the parsed document), so no resolver carries
a permission check; which *rows* a role sees is decided by the queries themselves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from strawberry.schema_directive import Location

from marketbill.actor import Role

Roles = frozenset[Role]

#: Everyone with a good credential, the bootstrap key included.
ANYONE: Roles = frozenset(Role)
#: Everyone who belongs to a platform.
TENANT: Roles = ANYONE - {Role.BOOTSTRAP}
#: The platform's own people and programs, also those that only look.
PLATFORM_READERS: Roles = frozenset({Role.OPERATOR, Role.OPERATOR_READONLY, Role.SERVICE})
#: The platform's own people and programs that may change things.
PLATFORM_WRITERS: Roles = frozenset({Role.OPERATOR, Role.SERVICE})
OPERATOR: Roles = frozenset({Role.OPERATOR})
OPERATORS: Roles = frozenset({Role.OPERATOR, Role.OPERATOR_READONLY})
BOOTSTRAP: Roles = frozenset({Role.BOOTSTRAP})
SELLER: Roles = frozenset({Role.SELLER})
BUYER: Roles = frozenset({Role.BUYER})

#: The schema may be read by all but buyers, whose tokens live in public pages.
INTROSPECTION: Roles = ANYONE - BUYER

strawberry.enum(Role, name="Role", description="What a credential may do; SELLER and BUYER see only their own rows.")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE],
    name="access",
    description="The roles that may select this field, or every field of this type that has no rule of its own.",
)
class Access:
    roles: list[Role]


def access(roles: Roles) -> Access:
    """The declaration for a type or a field."""
    return Access(roles=[role for role in Role if role in roles])


class UndeclaredAccess(Exception):
    """The schema has fields that nobody said who may use."""


class AccessRules:
    """The rule of every field of a schema, by coordinate (`Payment.lines`). Raises `UndeclaredAccess` for a gap."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.by_coordinate: dict[str, Roles] = {}
        gaps: list[str] = []
        for type_ in _composite_types(schema):
            of_type = _declared(type_)
            for name, field in type_.fields.items():
                roles = _declared(field) or of_type
                if roles is None:
                    gaps.append(f"{type_.name}.{name}")
                else:
                    self.by_coordinate[f"{type_.name}.{name}"] = roles
        for type_ in _composite_types(schema):
            gaps += self._narrower_than_interface(type_)
        if gaps:
            raise UndeclaredAccess(", ".join(sorted(gaps)))
        self._schema = schema

    def needs(self, document: DocumentNode, operation: OperationDefinitionNode) -> dict[str, Roles]:
        """The coordinates an operation selects, with their roles. Fields under a false @include count too."""
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        root = self._schema.get_root_type(operation.operation)
        needs: dict[str, Roles] = {}
        if root is not None:
            self._collect(operation.selection_set, root, fragments, set(), needs)
        return needs

    def _collect(
        self,
        selections: SelectionSetNode,
        type_: GraphQLNamedType,
        fragments: Mapping[str, FragmentDefinitionNode],
        spread: set[str],
        needs: dict[str, Roles],
    ) -> None:
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                name = selection.name.value
                if name in ("__schema", "__type"):
                    needs[name] = INTROSPECTION
                field = type_.fields.get(name) if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) else None
                if field is None:
                    continue
                coordinate = f"{type_.name}.{name}"
                needs[coordinate] = self.by_coordinate[coordinate]
                if selection.selection_set:
                    self._collect(selection.selection_set, get_named_type(field.type), fragments, spread, needs)
            elif isinstance(selection, InlineFragmentNode):
                inner = selection.type_condition
                narrowed = self._schema.get_type(inner.name.value) if inner else type_
                self._collect(selection.selection_set, narrowed or type_, fragments, spread, needs)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in spread:
                spread.add(selection.name.value)
                fragment = fragments[selection.name.value]
                narrowed = self._schema.get_type(fragment.type_condition.name.value)
                self._collect(fragment.selection_set, narrowed or type_, fragments, spread, needs)

    def _narrower_than_interface(self, type_: GraphQLObjectType | GraphQLInterfaceType) -> Iterator[str]:
        # A field read through its interface is checked by the interface's rule, which must not be the wider one.
        for interface in type_.interfaces:
            for name in interface.fields:
                own = self.by_coordinate.get(f"{type_.name}.{name}")
                general = self.by_coordinate.get(f"{interface.name}.{name}")
                if own is not None and general is not None and not general <= own | BOOTSTRAP:
                    yield f"{type_.name}.{name} (narrower than {interface.name}.{name})"


def denied(needs: Mapping[str, Roles], role: Role) -> list[str]:
    """The coordinates that this role may not select."""
    return [coordinate for coordinate, roles in needs.items() if role not in roles]


def _composite_types(schema: GraphQLSchema) -> Iterator[GraphQLObjectType | GraphQLInterfaceType]:
    for name, type_ in schema.type_map.items():
        if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) and not name.startswith("__"):
            yield type_


def _declared(node: Any) -> Roles | None:
    definition = (node.extensions or {}).get("strawberry-definition")
    for directive in getattr(definition, "directives", None) or ():
        if isinstance(directive, Access):
            return frozenset(directive.roles)
    return None
