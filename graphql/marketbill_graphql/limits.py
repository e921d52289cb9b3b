"""Every limit of the API, and the check that a document keeps those that its text decides.

The check runs before the rules of the GraphQL specification, because some of those take quadratic time on a document
that these limits would refuse.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from marketbill.errors import LimitExceeded
from marketbill.paging import PAGE_MAX

#: Bytes of a request body, and of the whole query string of a GET.
BODY_BYTES_MAX = 256 * 1024
#: Tokens of a document.
TOKENS_MAX = 2_000
#: Nested fields, leaf included. Introspection has its own rule in the specification's list.
DEPTH_MAX = 12
#: Aliased fields in a document.
ALIASES_MAX = 30
#: Fields of the root selection, fragments spread.
ROOT_FIELDS_MAX = 10
#: Fields of an operation, fragments spread: a few nested fragments can stand for millions of fields.
FIELDS_MAX = 2_000
#: The same response name within one selection set.
REPEATS_MAX = 10
#: Characters of one string value, in a variable or in the document.
STRING_LENGTH_MAX = 10_000
#: Items of one list value in the variables.
LIST_ITEMS_MAX = 1_000
#: Nesting of the variables.
VALUE_DEPTH_MAX = 32
#: Rows that the pages of an operation may hold together, pages within pages multiplied.
ROWS_MAX = 5_000
#: Seconds an operation may take.
DEADLINE_SECONDS = 10.0
#: Errors in a response.
ERRORS_MAX = 50


def document_errors(document: DocumentNode) -> list[GraphQLError]:
    """What the document asks beyond a limit; empty when it keeps them all."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    census = _Census(fragments)
    errors: list[GraphQLError] = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            tally = census.selections(node.selection_set, root=True)
            errors += _exceeded(node, "levels of fields", tally.depth, DEPTH_MAX)
            errors += _exceeded(node, "fields at the root", tally.width, ROOT_FIELDS_MAX)
            errors += _exceeded(node, "fields once its fragments are spread", tally.fields, FIELDS_MAX)
    if census.aliases > ALIASES_MAX:
        errors += _exceeded(None, "aliases", census.aliases, ALIASES_MAX)
    if census.repeats > REPEATS_MAX:
        errors += _exceeded(None, "repetitions of one field in a selection", census.repeats, REPEATS_MAX)
    return errors


#: The size of a page: as the document says it, or the name of the variable that will.
PageSize = int | str


def check_rows(pages: Sequence[Sequence[PageSize]], variables: Mapping[str, Any]) -> None:
    """Refuses pages within pages that come to more than `ROWS_MAX` rows. Raises `LimitExceeded`.

    Each item of `pages` is one page with the pages it lies in, outermost first.
    """
    rows = 0
    for sizes in pages:
        held = 1
        for size in sizes:
            given = variables.get(size) if isinstance(size, str) else size
            # A variable that is left out has its default, which may be any: the largest page is assumed.
            held *= given if type(given) is int and 0 < given <= PAGE_MAX else PAGE_MAX
        rows += held
    if rows > ROWS_MAX:
        raise LimitExceeded(
            f"The pages of this operation may hold {rows} rows; at most {ROWS_MAX} are allowed: ask for smaller pages."
        )


def check_variables(variables: Mapping[str, Any]) -> None:
    """Refuses values that no field could take. Raises `LimitExceeded` with the variable's path."""
    pending: list[tuple[Any, tuple[str, ...]]] = [(variables, ())]
    while pending:
        value, path = pending.pop()
        if isinstance(value, str):
            if (fault := string_fault(value)) is not None:
                raise LimitExceeded(f"Variable ${'.'.join(path)} {fault}.", path=path)
            continue
        if not isinstance(value, (dict, list)):
            continue
        if len(path) > VALUE_DEPTH_MAX:
            raise LimitExceeded(f"Variable ${path[0]} is nested deeper than {VALUE_DEPTH_MAX} levels.", path=path[:1])
        if isinstance(value, list):
            if len(value) > LIST_ITEMS_MAX:
                raise LimitExceeded(f"Variable ${'.'.join(path)} has more than {LIST_ITEMS_MAX} items.", path=path)
            pending += [(item, (*path, str(index))) for index, item in enumerate(value)]
        else:
            pending += [(item, (*path, key)) for key, item in value.items()]


def string_fault(text: str) -> str | None:
    """What is wrong with a string as input, as the end of a sentence, or None."""
    if len(text) > STRING_LENGTH_MAX:
        return f"is longer than {STRING_LENGTH_MAX} characters"
    if "\0" in text:
        return "contains a NUL character"
    return None


@dataclass(frozen=True, slots=True)
class _Tally:
    """Of a selection set with its fragments spread: nested levels, fields at its top, fields in all."""

    depth: int
    width: int
    fields: int


_NOTHING = _Tally(0, 0, 0)


class _Census:
    """Counts the selections of a document, each fragment once."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.aliases = 0
        self.repeats = 0
        self._fragments = fragments
        self._known: dict[str, _Tally] = {}

    def selections(self, node: SelectionSetNode, *, root: bool = False) -> _Tally:
        depth = width = fields = 0
        names: dict[str, int] = {}
        for selection in node.selections:
            if isinstance(selection, FieldNode):
                if selection.alias:
                    self.aliases += 1
                name = (selection.alias or selection.name).value
                names[name] = names.get(name, 0) + 1
                below = self.selections(selection.selection_set) if selection.selection_set else _NOTHING
                introspection = root and selection.name.value.startswith("__")
                depth = max(depth, 1 if introspection else 1 + below.depth)
                width += 1
                fields += 1 + below.fields
                continue
            if isinstance(selection, InlineFragmentNode):
                below = self.selections(selection.selection_set, root=root)
            elif isinstance(selection, FragmentSpreadNode):
                below = self._fragment(selection.name.value, root=root)
            else:
                continue
            depth, width, fields = max(depth, below.depth), width + below.width, fields + below.fields
        self.repeats = max(self.repeats, *names.values()) if names else self.repeats
        return _Tally(depth, width, fields)

    def _fragment(self, name: str, *, root: bool) -> _Tally:
        if name not in self._known:
            # A fragment that spreads itself counts as nothing here; the specification's rules refuse it.
            self._known[name] = _NOTHING
            fragment = self._fragments.get(name)
            if fragment is not None:
                self._known[name] = self.selections(fragment.selection_set, root=root)
        return self._known[name]


def _exceeded(node: OperationDefinitionNode | None, what: str, count: int, limit: int) -> Iterable[GraphQLError]:
    if count > limit:
        yield GraphQLError(
            f"The document has {count} {what}; at most {limit} are allowed.",
            node,
            extensions={"code": LimitExceeded.code.value, "limit": limit},
        )
