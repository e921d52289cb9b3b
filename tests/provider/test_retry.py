"""The retry table, row by row, and the bounds of its waits."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.provider.port import Declined, Failure, ProviderError, Refused, Unknown
from marketbill.provider.retry import Action, Decision, answer_is_kept, decide, held_for_at_most, proves


def refused(code: str | None, status: int = 400) -> Refused:
    return Refused(Failure(status, code, "text"))


def unknown(code: str | None, status: int | None) -> Unknown:
    return Unknown(Failure(status, code, "text"))


@pytest.mark.parametrize(
    ("error", "decision"),
    [
        (refused("balance_insufficient"), Decision(Action.AGAIN, same_key=False, after=timedelta(minutes=30))),
        (refused("insufficient_capabilities_for_transfer"), Decision(Action.HOLD, same_key=False)),
        (refused("account_invalid", 403), Decision(Action.HOLD, same_key=True)),
        (refused(None, 403), Decision(Action.HOLD, same_key=True)),
        (refused("resource_missing"), Decision(Action.HOLD, same_key=False)),
        (refused("payouts_not_allowed"), Decision(Action.HOLD, same_key=False)),
        (refused("transfers_not_allowed"), Decision(Action.GIVE_UP, same_key=False)),
        (refused("parameter_invalid_integer"), Decision(Action.GIVE_UP, same_key=False)),
        (refused(None), Decision(Action.GIVE_UP, same_key=False)),
        (refused("authentication", 401), Decision(Action.AGAIN, same_key=True, after=timedelta(minutes=5))),
        (unknown("authentication", 401), Decision(Action.AGAIN, same_key=True, after=timedelta(minutes=5))),
        (unknown("answer_not_understood", 403), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown("answer_awaited", None), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown("lock_timeout", 429), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=2))),
        (unknown("rate_limit", 429), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown("idempotency_key_in_use", 409), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=2))),
        (unknown(None, 500), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (unknown(None, 503), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (Unknown(Failure(400, None, "text", "idempotency_error")), Decision(Action.AGAIN, True, timedelta(seconds=5))),
        (unknown("answer_mismatch", 200), Decision(Action.GIVE_UP, same_key=True)),
        (unknown("no_answer", None), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        # An open answer is never given a new key, whatever its code says.
        (unknown("balance_insufficient", 500), Decision(Action.AGAIN, same_key=True, after=timedelta(seconds=5))),
        (Declined(Failure(402, "card_declined", "text")), Decision(Action.FINAL, same_key=False)),
    ],
)
def test_the_first_decision(error: ProviderError, decision: Decision) -> None:
    assert decide(error, attempts=1, jitter=0) == decision


def test_a_server_error_that_the_provider_keeps_with_its_key_is_repeated_a_few_times_only() -> None:
    error = unknown(None, 500)
    waits = [decide(error, attempts=attempt, jitter=0).after for attempt in (1, 2, 10, 11, 12, 23)]
    assert waits == [timedelta(seconds=seconds) for seconds in (5, 10, 2560, 5120, 7200, 7200)]
    assert decide(error, attempts=24, jitter=0) == Decision(Action.GIVE_UP, same_key=True)


def test_waits_double_up_to_a_limit_and_end() -> None:
    error = unknown(None, 503)
    waits = [decide(error, attempts=attempt, jitter=0).after for attempt in (1, 2, 3, 8, 9)]
    assert waits == [timedelta(seconds=seconds) for seconds in (5, 10, 20, 640, 900)]
    assert decide(error, attempts=39, jitter=0).after == timedelta(minutes=15)
    assert decide(error, attempts=40, jitter=0) == Decision(Action.GIVE_UP, same_key=True)


@pytest.mark.parametrize(
    ("error", "proof"),
    [
        (refused("resource_missing"), True),
        (refused("balance_insufficient"), True),
        (refused("resource_missing", 404), True),
        (Declined(Failure(402, "card_declined", "text")), True),
        (Refused(Failure(None, "never_received", "ours")), True),
        (refused("authentication", 401), False),
        (refused("account_invalid", 403), False),
        (refused(None, 405), False),
        (unknown("rate_limit", 429), False),
        (unknown("idempotency_key_in_use", 409), False),
        (Unknown(Failure(400, None, "text", "idempotency_error")), False),
        (unknown(None, 500), False),
        (unknown("no_answer", None), False),
    ],
)
def test_what_proves_that_earlier_attempts_did_nothing(error: ProviderError, proof: bool) -> None:
    assert proves(error) is proof


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (Failure(500, None, "text"), True),
        (Failure(400, None, "text", "idempotency_error"), True),
        (Failure(409, None, "text", "idempotency_error"), False),  # in flight, as some say it
        (Failure(503, None, "text"), False),
    ],
)
def test_what_the_provider_keeps_with_a_key(error: Failure, kept: bool) -> None:
    assert answer_is_kept(error.as_json()) is kept


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
        assert attempts >= 24
