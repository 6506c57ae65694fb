"""A COMMIT whose end nobody saw: it is waited for, or ended, before anything else is asked or run.

The commit is slow as real ones are: a deferred constraint trigger, or a standby that is missing.
Each story begins from a known-good release.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.pgbouncer import pooled
from support.postgres import Postgres
from support.proxy import Proxy
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

TABLES = """
CREATE TABLE t (n int);
CREATE TABLE pace (seconds float, held boolean);
INSERT INTO pace VALUES (1, false);
CREATE TABLE commits (began timestamptz, ended timestamptz);
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE began timestamptz := clock_timestamp(); lasts float := (SELECT seconds FROM pace);
  BEGIN
    WHILE (SELECT held FROM pace) LOOP PERFORM pg_sleep(0.02); END LOOP;
    PERFORM pg_sleep(lasts);
    INSERT INTO commits VALUES (began, clock_timestamp());
    RETURN NULL;
  END $$;
CREATE CONSTRAINT TRIGGER lingers AFTER INSERT OR DELETE ON t
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger();
"""
OVERLAPPING = """
SELECT count(*) FROM commits a JOIN commits b
ON a.ctid < b.ctid AND a.began < b.ended AND b.began < a.ended"""


class Site:
    """A project with one migration, and the database that it migrates."""

    def __init__(self, yard: Yard, server: Postgres, name: str) -> None:
        self.yard, self.server, self.name = yard, server, name
        self.dsn = server.create_database(name)
        self.sql(TABLES)
        yard.runbook(yard.step("First"))
        yard.good_release()

    def sql(self, text: str) -> list[list[str]]:
        return self.server.sql(text, self.name)

    def migration(self, *more: dict[str, Any], checked: bool = True, **keys: Any) -> None:
        step: dict[str, Any] = {
            "name": "Migrate",
            "sql": {"database": self.dsn, "script": "INSERT INTO t VALUES (1)"},
            "undo": "DELETE FROM t WHERE n = 1",
            **keys,
        }
        if checked:
            step["check"] = "SELECT EXISTS (SELECT FROM t WHERE n = 1)"
        self.yard.runbook(step, *more)

    def committing(self) -> bool:
        return bool(self.sessions("query = 'COMMIT'"))

    def sessions(self, where: str) -> list[list[str]]:
        """Those of this database that are at work, by name."""
        at_work = f"datname = '{self.name}' AND state = 'active' AND pid <> pg_backend_pid()"
        return self.sql(
            f"SELECT application_name FROM pg_stat_activity WHERE {at_work} AND {where}"
        )

    def hold(self, *, held: bool) -> None:
        """Whether commits wait for something else to happen, before they take their time."""
        self.sql(f"SET synchronous_commit = off; UPDATE pace SET held = {held}")

    def killed(self) -> None:
        """A deploy whose process is killed while its COMMIT runs."""
        self.hold(held=True)
        self.kill(self.yard.start())

    def kill(self, process: Started) -> None:
        """Kill it in its COMMIT, which is held."""
        eventually(self.committing, saying="COMMIT")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert self.committing(), "the commit goes on without its deployer"
        self.hold(held=False)

    def rows(self) -> int:
        """How often the migration is there, once every transaction has ended."""
        eventually(lambda: not self.sessions("true"), saying="the last transaction")
        return int(self.sql("SELECT count(*) FROM t")[0][0])

    def beside_each_other(self) -> int:
        """How many of the commits overlapped."""
        return int(self.sql(OVERLAPPING)[0][0])


@pytest.fixture
def site(yard: Yard, postgres: Postgres, tmp_path: Path) -> Site:
    return Site(yard, postgres, f"flight_{abs(hash(tmp_path))}")


@pytest.fixture
def no_standby(site: Site) -> Iterator[None]:
    """Every commit in the site's database waits for a standby that is not there, and for
    nothing else."""
    site.sql("ALTER TABLE t DISABLE TRIGGER lingers")
    site.sql(f'ALTER DATABASE "{site.name}" SET synchronous_commit = on')
    standby(site, "nobody")
    yield
    standby(site, "")


def standby(site: Site, name: str) -> None:
    site.server.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    site.server.sql("SELECT pg_reload_conf()")
    shown = "SHOW synchronous_standby_names"
    eventually(lambda: site.server.sql(shown) == [[name]])


# --- the deployer is killed ----------------------------------------------------------------


def test_resume_waits_for_a_commit_in_flight_and_applies_nothing_twice(site: Site) -> None:
    site.migration()
    site.killed()
    ((name,),) = site.sessions("query = 'COMMIT'")
    said = site.yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert site.rows() == 1
    assert name.startswith(f"backout {said.data['run']}/"), "the session says whose it is"


def test_abort_waits_for_a_commit_in_flight_before_it_undoes_it(site: Site) -> None:
    site.migration(checked=False)
    site.killed()
    said = site.yard.say("abort")
    assert said.code == 4, said.out + said.err
    assert site.rows() == 0
    assert site.beside_each_other() == 0


def test_a_commit_that_outlasts_its_timeout_is_ended_before_its_check_is_asked(site: Site) -> None:
    site.migration(timeout="3s")
    site.sql("UPDATE pace SET seconds = 60")
    site.killed()
    site.sql("UPDATE pace SET seconds = 0")
    said = site.yard.say("resume")
    assert said.code == 0, said.out + said.err
    assert site.rows() == 1
    assert int(site.sql("SELECT count(*) FROM commits")[0][0]) == 1, "the first was rolled back"


def test_an_undo_killed_in_its_commit_never_runs_beside_itself(site: Site) -> None:
    undo = "DELETE FROM t WHERE n = 1; INSERT INTO t VALUES (-1)"
    site.migration(site.yard.step("Bad", before=f"{site.yard.hold()}; false"), undo=undo)
    process = site.yard.start()
    done = "SELECT true FROM commits"
    eventually(lambda: site.sql(done), saying="the migration")
    site.hold(held=True)
    site.yard.let_go()
    site.kill(process)
    said = site.yard.say("abort")
    assert said.code == 4, said.out + said.err
    assert site.rows() == 2, "undone, and once more: an undo bears that"
    assert site.beside_each_other() == 0


def test_behind_a_pooler_a_commit_in_flight_is_awaited_just_so(site: Site) -> None:
    with pooled(site.server) as port:
        site.dsn = f"postgresql://postgres@127.0.0.1:{port}/{site.name}"
        site.migration()
        site.killed()
        said = site.yard.say("resume")
        assert said.code == 0, said.out + said.err
        assert site.rows() == 1
        site.yard.good_release()
    assert site.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [["0"]]


# --- nobody is killed ----------------------------------------------------------------------


def test_a_link_cut_at_the_commit_is_not_an_answer(site: Site) -> None:
    with Proxy(("127.0.0.1", site.server.port)) as proxy:
        site.dsn = f"postgresql://postgres@127.0.0.1:{proxy.port}/{site.name}"
        site.migration()
        site.hold(held=True)
        process = site.yard.start()
        eventually(site.committing, saying="COMMIT")
        proxy.cut()
        site.hold(held=False)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert site.rows() == 1


def test_a_commit_that_waits_for_a_lost_standby_is_timed_out_and_asked_about(
    site: Site, no_standby: None
) -> None:
    site.migration(timeout="3s")
    said = site.yard.deploy()
    assert said.code == 0, said.out + said.err
    assert site.rows() == 1


def test_resume_waits_for_a_standby_to_come_back(site: Site, no_standby: None) -> None:
    site.migration()
    site.killed()
    process = site.yard.start("resume")
    waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'backout %/%'"
    eventually(lambda: len(site.sql(waiting)) > 1, saying="resume asks")
    standby(site, "")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert site.rows() == 1
