"""The table of states: nothing that is not final is without a limit or a reason, and the questions can be asked."""

from datetime import timedelta

import pytest

from marketbill.db import Database
from marketbill.health.findings import count_late, count_waiting, name_late
from marketbill.health.states import STATES
from marketbill.health.waits import WAITS, Kind
from marketbill.ids import PREFIX, PlatformId
from marketbill.ledger.operations.correction import CorrectionStatus
from marketbill.payments.model import PaymentStatus
from marketbill.payouts.model import PayoutStatus, ReversalStatus, TransferStatus
from marketbill.provider.model import IntentStatus
from marketbill.provider.objects import CapabilityState
from marketbill.recovery.model import WriteOffStatus
from marketbill.refunds.model import RefundStatus
from marketbill.rules.disputes import DisputeStatus

NAMES = {
    "payment": set(PaymentStatus),
    "transfer": set(TransferStatus),
    "reversal": set(ReversalStatus),
    "payout": set(PayoutStatus),
    "refund": set(RefundStatus),
    "dispute": set(DisputeStatus),
    "seller": set(CapabilityState),
    "request": set(IntentStatus),
    "correction": set(CorrectionStatus),
    "write-off": set(WriteOffStatus),
}


@pytest.mark.parametrize("thing", NAMES)
def test_every_state_of_a_thing_is_in_the_table_once(thing: str) -> None:
    listed = [state.name for state in STATES if state.thing == thing]
    assert len(listed) == len(set(listed))
    assert set(listed) == NAMES[thing]


def test_a_state_is_final_or_watched_or_says_why_not() -> None:
    for state in STATES:
        assert [state.final, bool(state.waits), bool(state.because)].count(True) == 1, state


def test_every_wait_watches_a_state_and_says_what_to_do() -> None:
    assert set(WAITS) == set(Kind)
    watching = {kind for state in STATES for kind in state.waits}
    assert watching == set(Kind)
    for kind, wait in WAITS.items():
        assert wait.swept_by, kind
        assert wait.to_do, kind
        assert timedelta(0) <= wait.limit <= timedelta(days=60), kind
        assert wait.noun in {"event", "account", "float", *PREFIX}, kind


@pytest.mark.parametrize("everything", [False, True])
async def test_every_question_can_be_asked_through_both_walls(
    db: Database, platform: PlatformId, everything: bool
) -> None:
    async with db.system() as scope:
        assert await count_late(scope, everything=everything) == []
    async with db.read(platform) as scope:
        assert await name_late(scope, set(Kind), everything=everything) == []
        assert await count_waiting(scope) == {}
