"""`marketbill sandbox fault`: trouble is set, listed, repeated and cleared from the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.cli.conftest import Command
from tests.graphql.market import Sandbox, running_sandbox

from marketbill.sandbox.faults import FaultKind


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that SANDBOX_URL names; there is neither a database nor a machine."""
    with running_sandbox() as running:
        monkeypatch.setenv("SANDBOX_URL", running.url)
        yield running


def test_a_fault_is_set_listed_and_cleared(command: Command, sandbox: Sandbox) -> None:
    assert command("sandbox", "fault", "list").out == "No fault is set.\nSeed: 0\n"
    added = command("sandbox", "fault", "add", "cut_after", "--on", "POST /v1/transfers", "--next", "3")
    assert (added.code, added.out) == (0, "fault_1: cut_after on POST /v1/transfers, the next 3\n")
    added = command("sandbox", "fault", "add", "webhook_delay", "--rate", "0.05", "--seconds", "3600")
    assert added.out == "fault_2: webhook_delay on every event, each with a chance of 0.05, 3600 s\n"
    added = command("sandbox", "fault", "add", "rate_limit", "--reason", "endpoint-rate")
    assert added.out == "fault_3: rate_limit on every request, the next 1, endpoint-rate\n"

    listed = command("sandbox", "fault", "list").out
    for words in ("fault_1", "POST /v1/transfers", "the next 3", "each with a chance of 0.05", "endpoint-rate"):
        assert words in listed

    assert command("sandbox", "fault", "clear", "fault_1").out == "fault_1 is taken away.\n"
    assert "fault_1" not in command("sandbox", "fault", "list").out
    assert command("sandbox", "fault", "clear").out == "2 faults taken away.\n"
    assert command("sandbox", "fault", "list").out == "No fault is set.\nSeed: 0\n"


def test_what_has_struck_stays_counted(command: Command, sandbox: Sandbox) -> None:
    made = sandbox.call("platforms", {"country": "US"})
    command("sandbox", "fault", "seed", "7")
    command("sandbox", "fault", "add", "lock_timeout", "--next", "2")
    for _ in range(2):
        assert _status(sandbox, made["secret_key"]) == 429
    listed = command("sandbox", "fault", "list").out
    assert "No fault is set." in listed
    assert [line.split()[1:-1:2] for line in listed.splitlines() if "lock_timeout" in line] == [["lock_timeout", "2"]]
    assert listed.endswith("Seed: 7\n")


def _status(sandbox: Sandbox, key: str) -> int:
    try:
        with urlopen(Request(f"{sandbox.url}/v1/balance", headers={"Authorization": f"Bearer {key}"})) as answer:
            return answer.status
    except HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["add", "gremlins"], "kind"),
        (["add", "slow", "--on", "POST /v1/unicorns"], "on"),
        (["add", "slow", "--rate", "2"], "rate"),
        (["add", "slow", "--rate", "0.5", "--next", "1"], "rate"),
        (["add", "slow", "--next", "0"], "next"),
        (["add", "slow", "--next", "few"], "--next"),
        (["add", "cut_after", "--seconds", "3"], "seconds"),
        (["add", "slow", "--reason", "global-rate"], "reason"),
        (["add", "slow", "--rate", "nan"], "--rate is nan"),
        (["add", "slow", "--seconds", "inf"], "--seconds is inf"),
        (["add"], "KIND"),
        (["clear", "fault_9"], "fault_9"),
        (["clear", "../../x"], "no such fault: '../../x'"),
        (["clear", ".."], "no such fault: '..'"),
        (["seed", "9" * 60], "from 0 to 2^63 - 1"),
        (["seed", "9" * 6000], "NUMBER"),
        (["seed", "-1"], "seed"),
        (["seed", "seven"], "NUMBER"),
        (["undo"], "unknown command 'undo'; add, list, clear, seed (try: marketbill sandbox fault --help)"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    command: Command, sandbox: Sandbox, words: list[str], named: str
) -> None:
    ran = command("sandbox", "fault", *words)
    assert ran.code == 2
    assert named in ran.line
    assert "No fault is set." in command("sandbox", "fault", "list").out


@pytest.mark.parametrize(
    "words", [["add", "slow"], ["list"], ["clear"], ["clear", "fault_1"], ["seed", "7"]], ids=" ".join
)
class TestWithoutASandbox:
    def test_with_a_stripe_key_it_is_out_of_reach(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]
    ) -> None:
        monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_not_a_real_one")
        ran = command("sandbox", "fault", *words)
        assert (ran.code, "STRIPE_SECRET_KEY is set" in ran.line) == (1, True)

    def test_where_nothing_runs(self, command: Command, tmp_path: Path, words: list[str]) -> None:
        ran = command("sandbox", "fault", *words, "--data", str(tmp_path))
        assert (ran.code, "marketbill up" in ran.line) == (1, True)

    def test_where_nobody_answers(self, command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
        monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
        ran = command("sandbox", "fault", *words)
        assert (ran.code, "http://127.0.0.1:1 does not answer" in ran.line) == (1, True)


def test_help_teaches_with_examples(command: Command) -> None:
    said = command("sandbox", "fault", "--help").out
    assert 'marketbill sandbox fault add cut_after --on "POST /v1/transfers"' in said
    said = command("sandbox", "fault", "add", "--help").out
    assert [kind for kind in FaultKind if kind.value not in said] == []
