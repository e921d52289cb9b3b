"""How a posting's effective time stands to its account's others: one small number on each side of it.

Zero when it comes in order, which most do: no posting of the account that was recorded before it is effective later.
`AHEAD` when it comes in order and is effective well after it was recorded. From one on it is late, and the number says
how late: less than a millisecond, than eight, than sixty-four, and so on, eight times as much with each step.

So a balance at an instant is a running balance and the late postings that came after it, and those are found by their
lag: of a step, only what is effective within the step's time before the instant can have been recorded after it.
"""

IN_ORDER = 0
AHEAD = -1

#: The last step, which has no end: seventeen years and more.
LAG_MAX = 15

#: How far ahead of its recording a posting may be effective, in microseconds, because clocks differ.
AHEAD_US = 10_000_000


def lag_of(late_us: int) -> int:
    """The step of a posting that is late by so many microseconds."""
    return min(((late_us // 1_000).bit_length() + 2) // 3 + 1, LAG_MAX)


def reach_ms(lag: int) -> int | None:
    """A posting of this lag is late by less than these milliseconds; None for the last step."""
    return None if lag >= LAG_MAX else 8 ** (lag - 1)
