"""What to do after the provider did not do what we asked: the retry table as data, and one pure function over it.

Source: the provider's error reference and its rules on idempotent requests. A request that got no definite answer goes
again under the *same* key; one that was refused for certain needs a *new* key, because the provider replays a stored
answer for the old one. A server error is both: no definite answer, and stored (decision record 0008).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from marketbill.provider.port import Declined, Failure, ProviderError, Refused, Unknown


class Action(StrEnum):
    """AGAIN: later, by itself. HOLD: until the account changes. GIVE_UP: an operator looks. FINAL: it is answered."""

    AGAIN = "AGAIN"
    HOLD = "HOLD"
    GIVE_UP = "GIVE_UP"
    FINAL = "FINAL"


@dataclass(frozen=True, slots=True)
class Rule:
    """`first` and `longest` bound the wait between attempts, which doubles; `attempts_max` bounds their number."""

    action: Action
    same_key: bool = False
    first: timedelta = timedelta(0)
    longest: timedelta = timedelta(0)
    attempts_max: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens now; `after` is the wait before the next attempt, for AGAIN only."""

    action: Action
    same_key: bool
    after: timedelta | None = None


_SOON = Rule(Action.AGAIN, True, timedelta(seconds=5), timedelta(minutes=15), attempts_max=40)
_QUICK = Rule(Action.AGAIN, True, timedelta(seconds=2), timedelta(minutes=5), attempts_max=40)
# Each repetition gets the same answer, so there are few of them until the key is renewed.
_KEPT = Rule(Action.AGAIN, True, timedelta(seconds=5), timedelta(hours=2), attempts_max=24)
_FUNDS = Rule(Action.AGAIN, False, timedelta(minutes=30), timedelta(hours=6), attempts_max=120)
_HOLD = Rule(Action.HOLD)
_HOLD_KEY = Rule(Action.HOLD, True)
_GIVE_UP = Rule(Action.GIVE_UP)
_ALARM = Rule(Action.GIVE_UP, True)

#: The code of an attempt that only looked up.
ANSWER_AWAITED = "answer_awaited"
#: By the provider's error code.
BY_CODE: dict[str, Rule] = {
    "balance_insufficient": _FUNDS,
    "insufficient_funds": _FUNDS,
    "insufficient_capabilities_for_transfer": _HOLD,
    "account_invalid": _HOLD_KEY,
    "resource_missing": _HOLD,
    "payouts_not_allowed": _HOLD,
    "no_account": _HOLD,
    "transfers_not_allowed": _GIVE_UP,
    "idempotency_key_in_use": _QUICK,
    "lock_timeout": _QUICK,
    "rate_limit": _SOON,
    # Ours: nothing is transferred into an account below zero; it recovers, or is topped up, in its own time.
    "account_negative": Rule(Action.AGAIN, False, timedelta(hours=1), timedelta(days=1), attempts_max=180),
    # Ours, for what something on the way answered, whatever its status.
    "answer_not_understood": _SOON,
    # Our own: neither the old key nor a new one may be sent before the provider has had its time.
    ANSWER_AWAITED: _KEPT,
    # Our own: the provider made something else than we asked for.
    "answer_mismatch": _ALARM,
}
#: What more money on the platform's own balance may mend.
FOR_WANT_OF_FUNDS = frozenset({"balance_insufficient", "insufficient_funds"})
#: By HTTP status, when the code says nothing; 401 and 403 wait because an operator mends our credentials, not the
#: request, which goes on under its key.
BY_STATUS: dict[int, Rule] = {
    401: Rule(Action.AGAIN, True, timedelta(minutes=5), timedelta(hours=1), attempts_max=48),
    403: _HOLD_KEY,
    409: _QUICK,
    429: _SOON,
}
#: Wait for an account at most until somebody looks: an account that never changes must not hide the money.
HELD_LONGEST = timedelta(days=7)
#: Where the account seems to be free by now (its news came while we asked), it is tried again after this, doubling.
FREE_FIRST = timedelta(minutes=1)
FREE_LONGEST = timedelta(hours=1)


def decide(error: ProviderError, *, attempts: int, jitter: float) -> Decision:
    """What to do after attempt number `attempts` ended in `error`. `jitter` (0..1) spreads the waits by up to 25 %."""
    match error:
        case Declined():
            return Decision(Action.FINAL, same_key=False)
        case Unknown():
            otherwise = _KEPT if answer_is_kept(error.failure.as_json()) else _SOON
            rule = BY_CODE.get(error.failure.code or "") or _by_status(error.failure, otherwise)
            rule = rule if rule.same_key else otherwise
        case Refused():
            rule = BY_CODE.get(error.failure.code or "") or _by_status(error.failure, _GIVE_UP)
    if rule.action is not Action.AGAIN:
        return Decision(rule.action, rule.same_key)
    if attempts >= rule.attempts_max:
        return Decision(Action.GIVE_UP, rule.same_key)
    wait = min(rule.first * 2 ** min(max(attempts, 1) - 1, 30), rule.longest)
    return Decision(Action.AGAIN, rule.same_key, after=wait + wait * int(jitter * 250) // 1000)


def answer_is_kept(last_error: Mapping[str, Any] | None) -> bool:
    """Whether the provider answers every repetition of a request that ended in this (`Failure.as_json`) alike: it keeps
    a server error with its key, and a key that was once sent with other parameters never fits again."""
    error = last_error or {}
    status = error.get("status")
    return status == 500 or (error.get("type") == "idempotency_error" and status != 409)


#: A refusal of ours has no status: nothing was sent.
_BEHIND_THE_KEYS = frozenset({None, 400, 402, 404})


def proves(error: ProviderError) -> bool:
    """Whether this answer proves that no earlier attempt under the same key was done either.

    A decline or a refusal of the request itself is given behind the provider's store of keys: had an earlier attempt
    been done, its answer would have been repeated instead; were it under way, the answer were a 409. (What fails the
    validation is not stored, so a `resource_missing` is of now; yet it too is said only where there is nothing to
    repeat.) Credentials and permissions (401, 403), limits (429) and whatever else is answered in front of that store,
    so it says nothing of earlier attempts. Earlier keys have been settled before `claim.renew_key`.
    """
    return not isinstance(error, Unknown) and error.failure.status in _BEHIND_THE_KEYS


def held_for_at_most(attempts: int, *, seems_free: bool) -> timedelta:
    """How long a HOLD after attempt number `attempts` waits at most for news of its account."""
    if not seems_free:
        return HELD_LONGEST
    return min(FREE_FIRST * 2 ** min(max(attempts, 1) - 1, 30), FREE_LONGEST)


def _by_status(failure: Failure, otherwise: Rule) -> Rule:
    return BY_STATUS.get(failure.status, otherwise) if failure.status is not None else otherwise
