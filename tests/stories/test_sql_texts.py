r"""What a `sql` step sends is all that stands there, as it stands, to the server that writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Refused, Unreachable
from backout.model import SecretSource
from support.postgres import Postgres
from support.scratch import scratch
from support.work import Bench, Trial

DATABASE = "\ue000database\ue001"


@pytest.fixture
def name(postgres: Postgres, tmp_path: Path) -> str:
    """A database with a table `t`."""
    name = f"texts_{abs(hash(tmp_path))}"
    postgres.create_database(name)
    postgres.sql("CREATE TABLE t (n text)", name)
    return name


@pytest.fixture
def bench(tmp_path: Path, postgres: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("DATABASE_URL", postgres.dsn(name))
    return Bench(tmp_path, secrets={"database": SecretSource(env="DATABASE_URL")})


def sql(bench: Bench, script: str, **common: Any) -> Trial:
    return bench.step("sql", {"database": DATABASE, "script": script}, **common)


def of_file(bench: Bench, path: Path, **common: Any) -> Trial:
    return bench.step("sql", {"database": DATABASE, "file": str(path)}, **common)


@pytest.mark.parametrize("encoding", ["LATIN1", "UTF8", "SQL_ASCII"])
@pytest.mark.parametrize("environment", ["", "LATIN1"])
def test_letters_arrive_as_they_stand_whatever_the_database_and_the_environment_say(
    bench: Bench,
    postgres: Postgres,
    name: str,
    encoding: str,
    environment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = f"{name}_{encoding}_{environment}".lower()
    options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    postgres.sql(f"CREATE DATABASE {other} {options}")
    monkeypatch.setenv("DATABASE_URL", postgres.dsn(other))
    if environment:
        monkeypatch.setenv("PGCLIENTENCODING", environment)
    check = "SELECT count(*) = 1 FROM t WHERE n = 'café'"
    trial = sql(
        bench,
        "CREATE TABLE t (n text); INSERT INTO t VALUES ('café')",
        check=check,
        undo="DELETE FROM t WHERE n = 'café'",
    )

    assert trial.act().ok

    stored = "é".encode("latin-1" if encoding == "LATIN1" else "utf-8").hex()
    as_bytes = f"SELECT encode(convert_to(n, '{encoding}'), 'hex') FROM t"
    if encoding == "SQL_ASCII":
        as_bytes = "SELECT encode(n::bytea, 'hex') FROM t"
    assert postgres.sql(as_bytes, other) == [[f"{b'caf'.hex()}{stored}"]]
    assert trial.kind.done(trial.work) is True
    assert trial.undo().ok
    assert postgres.sql("SELECT n FROM t", other) == []


def test_a_text_is_never_sent_in_part(bench: Bench, postgres: Postgres, name: str) -> None:
    cut = "INSERT INTO t VALUES ('a');\n\0INSERT INTO t VALUES ('b')"
    for trial in (sql(bench, cut, undo="SELECT 1"), sql(bench, "SELECT 1", undo=cut)):
        with pytest.raises(Refused, match="line 2: a zero byte"):
            trial.kind.ready(trial.work, made=False)
    assert postgres.sql("SELECT n FROM t", name) == []


def test_a_file_with_nothing_in_it_is_neither_a_step_nor_a_way_back(
    bench: Bench, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.sql"
    empty.write_text("\n \n")
    for trial in (
        of_file(bench, empty, undo="SELECT 1"),
        sql(bench, "SELECT 1", undo=f"\\i {empty}"),
    ):
        with pytest.raises(Refused, match=r"empty\.sql is empty"):
            trial.kind.ready(trial.work, made=False)


def test_a_mark_that_an_editor_put_before_the_text_is_no_part_of_it(
    bench: Bench, postgres: Postgres, name: str, tmp_path: Path
) -> None:
    up, down = tmp_path / "up.sql", tmp_path / "down.sql"
    up.write_text("INSERT INTO t VALUES ('a')", encoding="utf-8-sig")
    down.write_text("DELETE FROM t", encoding="utf-8-sig")
    trial = of_file(bench, up, undo=f"\\i {down}")

    assert trial.act().ok
    assert postgres.sql("SELECT n FROM t", name) == [["a"]]
    assert trial.undo().ok
    assert postgres.sql("SELECT n FROM t", name) == []


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("\\ir down.sql", r"\\ir"),
        ("DELETE FROM t;\n  \\echo done", r"\\echo"),
        ("COPY t FROM stdin;\na\n\\.\n", r"\\\."),
        ("\\set ON_ERROR_STOP on\nDELETE FROM t", r"\\set"),
    ],
)
def test_what_only_psql_understands_is_refused_before_the_first_change(
    bench: Bench, tmp_path: Path, text: str, command: str
) -> None:
    path = tmp_path / "own.sql"
    path.write_text(text)
    for trial in (
        sql(bench, "SELECT 1", undo=text),
        sql(bench, "SELECT 1", undo=f"\\i {path}"),
        of_file(bench, path, undo="SELECT 1"),
    ):
        with pytest.raises(Refused, match=f"line .: {command} is psql's own"):
            trial.kind.ready(trial.work, made=False)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES ('a\n\\b')",
        "INSERT INTO t VALUES (E'it\\'s\n\\\\b')",
        "DO $do$ BEGIN PERFORM '\n\\x'; END $do$; INSERT INTO t VALUES ($$\n\\y$$)",
        "-- it's\n/* don't\n\\d */ INSERT INTO t VALUES ('a')",
        'INSERT INTO t SELECT "\n\\c" FROM (SELECT 1 AS "\n\\c") AS s',
    ],
)
def test_a_backslash_in_quotes_and_comments_is_sql(bench: Bench, text: str) -> None:
    trial = sql(bench, text, undo=text)

    trial.kind.ready(trial.work, made=False)
    assert trial.act().ok


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("INSERT INTO t VALUES ('a');\nROLLBACK;", "line 2: its own ROLLBACK takes back"),
        ("BEGIN; DELETE FROM t; rollback work", "line 1: its own ROLLBACK WORK takes back"),
        ("DELETE FROM t; /* so */ ABORT; SELECT 1", "its own ABORT takes back"),
        ("ROLLBACK AND CHAIN; SELECT 1", "its own ROLLBACK AND CHAIN takes back"),
        ("create index concurrently i on t (n)", "CREATE INDEX CONCURRENTLY cannot be part of"),
        ("SELECT 1;\n\nCREATE UNIQUE INDEX CONCURRENTLY i ON t (n)", "line 3: CREATE UNIQUE INDEX"),
        ("DROP INDEX CONCURRENTLY i", "DROP INDEX CONCURRENTLY cannot"),
        ("REINDEX (VERBOSE) TABLE CONCURRENTLY t", "cannot be part of a transaction"),
        ("REINDEX TABLE CONCURRENTLY t", "cannot be part of a transaction"),
        ("-- tidy\nVACUUM FULL t", "line 2: VACUUM FULL T cannot"),
        ("CREATE DATABASE other", "CREATE DATABASE OTHER cannot"),
        ("ALTER SYSTEM SET work_mem = '1MB'", "ALTER SYSTEM SET cannot"),
        ("DELETE FROM t; PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION cannot"),
    ],
)
def test_what_cannot_be_one_transaction_that_stays_is_refused_before_the_first_change(
    bench: Bench, postgres: Postgres, name: str, tmp_path: Path, text: str, words: str
) -> None:
    """Green would be without proof: nothing of it is there afterwards."""
    path = tmp_path / "own.sql"
    path.write_text(text)
    for trial in (
        sql(bench, text, undo="SELECT 1"),
        of_file(bench, path, undo="SELECT 1"),
        sql(bench, "SELECT 1", undo=text),
        sql(bench, "SELECT 1", undo=f"\\i {path}"),
    ):
        with pytest.raises(Refused, match=words):
            trial.kind.ready(trial.work, made=False)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES ('; ROLLBACK;')",
        "SAVEPOINT a; DELETE FROM t; ROLLBACK TO a",
        "SAVEPOINT a; DELETE FROM t; ROLLBACK TRANSACTION TO SAVEPOINT a",
        "-- VACUUM;\n/* ROLLBACK; */ CREATE INDEX i ON t (n)",
        'SELECT n AS "; ROLLBACK" FROM t; CREATE TABLE rollback (concurrently_ text)',
        "DO $$ BEGIN PERFORM 1; EXCEPTION WHEN OTHERS THEN NULL; END $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
        "BEGIN; INSERT INTO t VALUES ('a'); COMMIT;",
        "CREATE MATERIALIZED VIEW v AS SELECT n FROM t; CREATE UNIQUE INDEX i ON v (n);"
        " REFRESH MATERIALIZED VIEW CONCURRENTLY v",
    ],
)
def test_what_only_looks_like_it_is_a_step_as_any_other(bench: Bench, text: str) -> None:
    trial = sql(bench, text, undo="SELECT 1")
    trial.kind.ready(trial.work, made=False)
    assert trial.act().ok


def test_what_only_reads_may_take_back_what_it_did_not_change(bench: Bench) -> None:
    assert sql(bench, "BEGIN; SELECT 1; ROLLBACK", readonly=True).act().ok


@pytest.fixture
def standby(postgres: Postgres) -> Iterator[Postgres]:
    with scratch() as place, postgres.standby(place / "standby") as following:
        yield following


def test_a_change_is_of_the_server_that_writes(
    bench: Bench,
    postgres: Postgres,
    name: str,
    standby: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A standby reads; it knows nothing of a transaction that may still be on its way."""
    trial = sql(bench, "INSERT INTO t VALUES ('a')", undo="DELETE FROM t")
    both = f"127.0.0.1:{standby.port},127.0.0.1:{postgres.port}"
    monkeypatch.setenv("DATABASE_URL", f"postgresql://postgres@{both}/{name}")
    assert trial.act().ok
    assert postgres.sql("SELECT n FROM t", name) == [["a"]]

    monkeypatch.setenv("DATABASE_URL", standby.dsn(name))
    reading = sql(bench, "SELECT 1", readonly=True)
    assert reading.act().ok
    way_back, trial = trial.way_back, sql(bench, "INSERT INTO t VALUES ('b')", undo="SELECT 1")
    with pytest.raises(Refused, match=r"the database cannot be reached: .*hot standby"):
        trial.kind.ready(trial.work, made=False)
    with monkeypatch.context() as soon:
        soon.setattr("backout.steps.sql_session.RETURN", 0.0)
        with pytest.raises(Unreachable, match="whether its transaction still runs is not known"):
            trial.kind.recall(trial.work, way_back)
    assert trial.kind.done(trial.work) is None
