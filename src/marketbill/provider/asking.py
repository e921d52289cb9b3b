"""When the provider is asked about something of ours whose news may have been lost.

Not while the event may still come, then at growing distances: after as long again as the thing was old when it was last
touched. The column `updated_at` says when that was, because asking touches the row too.
"""

_NEWS_WITHIN = "interval '10 minutes'"
_LONGEST = "interval '6 hours'"
#: Events are repeated and kept by the provider for as long; a thing that is older will not move any more.
_GIVEN_UP = "interval '30 days'"


def is_due(row: str) -> str:
    """SQL: whether to ask about the row of this alias now (`:now`). The two bounds are for an index on `updated_at`."""
    now = "cast(:now as timestamptz)"
    wait = f"least(greatest({row}.updated_at - {row}.created_at, {_NEWS_WITHIN}), {_LONGEST})"
    return (
        f"{row}.updated_at > {now} - {_GIVEN_UP} and {row}.updated_at <= {now} - {_NEWS_WITHIN}"
        f" and {row}.created_at > {now} - {_GIVEN_UP} and {row}.updated_at + {wait} <= {now}"
    )
