"""The process that is at a point of a saga is killed there; started again, it ends in the same ledger.

The points are the boundaries that an undisturbed run crosses (`boundaries`): before and after each commit that wrote,
each request to the provider, each hand-over to the broker, each job, and each answer of the web server. All of them are
in the matrix, with three exceptions (`points`): what every saga crosses alike is killed in one of them; a sweep that
only sometimes comes before the news it replaces, in the saga of a payout that comes back; and of a saga that goes on
where another ended otherwise (refused, retry, abandon, return), only what is new in it.
"""

import os
import random

import pytest
from tests.brokers.fixtures import BROKERS, queue_at
from tests.crash import points
from tests.crash.sagas import SAGAS
from tests.crash.stage import Run, Stage
from tests.crash.town import Kill

MATRIX = [(saga, point) for saga, listed in points.kept().items() for point in listed]
#: Pairs of deaths that are tried of each saga, always the same.
PAIRS_OF_SAGA = 2


@pytest.mark.parametrize("name", list(SAGAS))
def test_the_matrix_has_every_point_that_is_there_and_no_other(stage: Stage, name: str) -> None:
    reached = points.of_saga(name, stage.undisturbed(name).points)
    if os.environ.get("WRITE_POINTS"):
        points.keep(name, reached)
    assert points.kept()[name] == reached, "read the difference, then run this test with WRITE_POINTS=1"


@pytest.mark.parametrize(("name", "point"), MATRIX, ids=[f"{saga}-{point}" for saga, point in MATRIX])
def test_a_killed_process_changes_nothing(stage: Stage, name: str, point: str) -> None:
    run = stage.run(SAGAS[name], [Kill(point)])
    assert run.deaths == 1, "the point was not reached"
    same(run, stage.undisturbed(name))


def pairs() -> list[tuple[str, Kill, Kill]]:
    chosen = random.Random(7)
    return [
        (name, Kill(chosen.choice(listed)), Kill(chosen.choice(listed), chosen.randint(1, 2)))
        for name, listed in points.kept().items()
        for _ in range(PAIRS_OF_SAGA)
    ]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    pairs(),
    ids=[f"{name}-{first.point}-then-{second.point}-{second.turn}" for name, first, second in pairs()],
)
def test_a_crash_within_the_recovery_changes_nothing(stage: Stage, name: str, first: Kill, second: Kill) -> None:
    """All processes die the first time; the second death comes when, and if, the others get as far."""
    run = stage.run(SAGAS[name], [first, second])
    assert run.deaths >= 1
    same(run, stage.undisturbed(name))


def same(run: Run, undisturbed: Run) -> None:
    assert run.fingerprint.lines == undisturbed.fingerprint.lines
    assert run.fingerprint.hash == undisturbed.fingerprint.hash


#: The broker's own points, killed over every broker that is there.
AT_THE_BROKER = (
    "relay: before enqueue",
    "relay: after enqueue",
    "relay.Relay.pass_on: before commit",
    "relay.Relay.pass_on: after commit",
    "worker: before job execute_payouts",
    "worker: after job execute_payouts",
)


@pytest.mark.parametrize("broker", [name for name in BROKERS if name != "valkey"])
@pytest.mark.parametrize("point", AT_THE_BROKER)
def test_a_process_killed_at_another_broker_changes_nothing(
    stage: Stage, valkey_url: str, broker: str, point: str
) -> None:
    run = stage.run(SAGAS["payout"], [Kill(point)], queue=queue_at(broker, valkey_url))
    assert run.deaths == 1, "the point was not reached"
    same(run, stage.undisturbed("payout"))
