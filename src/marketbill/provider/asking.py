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
    return (
        f"{row}.updated_at > {now} - {_GIVEN_UP} and {row}.updated_at <= {now} - {_NEWS_WITHIN}"
        f" and {row}.created_at > {now} - {_GIVEN_UP}"
        f" and {is_time(row, since=f'{row}.created_at', first=_NEWS_WITHIN)}"
    )


def is_time(
    row: str, *, since: str, first: str = _NEWS_WITHIN, longest: str = _LONGEST, touched: str = "updated_at"
) -> str:
    """SQL: whether as long again has passed as lay between `since` and the last touch, from `first` to `longest`."""
    wait = f"least(greatest({row}.{touched} - {since}, {first}), {longest})"
    return f"{row}.{touched} + {wait} <= cast(:now as timestamptz)"
