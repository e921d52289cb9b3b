"""Every way to call the program wrongly, or at the wrong time, is one clear line and the right exit code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from marketbill.cli.app import COMMANDS, run
from marketbill.cli.failure import WrongUse
from marketbill.cli.sandbox import shift_of
from marketbill.cli.terminal import counted
from marketbill.config import settings

SECRET = "a master key of the tests, 32 long"
NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"


def test_help_names_every_command(command) -> None:
    ran = command("--help")
    assert ran.code == 0
    for one in COMMANDS:
        assert one.name in ran.out


@pytest.mark.parametrize("name", [one.name for one in COMMANDS])
def test_every_command_teaches_with_an_example(command, name: str) -> None:
    ran = command(name, "--help")
    assert ran.code == 0
    assert "Example: " in ran.out
    assert f"Usage: marketbill {name}" in ran.out


def test_help_imports_none_of_the_heavy_rooms() -> None:
    code = (
        "import sys\nfrom marketbill.cli.app import run\nassert run(['--help']) == 0\n"
        "heavy = {'sqlalchemy', 'pydantic', 'strawberry', 'stripe', 'dramatiq', 'uvicorn'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["vrify"], "vrify"),
        (["verify", "--colour"], "--colour"),
        (["import-orders"], "requires an argument"),
        (["api", "--port", "many"], "many"),
        (["sandbox", "clock", "advance", "3x"], "3d, 12h"),
        (["sandbox", "clock", "advance", "900d"], "out of range"),
        (["sandbox", "clock", "advance", "1000000d"], "'1000000d' is out of range"),
        (["sandbox", "clock", "advance", "9" * 9000 + "d"], "out of range"),
        (["sandbox", "clok", "advance", "3d"], "unknown command 'clok'; clock, fault (try: marketbill sandbox --help)"),
        (["doctor", "retyr", "x"], "unknown command 'retyr'; retry, abandon, replay, dismiss"),
        (["doctor", "abandon"], "(try: marketbill doctor abandon --help)"),
        (["verify", "x"], "'x'"),
        (["statement", "x", "--since", "yesterday"], "2026-11-01"),
    ],
)
def test_wrong_use_is_one_line_and_2(command, words: list[str], part: str) -> None:
    ran = command(*words)
    assert ran.code == 2
    assert part in ran.line


@pytest.mark.parametrize("name", ["api", "worker", "relay", "migrate"])
def test_a_production_command_names_the_settings_it_lacks(command, name: str) -> None:
    ran = command(name)
    assert ran.code == 2
    assert "DATABASE_URL" in ran.line
    assert "MARKETBILL_SECRET_KEY" in ran.line


@pytest.mark.parametrize(
    "words", [["verify"], ["statement", "x"], ["sandbox", "clock", "advance", "1d"], ["verify", "--data", "/nowhere"]]
)
def test_an_operators_command_says_that_nothing_runs(command, words: list[str]) -> None:
    ran = command(*words)
    assert ran.code == 1
    assert "nothing runs in" in ran.line
    assert "marketbill up" in ran.line


@pytest.mark.parametrize("words", [["verify"], ["migrate"], ["statement", "x"]])
def test_a_dead_database(command, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    ran = command(*words)
    assert ran.code == 1
    assert "database cannot be reached" in ran.line or "cannot connect" in ran.line


@pytest.mark.parametrize("address", [NOBODY, "not a url", None])
def test_a_doctor_that_cannot_look_says_so_with_another_code_than_for_the_ill(
    command, monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    if address:
        monkeypatch.setenv("DATABASE_URL", address)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    ran = command("doctor")
    assert ran.code == 2
    assert ran.line


def test_a_secret_that_is_too_short_is_counted_in_characters(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    monkeypatch.setenv("METRICS_TOKEN", "short")
    ran = command("verify")
    assert ran.code == 2
    assert "METRICS_TOKEN: Value should have at least 16 characters" in ran.line


def test_a_database_address_that_is_none(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "not a url")
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    ran = command("verify")
    assert ran.code == 2
    assert "postgresql://" in ran.line


def test_a_busy_port(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (["api", "--port", port], ["sandbox", "--port", port]):
            ran = command(*words)
            assert ran.code == 1
            assert f"port {port}" in ran.line
            assert "--port" in ran.line


@pytest.mark.parametrize(
    "words",
    [
        ["api", "--port", "99999"],
        ["sandbox", "--port", "-1"],
        ["up", "--port", "99999"],
        ["up", "--sandbox-port", "70000"],
    ],
)
def test_a_number_that_is_no_port(command, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    ran = command(*words)
    assert ran.code == 2
    assert "ports are 0 to 65535" in ran.line


@pytest.mark.parametrize("name", ["api", "worker", "relay"])
def test_a_program_says_that_its_database_is_not_there_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    started: list[str] = []
    monkeypatch.setattr("marketbill.cli.programs.serve", lambda *_, **__: started.append("api"))
    monkeypatch.setattr("marketbill_workers.main.run", lambda _: started.append("worker"))
    monkeypatch.setattr("marketbill_workers.relay.run", lambda _: started.append("relay"))
    settings.cache_clear()
    assert run([name, *(["--port", "0"] if name == "api" else [])]) == 0
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("marketbill: the database cannot be reached (127.0.0.1:1): ")
    assert said.endswith("serving 503 until it can" if name == "api" else "waiting until it can")
    assert started == [name]


def test_a_folder_that_cannot_be_written(command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ran = command("up", "--data", str(tmp_path / "file" / "data"), "--port", "0", "--sandbox-port", "0")
    assert ran.code == 1
    assert "--data" in ran.line


def test_with_a_stripe_key_the_sandbox_is_out_of_reach(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_not_a_real_one")
    for words in (["sandbox"], ["sandbox", "clock", "advance", "1d"], ["demo"]):
        ran = command(*words)
        assert ran.code == 1
        assert "STRIPE_SECRET_KEY is set" in ran.line


def test_with_a_stripe_key_no_sandbox_is_asked_though_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    monkeypatch.setenv("SANDBOX_URL", "http://127.0.0.1:1")
    assert settings().provider_base_url == "http://127.0.0.1:1"
    settings.cache_clear()
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_not_a_real_one")
    assert settings().provider_base_url is None


def test_with_a_live_key_nothing_is_sold_for_fun(command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_not_a_real_one")
    monkeypatch.setenv("DATABASE_URL", NOBODY)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    file = tmp_path / "orders.csv"
    file.write_text("order_id,order_item_id,product_id,seller_id,price,freight,currency\n1,1,p,s,1.00,0,EUR\n")
    for words in (["demo"], ["import-orders", str(file)]):
        ran = command(*words)
        assert ran.code == 1
        assert "live key" in ran.err.splitlines()[-1]


def test_config_shows_settings_and_hides_secrets(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:my-password@db/market")
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    monkeypatch.setenv("PUBLIC_URL", "https://pay.example")
    ran = command("config")
    assert ran.code == 0
    assert "https://pay.example" in ran.out
    assert "environment" in ran.out
    assert "default" in ran.out
    assert "my-password" not in ran.out
    assert SECRET not in ran.out


def test_config_says_what_is_wrong(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/market")
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", "short")
    ran = command("config")
    assert ran.code == 1
    assert "MARKETBILL_SECRET_KEY" in ran.line
    assert "short" not in ran.line.replace("MARKETBILL", "")


def test_the_migrations_as_sql(command) -> None:
    ran = command("migrate", "--sql")
    assert ran.code == 0
    assert "create table" in ran.out.lower()


def test_migrate_brings_a_database_up_to_date(command, monkeypatch: pytest.MonkeyPatch, admin_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", admin_url)
    monkeypatch.setenv("MARKETBILL_SECRET_KEY", SECRET)
    assert command("migrate").code == 0
    assert command("migrate").out == "The database is up to date.\n"


def test_the_published_schema_is_what_the_code_prints(command) -> None:
    ran = command("schema", "--check")
    assert ran.code == 0, ran.out
    assert command("schema").out.startswith(('"""', "directive", "schema", "input", "enum", "type"))


def test_the_published_money_path_is_what_the_code_prints(command) -> None:
    ran = command("ledger", "money-path", "--check")
    assert ran.code == 0, ran.out
    assert command("ledger", "money-path").out.startswith("# The money path\n")


def test_a_published_file_that_differs_is_refused_with_the_difference(command, monkeypatch: pytest.MonkeyPatch) -> None:
    page = command("ledger", "money-path").out
    monkeypatch.setattr("marketbill.ledger.money_path.text", lambda: page.replace("| `bank` |", "| `cash` |"))
    ran = command("ledger", "money-path", "--check")
    assert ran.code == 1
    assert "\n-| `bank` |" in ran.out
    assert "\n+| `cash` |" in ran.out
    assert "run `marketbill ledger money-path > docs/money-path.md`" in ran.err


@pytest.mark.parametrize(
    ("text", "shift"),
    [
        ("3d", timedelta(days=3)),
        ("12h", timedelta(hours=12)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("30s", timedelta(seconds=30)),
    ],
)
def test_spans_of_time(text: str, shift: timedelta) -> None:
    assert shift_of(text) == shift


@pytest.mark.parametrize("text", ["", "3", "d", "-3d", "3 d", "3d!", "0d", "1.5d"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(WrongUse):
        shift_of(text)


def test_a_program_that_is_interrupted_while_it_starts_prints_no_traceback(tmp_path: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": NOBODY, "MARKETBILL_SECRET_KEY": SECRET}
    with subprocess.Popen(
        [sys.executable, "-m", "marketbill", "api", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    ) as api:
        assert api.stderr is not None
        assert "database cannot be reached" in api.stderr.readline()
        assert "listening" in api.stderr.readline()
        api.terminate()
        _, err = api.communicate(timeout=30)
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "text"), [(0, "0 orders"), (1, "1 order"), (2, "2 orders"), (1005, "1,005 orders")])
def test_what_is_counted_agrees_with_its_number(number: int, text: str) -> None:
    assert counted(number, "order") == text
