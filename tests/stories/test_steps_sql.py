"""`sql` against a real PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import SecretSource, State
from backout.steps.sql import SqlOptions
from support.ports import free_port, release
from support.postgres import Postgres
from support.work import Bench, Trial


class Database:
    """One empty database with a table `t`."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server, self._name = server, name
        self.dsn = server.create_database(name)
        self.sql("CREATE TABLE t (n int UNIQUE)")

    def sql(self, text: str) -> list[list[str]]:
        return self._server.sql(text, self._name)


@pytest.fixture
def database(postgres: Postgres, tmp_path: Path) -> Database:
    return Database(postgres, f"steps_{abs(hash(tmp_path))}")


@pytest.fixture
def bench(tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    return Bench(tmp_path, secrets={"database": SecretSource(env="DATABASE_URL")})


def sql(bench: Bench, script: str, **common: Any) -> Trial:
    return bench.step("sql", {"database": "\ue000database\ue001", "script": script}, **common)


def numbers(database: Database) -> list[str]:
    return [row[0] for row in database.sql("SELECT n FROM t ORDER BY n")]


def test_statements_are_one_transaction_and_the_undo_is_sql(
    bench: Bench, database: Database
) -> None:
    undo = "DELETE FROM t WHERE n IN (1, 2)"
    trial = sql(bench, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", undo=undo)

    assert trial.act().ok
    assert numbers(database) == ["1", "2"]

    for _ in range(2):
        assert trial.undo().ok
        assert numbers(database) == []
    assert database.dsn not in repr(trial.way_back)


def test_an_error_takes_everything_back_and_carries_its_sqlstate(
    bench: Bench, database: Database
) -> None:
    result = sql(bench, "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)").act()

    assert result.state is State.FAILED
    assert result.exit_code is None
    assert result.reason.startswith("23505 duplicate key value violates unique constraint")
    assert "(n)=(1) already exists" in result.reason
    assert numbers(database) == []


def test_an_error_at_the_commit_is_a_failure_too(bench: Bench, database: Database) -> None:
    database.sql(
        "ALTER TABLE t DROP CONSTRAINT t_n_key, ADD UNIQUE (n) DEFERRABLE INITIALLY DEFERRED"
    )

    result = sql(bench, "INSERT INTO t VALUES (1), (1)").act()

    assert result.state is State.FAILED
    assert result.reason.startswith("at the commit: 23505")
    assert numbers(database) == []


def test_a_commit_whose_answer_is_lost_is_unknown(bench: Bench, database: Database) -> None:
    """A deferred trigger ends its own connection: the server is gone during the commit."""
    database.sql(
        """CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END';
           CREATE CONSTRAINT TRIGGER dies AFTER INSERT ON t
           DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"""
    )

    result = sql(bench, "INSERT INTO t VALUES (1)").act()

    assert result.state is State.UNKNOWN
    assert result.reason.startswith("at the commit: ")


def test_a_script_that_commits_by_itself_is_told_what_stays(
    bench: Bench, database: Database
) -> None:
    result = sql(bench, "INSERT INTO t VALUES (1); COMMIT; SELECT 1/0").act()

    assert result.state is State.FAILED
    assert result.reason.startswith("22012")
    assert "what came before the script's own COMMIT stays" in result.reason
    assert numbers(database) == ["1"]


def test_statements_can_stand_in_a_file(bench: Bench, database: Database, tmp_path: Path) -> None:
    (tmp_path / "up.sql").write_text("INSERT INTO t VALUES (7); -- 100% and {{ as it is }}\n")
    options = {"database": "\ue000database\ue001", "file": str(tmp_path / "up.sql")}

    assert bench.step("sql", options).act().ok

    assert numbers(database) == ["7"]


def test_the_last_statements_rows_are_the_output(bench: Bench) -> None:
    result = sql(bench, "INSERT INTO t VALUES (1); SELECT 1, 'two', NULL; SELECT 3, true").act()

    assert result.stdout == "3|True\n"


def test_a_readonly_step_cannot_write(bench: Bench, database: Database) -> None:
    result = sql(bench, "INSERT INTO t VALUES (1)", readonly=True).act()

    assert result.reason.startswith("25006")
    assert numbers(database) == []


def test_a_statement_that_takes_too_long_is_ended(bench: Bench) -> None:
    result = sql(bench, "SELECT pg_sleep(30)", timeout=0.2).act()

    assert result.state is State.FAILED
    assert result.reason.startswith("57014")
    assert result.reason.endswith("its timeout is 0.2 s")


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        ("SELECT count(*) = 0 FROM t", True),
        ("SELECT count(*) > 0, 'more' FROM t", False),
        ("SELECT n > 0 FROM t", None),
        ("SELECT NULL::boolean", None),
        ("SELECT 1", None),
        ("SELECT true FROM generate_series(1, 2)", None),
        ("SELECT nonsense", None),
        ("INSERT INTO t VALUES (1) RETURNING true", None),
    ],
)
def test_a_check_is_one_row_that_says_whether_it_is_done(
    bench: Bench, database: Database, check: str, answer: bool | None
) -> None:
    trial = sql(bench, "SELECT 1", check=check)

    assert trial.kind.done(trial.work) is answer
    assert numbers(database) == []


def test_a_step_without_a_check_cannot_tell_what_an_interruption_left(bench: Bench) -> None:
    trial = sql(bench, "SELECT 1")
    trial.before()

    recalled = trial.recall()

    assert recalled is not None
    assert recalled.state is State.UNKNOWN
    assert trial.kind.done(trial.work) is None


def test_an_unreachable_database_is_refused_before_anything_is_done(bench: Bench) -> None:
    port = free_port()
    bench.secrets = {}
    options = {"database": f"postgresql://postgres@127.0.0.1:{port}/x", "script": "SELECT 1"}
    trial = bench.step("sql", options, check="SELECT true")

    for look in (trial.before, lambda: trial.kind.ready(trial.work, made=False)):
        with pytest.raises(Refused, match=r"the database cannot be reached: .*refused"):
            look()
    trial.kind.ready(trial.work, made=True)
    assert "cannot be reached" in trial.kind.act(trial.work).reason
    assert trial.kind.done(trial.work) is None
    release(port)


def test_a_missing_driver_is_refused_with_how_to_get_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    trial = sql(bench, "SELECT 1")
    for look in (trial.before, lambda: trial.kind.ready(trial.work, made=True)):
        with pytest.raises(Refused) as caught:
            look()
        assert caught.value.next == "pip install 'backout[postgres]'"


@pytest.mark.parametrize("options", [{}, {"script": "SELECT 1", "file": "x.sql"}])
def test_one_of_script_and_file_must_be_written(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        SqlOptions.model_validate({"database": "x", **options})
