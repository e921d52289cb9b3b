"""The embedded PostgreSQL by itself: what an earlier owner may have left in its folder."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from marketbill.embedded.failures import BinariesMissing, DataFolderInUse, ProcessFailed
from marketbill.embedded.folder import default_data_folder, socket_folder
from marketbill.embedded.postgres import EmbeddedPostgres
from marketbill.embedded.postgres_programs import find_programs
from marketbill.embedded.provision import LOGIN_ROLE, provision
from marketbill.embedded.valkey import EmbeddedValkey


def ask(server: EmbeddedPostgres, statement: str) -> Any:
    async def asked() -> Any:
        connection = await asyncpg.connect(server.url(driver="postgresql"))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(asked())


def test_it_keeps_what_was_committed(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        ask(server, "create table kept as select 42 as answer")
        assert ask(server, "show fsync") == "on"
    with EmbeddedPostgres(tmp_path) as server:
        assert ask(server, "select answer from kept") == 42


def test_an_unfinished_cluster_is_made_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "cluster-abc"
    (unfinished / "global").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert ask(server, "select 1") == 1
    assert not unfinished.exists()


def test_a_process_id_that_now_belongs_to_another_program_is_not_in_the_way(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        lines = (tmp_path / "cluster" / "postmaster.pid").read_text().splitlines()
        ask(server, "checkpoint")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        lines[0], lines[6] = str(other.pid), ""
        (tmp_path / "cluster" / "postmaster.pid").write_text("\n".join(lines) + "\n")
        with EmbeddedPostgres(tmp_path, durable=False) as server:
            assert ask(server, "select 1") == 1
        assert other.poll() is None
        other.kill()


def test_a_damaged_cluster_is_a_failure_that_shows_the_log(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False):
        pass
    (tmp_path / "cluster" / "global" / "pg_control").unlink()
    with pytest.raises(ProcessFailed, match="could not find the database system"), EmbeddedPostgres(tmp_path):
        pytest.fail("it cannot have started")


def test_its_folder_has_one_owner(tmp_path: Path) -> None:
    with (
        EmbeddedPostgres(tmp_path, durable=False),
        pytest.raises(DataFolderInUse),
        EmbeddedPostgres(tmp_path, durable=False),
    ):
        pytest.fail("two owners of one folder")


def test_a_folder_closed_to_others_and_a_long_path_do_not_matter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / ("a-long-name-" * 12)
    with EmbeddedPostgres(folder, durable=False) as server:
        assert ask(server, "select count(*) from pg_database") == 3
        sockets = Path(server.url().partition("host=")[2])
        assert len(os.fsencode(sockets / ".s.PGSQL.5432.lock")) < 104
    assert not sockets.exists()


def test_the_socket_folder_follows_from_the_data_folder(tmp_path: Path) -> None:
    first, again, other = socket_folder(tmp_path), socket_folder(tmp_path), socket_folder(tmp_path / "other")
    assert first == again != other
    first.rmdir()
    other.rmdir()


def test_provisioning_twice_at_once_is_safe(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:

        async def twice() -> None:
            url = server.url(driver="postgresql")
            await asyncio.gather(*(provision(server_url=url, database="market") for _ in range(4)))

        asyncio.run(twice())
        assert ask(server, "select count(*) from pg_database where datname = 'market'") == 1
        assert ask(server, f"select rolsuper or rolbypassrls from pg_roles where rolname = '{LOGIN_ROLE}'") is False


def test_without_the_package_the_system_is_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("postgres", "initdb"):
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setattr("marketbill.embedded.postgres_programs.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_programs().folder == tmp_path
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("marketbill.embedded.postgres_programs._SYSTEM_PLACES", ((str(tmp_path), "none*"),))
    with pytest.raises(BinariesMissing, match="DATABASE_URL"):
        find_programs()


def test_the_default_data_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setattr("sys.platform", "linux")
    assert default_data_folder() == Path("/home/ada/.local/share/marketbill")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_folder() == Path("/data/marketbill")
    monkeypatch.setattr("sys.platform", "darwin")
    assert default_data_folder() == Path("/home/ada/Library/Application Support/marketbill")


def test_valkey_has_one_owner_and_keeps_its_queue(tmp_path: Path) -> None:
    import redis

    with EmbeddedValkey(tmp_path) as server, redis.Redis.from_url(server.url()) as client:
        client.rpush("queue", "message")
        with pytest.raises(DataFolderInUse), EmbeddedValkey(tmp_path):
            pytest.fail("two owners of one folder")
    with EmbeddedValkey(tmp_path) as server, redis.Redis.from_url(server.url()) as client:
        assert client.lrange("queue", 0, -1) == [b"message"]
