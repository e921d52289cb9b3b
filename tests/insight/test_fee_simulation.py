"""A draft over the stored sales: the live schedule changes nothing, another one changes what hand computation says."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.market.machine import FEE_RULE, Machine
from tests.market.market import Market

from marketbill.ids import public_id
from marketbill.insight.fee_replay import EDGES, Replay, StoredSale, Tally, bucket
from marketbill.insight.fee_simulation import Simulation, Told, simulate
from marketbill.platforms import fee_schedule
from marketbill.rules.fees.schedule import Schedule

DOCUMENT: dict[str, Any] = FEE_RULE.document()


def percent(text: str, **more: Any) -> Schedule:
    return fee_schedule.draft_schedule(DOCUMENT | {"rules": [DOCUMENT["rules"][0] | {"percent": text} | more]})


@pytest.fixture
async def history(machine: Machine) -> Market:
    """Sales of two sellers under 10 % and 0.30, in two currencies: fees of 530, 1030 and 530 EUR cents, 130 JPY."""
    market = await machine.platform()
    await market.seller("A", onboard=None)
    await market.seller("B", onboard=None)
    await market.sale(market.line("A", 5000))
    await market.sale(market.line("A", 5000), market.line("B", 5000))
    await market.sale(market.line("B", 5000))
    await market.sale(market.line("B", 1000, currency="JPY"))
    return market


async def ask(market: Market, draft: Schedule, *, processes: int = 1, **more: Any) -> Tally:
    async with market.machine.services.db.read(market.platform) as scope:
        tally, _ = await simulate(scope, Simulation(draft, **more), processes=processes)
    return tally


async def test_the_live_schedule_changes_nothing(history: Market) -> None:
    tally = await ask(history, percent("10"))
    assert tally.changed == 0
    assert {currency: (sums.sales, sums.fee_change) for currency, sums in tally.currencies.items()} == {
        "EUR": (3, 0),
        "JPY": (1, 0),
    }
    assert tally.currencies["EUR"].fee_before == 530 + 1030 + 530
    assert all(sums.net_change == 0 for sums in tally.sellers.values())
    assert tally.changes["EUR"][EDGES.index(0)] == 3


@pytest.mark.parametrize("processes", [1, 2])
async def test_another_schedule_changes_what_a_hand_computes(history: Market, processes: int) -> None:
    tally = await ask(history, percent("8"), processes=processes)
    euro = tally.currencies["EUR"]
    assert (euro.fee_after, euro.fee_change, euro.gross) == (430 + 830 + 430, -400, 20000)
    # 2.00 less of each seller's fees of 100.00, and 21 % tax less on it.
    assert {
        key: (sums.sales, sums.fee_change, sums.net_change) for key, sums in tally.sellers.items() if key[0] == "EUR"
    } == {("EUR", history_id(history, name)): (2, -200, 242) for name in "AB"}
    assert tally.currencies["JPY"].fee_change == -20
    assert tally.changes["EUR"][EDGES.index(-200)] == 3
    assert tally.changed == 4


async def test_a_range_and_a_group_narrow_it(history: Market) -> None:
    services = history.machine.services
    async with services.db.write(history.platform) as scope:
        await scope.run(text("update seller set groups = '{pro}' where id = :id"), {"id": history.sellers["A"]})
        now = scope.now
    tally = await ask(history, percent("8"), group="pro")
    assert {seller for _, seller in tally.sellers} == {history_id(history, "A")}
    assert tally.currencies["EUR"].fee_change == -200
    assert (await ask(history, percent("8"), group="nobody")).currencies == {}
    assert (await ask(history, percent("8"), end=now - timedelta(days=1))).currencies == {}
    assert (await ask(history, percent("8"), start=now - timedelta(days=1))).currencies["EUR"].sales == 3
    pro = percent("8", when={"seller_groups": ["pro"]})
    rules = (*pro.rules, *percent("10", name="all").rules)
    both = Schedule("fee_draft", 1, rules, name="x")
    assert (await ask(history, both)).changed == 0, "the groups of the time of the sale"
    assert (await ask(history, both, groups_now=True)).currencies["EUR"].fee_change < 0


async def test_what_a_schedule_would_refuse_is_counted_apart(history: Market) -> None:
    tally = await ask(history, percent("8", fixed={"JPY": "30"}))
    assert tally.refused == {"FixedFeeMissing": 3}
    assert set(tally.currencies) == {"JPY"}


async def test_tiers_count_what_was_sold_before(history: Market) -> None:
    # 10 % up to 100.00 a month, 5 % above. A: 50.00, then 50.00. B: 50.00, then 50.00.
    tiers = {
        "mode": "GRADUATED",
        "period": "MONTH",
        "steps": [{"percent": "10"}, {"from": {"EUR": "75.00", "JPY": "75"}, "percent": "5"}],
    }
    rule = {key: value for key, value in DOCUMENT["rules"][0].items() if key != "percent"} | {"tiers": tiers}
    draft = fee_schedule.draft_schedule(DOCUMENT | {"rules": [rule]})
    tally = await ask(history, draft)
    # The second 50.00 of each: 25.00 at 10 % and 25.00 at 5 % are 3.75 in place of 5.00.
    assert tally.currencies["EUR"].fee_change == -125 * 2


async def test_a_later_version_is_compared_with_the_live_one_or_with_what_was_charged(history: Market) -> None:
    await history.fees(DOCUMENT | {"rules": [DOCUMENT["rules"][0] | {"percent": "8"}]})
    assert (await ask(history, percent("8"))).changed == 0
    charged = await ask(history, percent("8"), charged=True)
    assert charged.currencies["EUR"].fee_change == -400


async def test_it_tells_how_far_it_is(history: Market) -> None:
    class Teller(Told):
        def __init__(self) -> None:
            self.totals: list[int] = []
            self.steps: list[int] = []

        def total(self, sales: int) -> None:
            self.totals.append(sales)

        def done(self, sales: int) -> None:
            self.steps.append(sales)

    teller = Teller()
    async with history.machine.services.db.read(history.platform) as scope:
        _, names = await simulate(scope, Simulation(percent("8")), processes=1, told=teller)
    assert (teller.totals, sum(teller.steps)) == ([4], 4)
    assert names == {history_id(history, name): name for name in "AB"}


def test_a_trace_of_the_first_version_is_counted_apart() -> None:
    from marketbill.insight.fee_replay import Terms

    terms = Terms(DOCUMENT, DOCUMENT, "fee_x", 1, charged=False, sellers=None, groups=None)
    assert Replay(terms).run([StoredSale('{"trace_version": 1}', {})]).unreadable == 1


@pytest.mark.parametrize(
    ("change", "edge"),
    [(0, 0), (-1, -1), (1, 9), (-10, -10), (10, 49), (-100, -100), (-199, -100), (-200, -200), (-10000, -500)],
)
def test_a_change_has_its_place_in_the_distribution(change: int, edge: int) -> None:
    assert bucket(change, 10_000) == EDGES.index(edge)
    assert bucket(10_000, 10_000) == len(EDGES)


def history_id(market: Market, name: str) -> str:
    return public_id("seller", market.sellers[name])
