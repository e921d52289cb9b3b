"""The points of the matrix: what an undisturbed run of each saga crosses, kept in `points.json`.

The list is committed, so that a point which is gone or new shows as a difference to read. `WRITE_POINTS=1` makes the
test that compares the two write the file anew.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).with_name("points.json")
#: The way that everything takes, whatever it carries: once is enough, in the shortest saga that crosses all of it.
_SHARED = re.compile(
    r"relay|graphql:|webhook:|webhooks\.(receive|catch_up)|schedule\.|sandbox_clock|jobs\._?prune"
    r"|worker: .* (prune|catch_up|refresh_rates)"
)
_SHARED_IN = "payout"
#: What a sweep does when it comes before the news that it is there to replace, and rates that no saga needs.
_BY_CHANCE = re.compile(
    r"payments\.resolve|\w+\.upkeep|rates\.|worker: .* (keep_up_\w+|resolve_payments|make_available)"
)
#: Of sagas that only go on where another ended otherwise: what is new in each.
_TRANSFER = re.compile(r"interventions\.|payouts\.transfer|provider\.|worker: .* execute_transfers")
_PAYOUT = re.compile(r"payouts\.upkeep|worker: .* keep_up_payouts")
_DISPUTE = re.compile(r"disputes\.|worker: .* execute_disputes")
_ANSWER = re.compile(r"disputes\.(answer|execute)\.")
_NEW = {
    "refused": _TRANSFER,
    "retry": _TRANSFER,
    "abandon": _TRANSFER,
    "return": _PAYOUT,
    "contest": _DISPUTE,
    "accept": _ANSWER,
}


def of_saga(saga: str, reached: Iterable[str]) -> list[str]:
    """The points of a run that belong to this saga's column of the matrix, by name."""

    def is_own(point: str) -> bool:
        if saga in _NEW:
            return _NEW[saga].match(point) is not None
        return (saga == _SHARED_IN or not _SHARED.match(point)) and not _BY_CHANCE.match(point)

    return sorted(filter(is_own, set(reached)))


def kept() -> dict[str, list[str]]:
    return json.loads(FILE.read_text()) if FILE.exists() else {}


def keep(saga: str, points: list[str]) -> None:
    FILE.write_text(json.dumps({**kept(), saga: points}, indent=2, sort_keys=True) + "\n")
