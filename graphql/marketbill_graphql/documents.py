"""Documents: parsed, validated and analysed once for each text, then found by their text.

The rule classes are those of the specification, built once by graphql-core; the limits are checked before them.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    StringValueNode,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)

from marketbill.actor import Role
from marketbill.errors import LimitExceeded
from marketbill.paging import PAGE_DEFAULT
from marketbill_graphql.access import AccessRules, Roles, access, denied
from marketbill_graphql.limits import ERRORS_MAX, TOKENS_MAX, PageSize, document_errors, string_fault

#: Documents kept, and the characters of their texts together: a long text has a large tree.
DOCUMENTS_MAX = 2_000
CHARACTERS_MAX = 2 * 1024 * 1024

PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"


class DocumentRefused(Exception):
    """The document cannot be executed; `errors` are request errors, with their code in the extensions."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, with what it needs and the answers given to each role so far."""

    name: str | None
    kind: OperationType
    needs: dict[str, Roles]
    pages: tuple[tuple[PageSize, ...], ...]
    _denied: dict[Role, list[str]] = field(default_factory=dict)

    def denied(self, role: Role) -> list[str]:
        """The coordinates that this role may not select."""
        if role not in self._denied:
            self._denied[role] = denied(self.needs, role)
        return self._denied[role]

    def denials(self, role: Role) -> list[GraphQLError]:
        """An error for each field that this role may not select."""
        return [
            GraphQLError(
                f"{coordinate} is not for {role}: "
                + ", ".join(allowed.value for allowed in access(self.needs[coordinate]).roles)
                + " may use it.",
                extensions={"code": "FORBIDDEN", "field": coordinate},
            )
            for coordinate in self.denied(role)[:ERRORS_MAX]
        ]


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document and its operations by name."""

    node: DocumentNode
    operations: dict[str | None, Operation]

    def operation(self, name: str | None) -> Operation:
        """The operation to execute. Raises DocumentRefused when the name does not decide it."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is not None and name in self.operations:
            return self.operations[name]
        text = (
            "The document has several operations: say which by operationName."
            if name is None
            else f"The document has no operation named {name[:100]!r}."
        )
        raise DocumentRefused([GraphQLError(text, extensions={"code": VALIDATION_FAILED})])


class Documents:
    """The documents of one schema. `hits` and `misses` count look-ups since the start."""

    def __init__(self, schema: GraphQLSchema, rules: AccessRules) -> None:
        self.hits = 0
        self.misses = 0
        self._schema = schema
        self._rules = rules
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._characters = 0

    def find(self, text: str) -> Document:
        """The document of a text. Raises DocumentRefused; a refused text is not kept."""
        document = self._kept.get(text)
        if document is not None:
            self.hits += 1
            self._kept.move_to_end(text)
            return document
        self.misses += 1
        document = self._read(text)
        self._keep(text, document)
        return document

    def _read(self, text: str) -> Document:
        try:
            node = parse(text, max_tokens=TOKENS_MAX)
            if errors := _string_errors(node) or document_errors(node):
                raise DocumentRefused(errors)
            if errors := validate(self._schema, node, specified_rules, max_errors=ERRORS_MAX):
                raise DocumentRefused([_coded(error, VALIDATION_FAILED) for error in errors])
        except GraphQLSyntaxError as error:
            raise DocumentRefused([_coded(error, PARSE_FAILED)]) from None
        except RecursionError:
            nested = GraphQLError("The document is nested too deeply.", extensions={"code": LimitExceeded.code.value})
            raise DocumentRefused([nested]) from None
        operations = [item for item in node.definitions if isinstance(item, OperationDefinitionNode)]
        if not operations:
            raise DocumentRefused(
                [GraphQLError("The document has no operation.", extensions={"code": VALIDATION_FAILED})]
            )
        return Document(
            node, {(item.name.value if item.name else None): self._analyse(node, item) for item in operations}
        )

    def _analyse(self, node: DocumentNode, operation: OperationDefinitionNode) -> Operation:
        if self._schema.get_root_type(operation.operation) is None:
            text = f"This API has no {operation.operation.value} operations."
            raise DocumentRefused([GraphQLError(text, operation, extensions={"code": VALIDATION_FAILED})])
        return Operation(
            name=operation.name.value if operation.name else None,
            kind=operation.operation,
            needs=self._rules.needs(node, operation),
            pages=tuple(_pages(operation.selection_set, _fragments(node), ())),
        )

    def _keep(self, text: str, document: Document) -> None:
        self._kept[text] = document
        self._characters += len(text)
        while len(self._kept) > DOCUMENTS_MAX or self._characters > CHARACTERS_MAX:
            oldest, _ = self._kept.popitem(last=False)
            self._characters -= len(oldest)


def _pages(
    selections: SelectionSetNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    within: tuple[PageSize, ...],
) -> Iterator[tuple[PageSize, ...]]:
    """Every page of an operation with the pages it lies in: a page has `first`, `last`, `nodes` or `edges`."""
    for selection in selections.selections:
        if isinstance(selection, FragmentSpreadNode):
            yield from _pages(fragments[selection.name.value].selection_set, fragments, within)
        elif isinstance(selection, InlineFragmentNode):
            yield from _pages(selection.selection_set, fragments, within)
        elif isinstance(selection, FieldNode) and selection.selection_set:
            size = _page_size(selection)
            inside = within if size is None else (*within, size)
            if size is not None:
                yield inside
            yield from _pages(selection.selection_set, fragments, inside)


def _page_size(field: FieldNode) -> PageSize | None:
    for argument in field.arguments or ():
        if argument.name.value not in ("first", "last"):
            continue
        if isinstance(argument.value, IntValueNode):
            return int(argument.value.value)
        if isinstance(argument.value, VariableNode):
            return argument.value.name.value
    selections = field.selection_set.selections if field.selection_set else ()
    inner = {item.name.value for item in selections if isinstance(item, FieldNode)}
    return PAGE_DEFAULT if inner & {"nodes", "edges"} else None


def _fragments(node: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {item.name.value: item for item in node.definitions if isinstance(item, FragmentDefinitionNode)}


class _Strings(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.errors: list[GraphQLError] = []

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if (fault := string_fault(node.value)) is not None:
            self.errors.append(GraphQLError(f"A string {fault}.", node, extensions={"code": LimitExceeded.code.value}))


def _string_errors(node: DocumentNode) -> list[GraphQLError]:
    strings = _Strings()
    visit(node, strings)
    return strings.errors[:ERRORS_MAX]


def _coded(error: GraphQLError, code: str) -> GraphQLError:
    error.extensions = {"code": code, **(error.extensions or {})}
    return error
