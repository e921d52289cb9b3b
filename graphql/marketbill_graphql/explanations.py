"""Amounts explained: the tree of a payment, a journal entry, a posting or a statement line, as a list."""

import strawberry

from marketbill.insight import explanation
from marketbill.insight.node import Node
from marketbill.rules.explanation import Rounding
from marketbill.statements.statement import Section
from marketbill_graphql import declare, splits, statements
from marketbill_graphql.context import Info
from marketbill_graphql.money import Money, amount
from marketbill_graphql.nodes import or_null

# The enums that these rooms declare have their names from there.
PARTIES = splits.PARTIES | statements.PARTIES


@declare.output(PARTIES)
class Evidence:
    """A fact that a decision was made by."""

    name: str
    value: str


@declare.output(PARTIES)
class ExplanationNode:
    """An amount, or a fact about it; the nodes below it say what it was made of."""

    index: int = strawberry.field(description="Its place in the list, from 0.")
    parent: int | None = strawberry.field(description="The index of the node above it, which comes earlier.")
    label: str
    amount: Money | None
    formula: str | None = strawberry.field(
        description="The arithmetic over minor units and percentages, as it was kept with the sale."
    )
    exact: str | None = strawberry.field(description="The result of the formula before rounding, as a fraction.")
    rounding: Rounding | None
    got_remainder: bool = strawberry.field(description="Of a share: it was rounded up to make the whole.")
    rule: str | None = strawberry.field(description="The rule, with the version of its schedule.")
    source: str | None = strawberry.field(description="The law that says so.")
    evidence: list[Evidence]
    reference: strawberry.ID | None = strawberry.field(description="The id of the object itself.")
    note: str | None


@strawberry.type
class ExplanationQueries:
    @declare.query(PARTIES)
    async def explain(
        self, info: Info, id: strawberry.ID, section: Section | None = None
    ) -> list[ExplanationNode] | None:
        """What a payment, a journal entry or a posting was made of, from the top down, each node after its parent.

        A line of a statement is its entry with its section. A seller gets what is his own. Null when there is no such
        object for this caller.
        """
        actor = info.context.actor
        tree = await or_null(info.context.read(lambda scope: explanation.explain(scope, actor, id, section=section)))
        return [_node(*one) for one in tree.walk()] if tree is not None else None


def _node(index: int, parent: int | None, node: Node) -> ExplanationNode:
    has_amount = node.amount is not None and node.currency is not None
    return ExplanationNode(
        index=index,
        parent=parent,
        label=node.label,
        amount=amount(node.amount or 0, node.currency or "") if has_amount else None,
        formula=node.formula,
        exact=node.exact,
        rounding=node.rounding,
        got_remainder=node.got_remainder,
        rule=node.rule,
        source=node.source,
        evidence=[Evidence(name=name, value=str(value)) for name, value in node.evidence.items()],
        reference=strawberry.ID(node.reference) if node.reference else None,
        note=node.note,
    )
