"""The contract: the committed schema is what the code prints, keeps the conventions, and has a rule for every field."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    OperationDefinitionNode,
    get_named_type,
    parse,
    specified_rules,
    validate,
)

from marketbill.actor import Role
from marketbill_graphql.access import AccessRules, denied
from marketbill_graphql.documents import Documents
from marketbill_graphql.endpoint import executable
from marketbill_graphql.schema import build_schema, sdl

ROOT = Path(__file__).resolve().parents[2] / "graphql"
SCHEMA = executable(build_schema())
RULES = AccessRules(SCHEMA)
OBJECTS = [
    type_
    for name, type_ in sorted(SCHEMA.type_map.items())
    if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) and not name.startswith("__")
]
FIELDS = [f"{type_.name}.{name}" for type_ in OBJECTS for name in type_.fields]
OPERATIONS = sorted((ROOT / "operations").glob("*.graphql"))


def test_the_committed_schema_is_what_the_code_prints() -> None:
    assert (ROOT / "schema.graphql").read_text() == sdl()


@pytest.mark.parametrize("path", OPERATIONS, ids=lambda path: path.stem)
def test_every_operation_document_is_valid_and_within_the_limits(path: Path) -> None:
    text = path.read_text()

    assert validate(SCHEMA, parse(text), specified_rules) == []
    document = Documents(SCHEMA, RULES).find(text)
    assert all(document.operations)


def test_every_root_field_has_an_operation_document() -> None:
    used = {
        selection.name.value
        for path in OPERATIONS
        for operation in parse(path.read_text()).definitions
        if isinstance(operation, OperationDefinitionNode)
        for selection in operation.selection_set.selections
        if isinstance(selection, FieldNode)
    }
    roots = [SCHEMA.query_type, SCHEMA.mutation_type]
    assert used == {name for root in roots if root for name in root.fields}


def selection(type_: Any) -> str:
    """The least selection that makes a field of this type valid."""
    named = get_named_type(type_)
    return " { __typename }" if isinstance(named, (GraphQLObjectType, GraphQLInterfaceType, GraphQLUnionType)) else ""


def paths() -> dict[str, str]:
    """For each type a way to it from the root, as the opening and closing of a document."""
    found: dict[str, tuple[str, str]] = {"Query": ("query {", "}"), "Mutation": ("mutation {", "}")}
    waiting = ["Query", "Mutation"]
    while waiting:
        name = waiting.pop(0)
        type_ = SCHEMA.type_map[name]
        opening, closing = found[name]
        for field_name, field in type_.fields.items():
            target = get_named_type(field.type)
            targets = (
                SCHEMA.get_possible_types(target)
                if isinstance(target, (GraphQLInterfaceType, GraphQLUnionType))
                else [target]
            )
            for possible in [target, *targets]:
                if isinstance(possible, (GraphQLObjectType, GraphQLInterfaceType)) and possible.name not in found:
                    narrow = f" ... on {possible.name} {{" if possible is not target else ""
                    found[possible.name] = (
                        f"{opening} {field_name}{arguments(field)} {{{narrow}",
                        ("}" if narrow else "") + "}" + closing,
                    )
                    waiting.append(possible.name)
    for interface in (type_ for type_ in OBJECTS if isinstance(type_, GraphQLInterfaceType)):
        if interface.name not in found:
            opening, closing = found[SCHEMA.get_possible_types(interface)[0].name]
            found[interface.name] = (f"{opening} ... on {interface.name} {{", "}" + closing)
    return {name: f"{opening} %s {closing}" for name, (opening, closing) in found.items()}


def arguments(field: Any) -> str:
    given = [f"{name}: {literal(argument.type)}" for name, argument in field.args.items() if required(argument)]
    return f"({', '.join(given)})" if given else ""


def required(argument: Any) -> bool:
    from graphql import Undefined

    return isinstance(argument.type, GraphQLNonNull) and argument.default_value is Undefined


def literal(type_: Any) -> str:
    if isinstance(type_, GraphQLNonNull):
        return literal(type_.of_type)
    if isinstance(type_, GraphQLList):
        return f"[{literal(type_.of_type)}]"
    if isinstance(type_, GraphQLEnumType):
        return next(iter(type_.values))
    if isinstance(type_, GraphQLInputObjectType):
        if type_.is_one_of:
            name, field = next(iter(type_.fields.items()))
            return f"{{{name}: {literal(field.type)}}}"
        return "{" + ", ".join(f"{n}: {literal(f.type)}" for n, f in type_.fields.items() if required(f)) + "}"
    return {
        "Int": "1",
        "Boolean": "true",
        "BigInt": '"1"',
        "Decimal": '"1"',
        "CurrencyCode": '"EUR"',
        "DateTime": '"2026-01-01T00:00:00Z"',
        "Date": '"2026-01-01"',
    }.get(type_.name, '"x"')


PATHS = paths()


@pytest.mark.parametrize("coordinate", FIELDS)
def test_every_field_is_open_to_exactly_the_roles_of_its_rule(coordinate: str) -> None:
    """The matrix: each field, asked for by each role through a real document."""
    type_name, name = coordinate.split(".")
    field = SCHEMA.type_map[type_name].fields[name]  # type: ignore[union-attr]
    text = PATHS[type_name] % f"{name}{arguments(field)}{selection(field.type)}"
    document = parse(text)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    needs = RULES.needs(document, operation)

    assert coordinate in needs
    for role in Role:
        assert (coordinate in denied(needs, role)) is (role not in RULES.by_coordinate[coordinate])


@pytest.mark.parametrize("name", [type_.name for type_ in OBJECTS])
def test_the_documents_of_the_matrix_are_valid(name: str) -> None:
    assert validate(SCHEMA, parse(PATHS[name] % "__typename"), specified_rules) == []


def test_what_each_role_may_start() -> None:
    """Said out loud, so that a change of who may do what is seen in review."""
    mutations = {
        role: sorted(
            c.split(".")[1] for c, roles in RULES.by_coordinate.items() if c.startswith("Mutation.") and role in roles
        )
        for role in Role
    }
    assert mutations[Role.BOOTSTRAP] == ["platformCreate"]
    assert mutations[Role.OPERATOR_READONLY] == []
    assert mutations[Role.SELLER] == ["disputeEvidenceAdd", "payoutCreate", "payoutRetry", "sellerOnboardingLinkCreate"]
    assert mutations[Role.BUYER] == ["paymentMethodAttach"]
    assert set(mutations[Role.OPERATOR]) - set(mutations[Role.SERVICE]) == {
        "apiKeyCreate",
        "apiKeyRevoke",
        "debtPaymentRecord",
        "debtPolicyPublish",
        "bankFileCreate",
        "bankResultImport",
        "driftAccept",
        "feeScheduleDiscard",
        "feeScheduleDraft",
        "feeSchedulePublish",
        "feeScheduleUpdate",
        "journalEntryReverse",
        "ledgerAccountCeilingSet",
        "ledgerAccountGuardSet",
        "ledgerAccountStateSet",
        "ledgerCorrectionApprove",
        "ledgerCorrectionLimitSet",
        "ledgerCorrectionReject",
        "ledgerHoldVoid",
        "ledgerPeriodClose",
        "legalEntitySet",
        "platformUpdate",
        "providerConnect",
        "providerIntentAbandon",
        "providerIntentRetry",
        "releaseRulesPublish",
        "taxRateAdd",
        "writeOffApprove",
        "writeOffPropose",
        "writeOffReject",
    }
    assert set(mutations[Role.OPERATOR]) == {*SCHEMA.mutation_type.fields} - {"platformCreate"}  # type: ignore[union-attr]
    queries = {
        role: {c.split(".")[1] for c, roles in RULES.by_coordinate.items() if c.startswith("Query.") and role in roles}
        for role in Role
    }
    assert queries[Role.BOOTSTRAP] == {"viewer"}
    assert queries[Role.BUYER] == {"viewer", "platform", "node", "buyer", "payment", "payments"}
    assert queries[Role.SELLER] == {
        "disputePreview",
        "disputes",
        "explain",
        "moneyWhereabouts",
        "payoutProof",
        "sellerHolds",
        "viewer",
        "platform",
        "node",
        "seller",
        "payment",
        "payments",
        "transfers",
        "debts",
        "debtPayments",
        "payouts",
        "refunds",
        "payoutLines",
        "payoutPreview",
        "payoutRunResults",
        "payoutScheduleOfSeller",
        "statement",
        "issuedStatements",
        "feeInvoices",
        "exchangeRate",
        "taxRates",
    }


def test_everything_public_is_described() -> None:
    bare = [
        name
        for name, type_ in SCHEMA.type_map.items()
        if not name.startswith("__")
        and name not in ("Query", "Mutation")
        and not isinstance(type_, GraphQLUnionType)
        and not type_.description
    ]
    roots = [SCHEMA.query_type, SCHEMA.mutation_type]
    bare += [
        f"{root.name}.{name}" for root in roots if root for name, field in root.fields.items() if not field.description
    ]
    assert bare == []


def test_mutations_keep_the_conventions() -> None:
    assert SCHEMA.mutation_type
    for name, field in SCHEMA.mutation_type.fields.items():
        title = name[0].upper() + name[1:]
        assert list(field.args) == ["input"], name
        input_type = field.args["input"].type
        assert str(input_type) == f"{title}Input!"
        assert str(get_named_type(input_type).fields["idempotencyKey"].type) == "String!"  # type: ignore[union-attr]
        assert str(field.type) == f"{title}Payload!"
        payload = get_named_type(field.type)
        assert str(payload.fields["errors"].type) == f"[{title}Error!]!"  # type: ignore[union-attr]
        union = SCHEMA.type_map[f"{title}Error"]
        assert isinstance(union, GraphQLUnionType)
        for member in union.types:
            assert "UserError" in [interface.name for interface in member.interfaces]


def test_the_tenant_is_never_an_argument() -> None:
    for type_ in OBJECTS:
        for field in type_.fields.values():
            assert not [name for name in field.args if "platform" in name.lower()]
    for type_ in SCHEMA.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            assert not [name for name in type_.fields if "platform" in name.lower()]


def test_connections_have_the_relay_shape() -> None:
    connections = [type_ for type_ in OBJECTS if type_.name.endswith("Connection") and "nodes" in type_.fields]
    assert len(connections) >= 8
    for connection in connections:
        node = connection.name.removesuffix("Connection")
        assert str(connection.fields["edges"].type) == f"[{node}Edge!]!"
        assert str(connection.fields["nodes"].type) == f"[{node}!]!"
        assert str(connection.fields["pageInfo"].type) == "PageInfo!"
    for type_, connection in itertools.product(OBJECTS, connections):
        for field in type_.fields.values():
            if get_named_type(field.type) is connection:
                assert {"first", "after"} <= set(field.args)


def test_no_float_is_in_the_schema() -> None:
    assert "Float" not in SCHEMA.type_map
