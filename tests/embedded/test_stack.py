"""One machine in one folder: it starts, dies in every way, leaves nothing behind, and finds its data again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from marketbill.embedded.failures import (
    DataFolderInUse,
    DataFolderUnwritable,
    PortInUse,
    ProcessFailed,
    ProcessKeepsDying,
)
from marketbill.embedded.programs import Addresses, Program, marketbill_programs
from marketbill.embedded.running import RunningStack, find_running
from marketbill.embedded.stack import Stack

sys.path.insert(0, str(Path(__file__).parent))
from owner import migrate_nothing, tiny_programs, tiny_stack

Gone = Callable[[list[int]], None]


def rows(running: RunningStack, statement: str) -> list[Any]:
    async def ask() -> list[Any]:
        connection = await asyncpg.connect(running.database_admin_url.replace("+asyncpg", ""))
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def found(data: Path) -> RunningStack:
    running = find_running(data)
    assert running is not None
    return running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_it_ends_everything_and_succeeds(
    tmp_path: Path, start_owner: Any, expect_gone: Gone, number
) -> None:
    owner = start_owner(tmp_path)
    pids = owner.ready()
    everything = [*owner.descendants(), *owner.family()]
    assert set(pids.values()) <= set(everything)
    assert owner.end(number) == 0
    expect_gone(everything)
    assert find_running(tmp_path) is None
    assert not (tmp_path / "runtime.json").exists()


def test_asked_to_end_before_it_waits_it_succeeds_as_well(tmp_path: Path) -> None:
    with tiny_stack(tmp_path):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("it was not told at once")
    assert find_running(tmp_path) is None


def test_killed_it_leaves_no_process_and_the_next_start_finds_all_data(
    tmp_path: Path, start_owner: Any, expect_gone: Gone
) -> None:
    owner = start_owner(tmp_path, STUBBORN="yes")
    owner.ready()
    running = found(tmp_path)
    rows(running, "insert into kept values ('a sale')")
    with redis.Redis.from_url(running.broker_url) as broker:
        broker.rpush("queue", "a message")
    keys = [(tmp_path / name).read_text() for name in ("secret.key", "bootstrap.key")]
    everything = [*owner.descendants(), *owner.family()]

    owner.end(signal.SIGKILL)
    assert find_running(tmp_path) is None
    again = start_owner(tmp_path)
    again.ready()
    expect_gone(everything)

    running = found(tmp_path)
    assert rows(running, "select line from kept") == [("a sale",)]
    with redis.Redis.from_url(running.broker_url) as broker:
        assert broker.lrange("queue", 0, -1) == [b"a message"]
    assert [(tmp_path / name).read_text() for name in ("secret.key", "bootstrap.key")] == keys
    assert again.end(signal.SIGINT) == 0


def test_killed_while_it_starts_it_leaves_no_process(
    tmp_path: Path, start_owner: Any, expect_gone: Gone, eventually: Any
) -> None:
    owner = start_owner(tmp_path)
    eventually(lambda: len(owner.descendants()) >= 2)
    everything = owner.descendants()
    owner.end(signal.SIGKILL)
    expect_gone(everything)
    again = start_owner(tmp_path)
    again.ready()
    assert again.end(signal.SIGTERM) == 0


def test_a_second_owner_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with tiny_stack(tmp_path) as stack:
        with pytest.raises(DataFolderInUse, match=f"in use by process {os.getpid()}") as refused, tiny_stack(tmp_path):
            pytest.fail("two owners of one folder")
        assert refused.value.folder == tmp_path.resolve()
        assert rows(stack.running, "select count(*) from kept") == [(0,)]
        assert find_running(tmp_path) == stack.running


def test_a_busy_port_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} .*--port"), tiny_stack(tmp_path, api_port=port):
            pytest.fail("the port was taken")
        with pytest.raises(PortInUse, match=rf"port {port} .*--sandbox-port"), tiny_stack(tmp_path, sandbox_port=port):
            pytest.fail("the port was taken")
    with tiny_stack(tmp_path, api_port=port) as stack:
        assert stack.api_url == f"http://127.0.0.1:{port}"


def test_a_port_that_cannot_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(PortInUse, match="port 70000"), tiny_stack(tmp_path, api_port=70_000):
        pytest.fail("there is no such port")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataFolderUnwritable, match="--data") as refused, tiny_stack(tmp_path / "file" / "data"):
        pytest.fail("a folder inside a file")
    assert refused.value.folder == tmp_path / "file" / "data"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_of_somebody_else_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DataFolderUnwritable, match="Permission denied"), tiny_stack(tmp_path):
        pytest.fail("a folder that is closed to us")


def test_other_commands_find_the_machine_and_its_settings(tmp_path: Path) -> None:
    assert find_running(tmp_path) is None
    with tiny_stack(tmp_path) as stack:
        running = found(tmp_path)
        assert running.environment() == stack.environment
        assert set(running.processes) == {"postgres", "valkey", "sandbox", "api", "worker"}
        assert running.environment()["SANDBOX_URL"] == stack.sandbox_url
        assert running.environment()["MARKETBILL_BOOTSTRAP_KEY"] == stack.bootstrap_key
        for name in ("runtime.json", "secret.key", "bootstrap.key"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert find_running(tmp_path) is None


@pytest.mark.parametrize("name", ["api", "postgres", "valkey"])
def test_a_process_that_is_killed_runs_again_with_its_data(tmp_path: Path, eventually: Any, name: str) -> None:
    lines: list[str] = []
    with Stack(
        tmp_path, api_port=0, sandbox_port=0, programs=tiny_programs, migrate=migrate_nothing, report=lines.append
    ) as stack:
        rows(stack.running, "insert into kept values ('before')")
        before = found(tmp_path).processes
        os.kill(before[name], signal.SIGKILL)
        eventually(lambda: found(tmp_path).processes[name] != before[name])
        after = found(tmp_path).processes
        assert {other for other in after if after[other] != before[other]} == {name}
        assert rows(stack.running, "select line from kept") == [("before",)]
        with redis.Redis.from_url(stack.running.broker_url, retry_on_timeout=True) as broker:
            eventually(lambda: answers(broker))
        stack.check()
    assert lines[0].startswith(f"{name} was killed by signal 9; starting it again in 0.2 s")
    assert lines[1] == f"{name} runs again"


def answers(broker: redis.Redis) -> bool:
    try:
        return bool(broker.ping())
    except redis.ConnectionError:
        return False


def test_a_killed_watchman_is_replaced_and_the_new_one_guards(
    tmp_path: Path, start_owner: Any, expect_gone: Gone, eventually: Any
) -> None:
    owner = start_owner(tmp_path)
    pids = owner.ready()
    watchman = next(iter(set(owner.descendants()) & set(_watchmen())))
    os.kill(watchman, signal.SIGKILL)
    eventually(lambda: set(owner.descendants()) & set(_watchmen()) - {watchman})
    everything = owner.descendants()
    owner.end(signal.SIGKILL)
    expect_gone([*everything, *pids.values()])


def _watchmen() -> list[int]:
    shown = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in shown.splitlines() if "watchman.py" in line]


def test_a_program_that_ends_at_once_is_a_failure_with_its_last_lines(tmp_path: Path) -> None:
    def broken(_: Addresses) -> list[Program]:
        return [
            Program(name="api", arguments=("-c", "raise SystemExit('no such table')")),
            Program(name="relay", arguments=("-c", "import time; time.sleep(600)"), health_url="http://127.0.0.1:9/"),
        ]

    with (
        pytest.raises(ProcessFailed, match=r"api ended while starting .*exit code 1") as failed,
        Stack(tmp_path, api_port=0, sandbox_port=0, programs=broken, migrate=migrate_nothing),
    ):
        pytest.fail("the program had ended")
    assert failed.value.last_lines == "no such table"
    assert find_running(tmp_path) is None


def test_a_program_that_keeps_dying_ends_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketbill.embedded.supervisor._PAUSE_FIRST_S", 0.01)

    def short_lived(_: Addresses) -> list[Program]:
        return [Program(name="worker", arguments=("-c", "import time; time.sleep(0.3)"))]

    with Stack(
        tmp_path, api_port=0, sandbox_port=0, programs=short_lived, migrate=migrate_nothing, report=lambda _: None
    ) as stack:
        with pytest.raises(ProcessKeepsDying, match="worker ended again after 5 restarts"):
            stack.wait_forever()
        assert rows(stack.running, "select 1") == [(1,)]


def test_a_stripe_key_means_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_not_a_real_one")
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
    report = (
        "import http.server, json, os, sys; open(sys.argv[1], 'w').write(json.dumps(dict(os.environ))); "
        "import time; time.sleep(600)"
    )

    def programs(addresses: Addresses) -> list[Program]:
        assert all(program.name != "sandbox" for program in marketbill_programs(addresses))
        return [Program(name="api", arguments=("-c", report, str(addresses.data / "environment.json")))]

    with Stack(tmp_path, api_port=0, sandbox_port=0, programs=programs, migrate=migrate_nothing) as stack:
        assert stack.sandbox_url is None
        assert found(tmp_path).sandbox_url is None
        seen = wait_for_json(tmp_path / "environment.json")
        assert "SANDBOX_URL" not in seen
        assert "SANDBOX_URL" not in stack.environment
        assert {name: seen[name] for name in stack.environment} == stack.environment


def wait_for_json(path: Path) -> dict[str, str]:
    from time import monotonic, sleep

    deadline = monotonic() + 20
    while True:
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError):
            assert monotonic() < deadline
            sleep(0.02)


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("marketbill.embedded.stack._LOG_MAX", 10)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "api.log").write_text("many lines of yesterday")
    (tmp_path / "logs" / "api.log.1").write_text("the day before")
    with tiny_stack(tmp_path):
        assert (tmp_path / "logs" / "api.log.1").read_text() == "many lines of yesterday"
        assert (tmp_path / "logs" / "api.log.2").read_text() == "the day before"
        assert "yesterday" not in (tmp_path / "logs" / "api.log").read_text()


def test_the_programs_of_marketbill() -> None:
    programs = marketbill_programs(Addresses(data=Path("/data"), api_port=8000, sandbox_port=8001))
    assert [program.name for program in programs] == ["sandbox", "api", "worker", "relay"]
    assert programs[0].arguments == ("-m", "marketbill", "sandbox", "--port", "8001", "--state", "/data/sandbox.db")
    assert programs[0].health_url == "http://127.0.0.1:8001/_sandbox/health"
    assert programs[1].health_url == "http://127.0.0.1:8000/health"
