"""The schema, assembled from the rooms, and its printed form (the published contract)."""

from collections.abc import Sequence

import strawberry
from strawberry.schema.config import StrawberryConfig
from strawberry.tools import merge_types

from marketbill_graphql.scalars import SCALARS


def assemble(*, queries: Sequence[type], mutations: Sequence[type], types: Sequence[type] = ()) -> strawberry.Schema:
    """A schema of the given rooms' queries and mutations; `types` are those reached only through an interface."""
    return strawberry.Schema(
        query=merge_types("Query", tuple(queries)),
        mutation=merge_types("Mutation", tuple(mutations)) if mutations else None,
        types=types,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
