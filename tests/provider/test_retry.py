"""The retry table, row by row, and the bounds of its waits."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.provider.port import Declined, Failure, ProviderError, Refused, Unknown
from marketbill.provider.retry import Action, Decision, decide, held_for_at_most


def refused(code: str | None, status: int = 400) -> Refused:
    return Refused(Failure(status, code, "text"))


def unknown(code: str | None, status: int | None) -> Unknown:
    return Unknown(Failure(status, code, "text"))


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (refused("balance_insufficient"), Decision(Action.AGAIN, same_key=False, after=timedelta(minutes=30))),
        (refused("insufficient_capabilities_for_transfer"), Decision(Action.HOLD, same_key=False)),
        (refused("account_invalid", 403), Decision(Action.HOLD, same_key=False)),
        (refused("resource_missing"), Decision(Action.HOLD, same_key=False)),
        (refused("payouts_not_allowed"), Decision(Action.HOLD, same_key=False)),
        (refused("transfers_not_allowed"), Decision(Action.GIVE_UP, same_key=False)),
        (refused("parameter_invalid_integer"), Decision(Action.GIVE_UP, same_key=False)),
        (refused(None), Decision(Action.GIVE_UP, same_key=False)),
        (refused("authentication", 401), Decision(Action.AGAIN, same_key=False, after=timedelta(minutes=5))),
        (unknown("lock_timeout", 429), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=2))),
        (unknown("rate_limit", 429), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown("idempotency_key_in_use", 409), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=2))),
        (unknown(None, 500), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown("no_answer", None), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        # An open answer is never given a new key, whatever its code says.
        (unknown("balance_insufficient", 500), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (Declined(Failure(402, "card_declined", "text")), Decision(Action.FINAL, same_key=False)),
    ],
)
def test_the_first_decision(error: ProviderError, decision: Decision) -> None:
    assert decide(error, attempts=1, jitter=0) == decision


def test_waits_double_up_to_a_limit_and_end() -> None:
    error = unknown(None, 500)
    waits = [decide(error, attempts=attempt, jitter=0).after for attempt in (1, 2, 3, 8, 9)]
    assert waits == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 640, 900)]
    assert decide(error, attempts=39, jitter=0).after == timedelta(minutes=15)
    assert decide(error, attempts=40, jitter=0) == Decision(Action.GIVE_UP, same_key=True)


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 1), (1, 1), (2, 2), (6, 32), (7, 60), (10_000, 60)])
def test_what_seems_free_is_tried_within_the_hour(attempts: int, minutes: int) -> None:
    assert held_for_at_most(attempts, seems_free=True) == timedelta(minutes=minutes)
    assert held_for_at_most(attempts, seems_free=False) == timedelta(days=7)


@given(
    st.sampled_from([refused("balance_insufficient"), unknown("lock_timeout", 429), unknown(None, 500)]),
    st.integers(1, 10_000),
    st.floats(0, 1),
)
def test_every_wait_is_bounded(error: ProviderError, attempts: int, jitter: float) -> None:
    decision = decide(error, attempts=attempts, jitter=jitter)
    if decision.action is Action.AGAIN:
        calm = decide(error, attempts=attempts, jitter=0).after
        assert calm is not None
        assert decision.after is not None
        assert timedelta(seconds=2) <= calm <= decision.after <= calm * 1.25 <= timedelta(hours=7.5)
    else:
        assert decision.action is Action.GIVE_UP
        assert attempts >= 40
