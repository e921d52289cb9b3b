"""The journal against a model of twenty lines: random batches of keys, amounts and accounts, some refused."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketbill.db import Database
from marketbill.ids import PlatformId, SellerId, new_id
from marketbill.ledger import chart
from marketbill.ledger.balances import accounts, trial_balance
from marketbill.ledger.journal import JournalEntry, Posting, Source, post
from marketbill.ledger.proof import check

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SOURCE = Source("payment", UUID(int=1))
SELLERS = [SellerId(new_id()) for _ in range(2)]
CHART = [
    chart.psp_pending("EUR"),
    chart.platform_fee("EUR"),
    *(chart.seller_pending(seller, "EUR") for seller in SELLERS),
    *(chart.seller_payable(seller, "EUR") for seller in SELLERS),
]
GUARDED = {ref.code for ref in CHART[2:]}

Move = tuple[int, int, int]
Asked = tuple[int, tuple[Move, ...]]

MOVES = st.tuples(st.integers(0, len(CHART) - 1), st.integers(1, len(CHART) - 1), st.integers(1, 20))
ASKED = st.tuples(st.integers(0, 6), st.lists(MOVES, min_size=1, max_size=3).map(tuple))


@dataclass
class Model:
    """Net credits by code, and the body under each key."""

    held: dict[str, int] = field(default_factory=dict)
    bodies: dict[int, list[Move]] = field(default_factory=dict)

    def post(self, asked: Asked) -> str:
        key, moves = asked
        if key in self.bodies:
            return "REPLAYED" if self.bodies[key] == sorted(moves) else "CONFLICT"
        held = dict(self.held)
        for debit, step, amount in moves:
            for place, sign in ((debit, -amount), ((debit + step) % len(CHART), amount)):
                held[CHART[place].code] = held.get(CHART[place].code, 0) + sign
        if any(held[code] < 0 for code in GUARDED & held.keys()):
            return "REFUSED"
        self.held, self.bodies[key] = held, sorted(moves)
        return "POSTED"


def entry(asked: Asked) -> JournalEntry:
    key, moves = asked
    postings = tuple(Posting(CHART[debit], CHART[(debit + step) % len(CHART)], amount) for debit, step, amount in moves)
    return JournalEntry(str(key), "charge", SOURCE, postings, NOON, "", {})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(ASKED, min_size=1, max_size=8), min_size=1, max_size=4))
async def test_the_journal_does_what_the_model_does(db: Database, batches: list[list[Asked]]) -> None:
    platform, model = PlatformId(new_id()), Model()
    for batch in batches:
        async with db.write(platform) as scope:
            results = await post(scope, [entry(asked) for asked in batch])
        assert [result.outcome for result in results] == [model.post(asked) for asked in batch]
    async with db.read(platform) as scope:
        assert await check(scope) == []
        held = {account.code: account.credits - account.debits for account in await accounts(scope)}
        assert held == model.held
        assert all(balance.debit == balance.credit for balance in await trial_balance(scope))
