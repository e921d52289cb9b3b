"""The ledger's benchmark, a moment of it: it runs, its peer takes part, and its figures are written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = Path(__file__).parents[2] / "benchmarks" / "ledger.py"
#: What the benchmark calls of pgledger, and nothing of what makes it a ledger.
_STAND_IN = """
create table pgledger_accounts (id text primary key default gen_random_uuid(), name text, allow_negative boolean);
create table pgledger_entries (id bigint generated always as identity);
create table pgledger_transfers (id text default gen_random_uuid(), from_id text, to_id text, amount numeric);
create type transfer_request as (from_account_id text, to_account_id text, amount numeric);
create function pgledger_create_account(name text, currency text, allow_negative_balance boolean)
returns setof pgledger_accounts language sql as $$
  insert into pgledger_accounts (name, allow_negative) values ($1, $3) returning *
$$;
create function pgledger_create_transfers(transfer_requests transfer_request[])
returns setof pgledger_transfers language sql as $$
  insert into pgledger_transfers (from_id, to_id, amount) select * from unnest($1) returning *
$$;
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    folder = tmp_path / "pgledger"
    vendor = folder / "vendor" / "scoville-pgsql-ulid"
    vendor.mkdir(parents=True)
    for name in ("ulid-to-uuid.sql", "uuid-to-ulid.sql"):
        (vendor / name).write_text("select 1;")
    (folder / "pgledger.sql").write_text(_STAND_IN)
    return folder


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH")}
    return subprocess.run(
        [sys.executable, str(_PROGRAM), *options, "--results", str(folder / "results")],
        capture_output=True,
        text=True,
        env=kept | {"HOME": str(folder)},
        cwd=folder,
        timeout=120,
        check=False,
    )


def test_a_brief_race_has_every_figure_that_the_goals_name(tmp_path: Path, stand_in: Path) -> None:
    done = run(tmp_path, "--brief", "--pgledger", str(stand_in))

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "results" / "ledger.json").read_text())
    assert figures["settings"]["fsync"] == figures["settings"]["synchronous_commit"] == "on"
    ours = [row for row in figures["rows"] if row["ledger"] == "marketbill"]
    assert {(row["course"], row["callers"]) for row in ours} == {
        ("3 platforms", 1),
        ("3 platforms", 64),
        ("1 platform", 64),
    }
    assert len(figures["rows"]) == 2 * len(ours)
    for row in figures["rows"]:
        assert row["payments"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert row["postings_per_s"] > 0
        assert row["wal_bytes_per_posting"] > 0
    for name in ("ratio_vs_pgledger_64", "p99_ratio_vs_pgledger_64", "ratio_vs_pgledger_1", "hot_vs_fifty"):
        assert figures[name] > 0
    assert figures["floor"]["all_cores"] > 0
    assert figures["bytes_per_posting"].keys() == {"marketbill", "pgledger"}
    assert "x peer" in done.stdout


def test_growing_books_are_measured_at_every_mark(tmp_path: Path) -> None:
    done = run(tmp_path, "--brief", "--growth", "2000")

    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "results" / "ledger-growth.json").read_text())
    for mark, share in zip(figures["marks"], (0, 0.1, 0.2, 0.5, 1), strict=True):
        assert mark["postings"] >= share * 2000
        assert mark["hottest_as_of_p50_ms"] > 0
    assert figures["cost_growth"] > 0
    assert figures["marks"][-1]["bytes_per_posting"] > 0


def test_a_folder_without_pgledger_is_told_apart(tmp_path: Path) -> None:
    done = run(tmp_path, "--brief", "--pgledger", str(tmp_path))

    assert done.returncode == 1
    assert "ulid-to-uuid.sql is missing" in done.stderr
    assert not (tmp_path / "results").exists()
