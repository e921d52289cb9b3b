"""What was answered is never lost: the process is killed and started again on the same file."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import sys, pathlib, uvicorn
from marketbill.sandbox.app import create_app
state, port = sys.argv[1:]
app = create_app(pathlib.Path(state), base_url=f"http://127.0.0.1:{port}")
uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", timeout_keep_alive=60)
"""


#: Lists whose answers must be the same from memory before and from the file afterwards.
EVERYTHING = (
    "/v1/account",
    "/v1/balance",
    "/v1/balance_transactions?limit=100",
    "/v1/charges?limit=100",
    "/v1/events?limit=100",
    "/v1/payment_intents?limit=100",
    "/v1/payment_methods?limit=100",
    "/v1/payouts",
    "/v1/topups",
    "/v1/transfers",
)


class Process:
    """A sandbox in a process of its own."""

    def __init__(self, state: Path, new_bench: Any, soon: Any) -> None:
        self._state, self._new_bench, self._soon = state, new_bench, soon
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self._state), str(self.port)])
        self._soon(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the sandbox ended"
        try:
            return self.bench().send("GET", "/_sandbox/health").status == 200
        except OSError:
            return False

    def bench(self) -> Any:
        return self._new_bench(f"http://127.0.0.1:{self.port}")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def process(tmp_path: Path, new_bench: Any, soon: Any) -> Iterator[Process]:
    made = Process(tmp_path / "state.db", new_bench, soon)
    yield made
    made.process.kill()
    made.process.wait(10)


def test_the_state_survives_a_kill(process: Process) -> None:
    bench = process.bench().open_platform("NL", "eur")
    seller = bench.seller("NL")
    paid = bench.pay(12_100, "eur", "pm_card_visa")
    bench.post(
        "/v1/transfers",
        f"amount=4379&currency=eur&destination={seller}&source_transaction={paid['latest_charge']['id']}",
        key="transfer-1",
    )
    bench.advance(hours=20)
    customer = bench.post("/v1/customers", "email=a@example.com")["id"]
    method = bench.post("/v1/payment_methods/pm_card_visa/attach", f"customer={customer}")["id"]
    bench.post(f"/v1/customers/{customer}", f"invoice_settings[default_payment_method]={method}&metadata[a]=b")
    bench.post("/v1/topups", "amount=5000&currency=eur")
    payout = bench.post("/v1/payouts", "amount=3000&currency=eur")
    bench.post(f"/v1/payouts/{payout['id']}/cancel")
    declined = bench.refusal(
        "/v1/payment_intents", "amount=900&currency=eur&payment_method=pm_card_chargeDeclined&confirm=true", status=402
    )
    bench.post(f"/v1/payment_intents/{declined['payment_intent']['id']}/cancel")
    before = [bench.get(path) for path in (*EVERYTHING, f"/v1/accounts/{seller}", f"/v1/customers/{customer}")]
    clock = bench.control("clock")["now"]
    process.kill()
    process.start()
    after_bench = process.bench()
    after_bench.key, after_bench.platform = bench.key, bench.platform
    after = [after_bench.get(path) for path in (*EVERYTHING, f"/v1/accounts/{seller}", f"/v1/customers/{customer}")]
    assert after == before
    assert after_bench.control("clock")["now"] >= clock
    replayed = after_bench.call(
        "POST",
        "/v1/transfers",
        f"amount=4379&currency=eur&destination={seller}&source_transaction={paid['latest_charge']['id']}",
        key="transfer-1",
    )
    assert replayed.headers["idempotent-replayed"] == "true"
    after_bench.advance(days=2)
    assert after_bench.balance("eur", seller) == (4_379, 0)
    assert after_bench.control("state")["books_balance"]


def test_every_answered_write_is_there_after_a_kill_under_load(process: Process, new_bench: Any, soon: Any) -> None:
    bench = process.bench().open_platform()
    answered: list[str] = []

    def caller(name: int) -> None:
        mine = process.bench()
        mine.key = bench.key
        number = 0
        while True:
            number += 1
            try:
                answer = mine.call(
                    "POST",
                    "/v1/payment_intents",
                    "amount=1000&currency=usd&payment_method=pm_card_bypassPending&confirm=true"
                    "&allowed_payment_method_types[]=card",
                    key=f"{name}-{number}",
                )
            except (OSError, http.client.HTTPException):
                return
            answered.append(answer.body["id"])

    threads = [threading.Thread(target=caller, args=(name,), daemon=True) for name in range(4)]
    for thread in threads:
        thread.start()
    soon(lambda: len(answered) >= 60)
    process.kill()
    for thread in threads:
        thread.join(20)
    process.start()
    after = process.bench()
    after.key = bench.key
    for identifier in answered:
        intent = after.get(f"/v1/payment_intents/{identifier}?expand[]=latest_charge.balance_transaction")
        # Settlement that was due when the process died is done by now.
        assert intent["latest_charge"]["balance_transaction"]["net"] == 941
    state = after.control("state")
    assert state["books_balance"]
    assert state["objects"]["payment_intent"] == state["objects"]["balance_transaction"] >= len(answered)


def test_faults_go_on_after_a_kill_as_if_there_had_been_none(process: Process, bench: Any) -> None:
    """The same seed and the same requests, once with a kill in the middle, meet the same faults."""

    def statuses(of: Any, count: int) -> list[int]:
        return [of.call("GET", "/v1/balance").status for _ in range(count)]

    killed = process.bench().open_platform()
    for one in (bench, killed):
        one.control("faults/seed", {"seed": 5})
        one.control("faults", {"kind": "error_before", "rate": 0.4})
        one.control("faults", {"kind": "lock_timeout", "next": 12})
    undisturbed = statuses(bench, 30)
    seen = statuses(killed, 15)
    process.kill()
    process.start()
    after = process.bench()
    after.key = killed.key
    assert seen + statuses(after, 15) == undisturbed
    assert after.control("faults")["survived"] == bench.control("faults")["survived"]
    assert {500, 429, 200} == set(undisturbed)
