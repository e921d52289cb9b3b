"""Rate limits: what is let in, by the sandbox's clock, and what an account that sends too much is told."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketbill.sandbox.limits import Caller, Gate
from marketbill.sandbox.store import Store


def gate(**limits: int) -> Gate:
    store = Store(None)
    made = Gate(store)
    with store.transaction():
        made.set(limits)
    return made


class TestGate:
    def test_so_many_in_any_one_second(self) -> None:
        one = gate(requests_per_second=3)
        # The fourth within a second of the first is refused; when the first is a second old, one more comes in.
        asked = [(0.0, None), (0.5, None), (0.75, None), (0.9, "global-rate"), (1.0, None), (1.4, "global-rate")]
        asked += [(1.5, None), (1.6, "global-rate")]
        assert [(at, one.refusal(Caller("a", "x"), at)) for at, _ in asked] == asked

    def test_each_account_and_each_endpoint_for_itself(self) -> None:
        one = gate(requests_per_second=3, endpoint_per_second=2)
        assert [one.refusal(Caller("a", endpoint), 0) for endpoint in "xxxyy"] == [
            None,
            None,
            "endpoint-rate",
            None,
            "global-rate",
        ]
        assert one.refusal(Caller("b", "x"), 0) is None

    def test_what_is_refused_does_not_count(self) -> None:
        one = gate(requests_per_second=1)
        assert [one.refusal(Caller("a", "x"), at) for at in (0, 0.5, 0.99, 1)] == [
            None,
            "global-rate",
            "global-rate",
            None,
        ]

    def test_those_under_way(self) -> None:
        one = gate(concurrency=2, endpoint_concurrency=1)
        with one.inside(Caller("a", "x")):
            assert one.refusal(Caller("a", "x"), 0) == "endpoint-concurrency"
            assert one.refusal(Caller("a", "y"), 0) is None
            with one.inside(Caller("a", "y")):
                assert one.refusal(Caller("a", "z"), 0) == "global-concurrency"
                assert one.refusal(Caller("b", "z"), 0) is None
        assert one.refusal(Caller("a", "x"), 0) is None

    def test_changes_of_one_object_in_any_one_hour(self) -> None:
        one = gate(changes_per_hour=2)
        first, second, reading = (Caller("a", "x", changed) for changed in ("pi_1", "pi_2", None))
        asked = [(first, 0), (first, 1_800), (first, 3_599), (second, 3_599), (reading, 3_599), (first, 3_600)]
        told = [None, None, "resource-specific", None, None, None]
        assert [one.refusal(caller, at) for caller, at in asked] == told

    @given(st.lists(st.floats(min_value=0, max_value=0.7), max_size=60), st.integers(min_value=1, max_value=5))
    def test_no_second_ever_sees_more(self, gaps: list[float], limit: int) -> None:
        one = gate(requests_per_second=limit)
        now, let_in = 0.0, []
        for gap in gaps:
            now += gap
            if one.refusal(Caller("a", "x"), now) is None:
                let_in.append(now)
        for at in let_in:
            assert sum(at - 1 < other <= at for other in let_in) <= limit


def test_too_many_are_told_so_and_the_next_second_is_free(bench: Any) -> None:
    assert bench.control("limits") == dict.fromkeys(bench.control("limits"))
    bench.control("limits", {"requests_per_second": 1})
    refused = None
    for _ in range(50):
        answer = bench.call("POST", "/v1/customers", "name=a", key="k")
        if answer.status == 429:
            refused = answer
            break
    assert refused is not None
    assert refused.body["error"]["code"] == "rate_limit"
    assert refused.headers["stripe-rate-limited-reason"] == "global-rate"
    bench.advance(seconds=1)
    assert bench.call("POST", "/v1/customers", "name=a", key="k").status == 200
    bench.control("limits", {"requests_per_second": None})
    assert [bench.call("GET", "/v1/balance").status for _ in range(5)] == [200] * 5


def test_one_endpoint_under_two_paths_is_one_endpoint(bench: Any) -> None:
    made = [bench.post("/v1/customers", f"name={name}")["id"] for name in "ab"]
    bench.control("limits", {"endpoint_per_second": 1})
    statuses = [bench.call("GET", f"/v1/customers/{made[turn % 2]}").status for turn in range(50)]
    assert 429 in statuses
    bench.advance(seconds=1)
    assert bench.call("GET", f"/v1/customers/{made[0]}").status == 200
    assert bench.call("GET", "/v1/account").status == 200


def test_one_object_may_be_changed_only_so_often(bench: Any) -> None:
    one, other = (bench.post("/v1/customers", f"name={name}")["id"] for name in "ab")
    bench.control("limits", {"changes_per_hour": 1})
    assert [bench.call("POST", f"/v1/customers/{id}", "name=x").status for id in (one, one, other)] == [200, 429, 200]
    answer = bench.call("POST", f"/v1/customers/{one}", "name=y")
    assert answer.headers["stripe-rate-limited-reason"] == "resource-specific"
    assert bench.call("GET", f"/v1/customers/{one}").status == 200
    bench.advance(hours=1)
    assert bench.call("POST", f"/v1/customers/{one}", "name=y").status == 200


def test_a_slow_request_is_under_way(bench: Any, new_bench: Any, soon: Any) -> None:
    bench.control("limits", {"concurrency": 1})
    bench.control("faults", {"kind": "slow", "on": "POST /v1/customers", "seconds": 600})
    other = new_bench(bench.base)
    other.key = bench.key

    def slow() -> None:
        try:
            other.call("POST", "/v1/customers", "name=a")
        except OSError:
            return

    threading.Thread(target=slow, daemon=True).start()
    refused = soon(lambda: (answer := bench.call("GET", "/v1/balance")).status == 429 and answer)
    assert refused.headers["stripe-rate-limited-reason"] == "global-concurrency"


def test_limits_are_kept_over_a_restart(serve: Any, new_bench: Any, tmp_path: Path) -> None:
    server = serve(tmp_path / "state.db")
    new_bench(server.base).control("limits", {"requests_per_second": 25, "endpoint_concurrency": 30})
    server.stop()
    assert new_bench(serve(tmp_path / "state.db").base).control("limits") == {
        "requests_per_second": 25,
        "endpoint_per_second": None,
        "concurrency": None,
        "endpoint_concurrency": 30,
        "changes_per_hour": None,
    }


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"requests_per_minute": 5}, "requests_per_minute"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"requests_per_second": -1}, "requests_per_second"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"concurrency": True}, "concurrency"),
        ({"endpoint_per_second": "many"}, "endpoint_per_second"),
    ],
)
def test_a_limit_that_is_none(bench: Any, body: Any, param: str) -> None:
    answer = bench.send("POST", "/_sandbox/limits", json.dumps(body))
    assert (answer.status, answer.body["error"]["param"]) == (400, param)
    assert set(bench.control("limits").values()) == {None}
