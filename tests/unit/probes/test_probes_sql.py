"""Checks of kind `sql`, on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.conninfo import make_conninfo

from backout.adapters.storage.postgres.address import Address
from backout.checks.judging import judge
from backout.errors import Refused
from backout.language import expressions
from backout.model import Check, Observation, Verdict
from backout.probes.sql import Sql
from support.looks import Secrets, observe
from support.ports import free_port
from support.postgres import Postgres
from support.wait import eventually

DATABASE = "\ue000database\ue001"


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> str:
    """The URL of a database with a few rows."""
    url = postgres.create_database("shop")
    postgres.sql("CREATE TABLE item (name text, price numeric)", "shop")
    postgres.sql("INSERT INTO item VALUES ('cup', 3), ('plate', 4.5)", "shop")
    return url


def ask(url: str, query: str, timeout: float = 5.0) -> Observation:
    options = {"database": DATABASE, "query": query}
    return observe(Sql, options, vault=Secrets(database=url), timeout=timeout)


def verdict(seen: Observation, *expect: str) -> Verdict:
    check = Check(name="items", kind="sql", options=None, expect=expect)
    return judge(check, seen, {}, offered=Sql.names).verdict


def test_rows_come_by_name_with_numbers_as_numbers(shop: str) -> None:
    seen = ask(shop, "SELECT name, price FROM item ORDER BY price")
    rows = [{"name": "cup", "price": 3}, {"name": "plate", "price": 4.5}]
    assert (seen.facts["rows"], seen.facts["count"], seen.error) == (rows, 2, "")
    assert verdict(seen, "rows.all(r, r.price < 5)", "count == 2") is Verdict.PASS
    assert seen.excerpt == "cup | 3\nplate | 4.5"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timestamptz '2024-01-30 20:00+00'", "2024-01-30T20:00:00+00:00"),
        ("""'{"a": [1, null]}'::jsonb""", {"a": [1, None]}),
        ("'{1,2}'::int[]", [1, 2]),
        (r"'\x0aff'::bytea", "0aff"),
        ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("null", None),
        ("true", True),
    ],
)
def test_every_type_becomes_plain_data_that_expressions_can_use(
    shop: str, column: str, value: object
) -> None:
    seen = ask(shop, f"SELECT {column} AS it")
    assert seen.facts["rows"] == [{"it": value}]
    assert expressions.holds("has(rows[0].it)", seen.facts)


@pytest.mark.parametrize("price", ["'NaN'", "'Infinity'"])
def test_what_is_no_number_passes_nothing(shop: str, price: str) -> None:
    seen = ask(shop, f"SELECT {price}::numeric AS price")
    assert verdict(seen, "rows[0].price < 5.0") is not Verdict.PASS


def test_what_is_said_of_every_row_does_not_hold_without_one(shop: str) -> None:
    seen = ask(shop, "SELECT * FROM item WHERE price > 100")
    assert verdict(seen, "rows.all(r, r.price < 5)") is Verdict.ERROR
    assert verdict(seen, "count == 0") is Verdict.PASS


def test_an_error_of_the_server_comes_with_its_sqlstate(shop: str) -> None:
    seen = ask(shop, "SELECT * FROM nothing")
    assert seen.error == '42P01 relation "nothing" does not exist'
    assert seen.facts["sqlstate"] == "42P01"
    assert verdict(seen, "count == 0") is Verdict.ERROR


@pytest.mark.parametrize(
    ("query", "sqlstate"),
    [
        ("DELETE FROM item", "25006"),
        ("COMMIT; DELETE FROM item", "42601"),
        ("SELECT nextval('s')", "42P01"),
    ],
)
def test_nothing_can_be_changed(shop: str, query: str, sqlstate: str) -> None:
    assert ask(shop, query).facts["sqlstate"] == sqlstate
    assert ask(shop, "SELECT 1 FROM item").facts["count"] == 2


def test_a_query_that_takes_too_long_is_ended_by_the_server(shop: str, postgres: Postgres) -> None:
    started = time.monotonic()
    seen = ask(shop, "SELECT pg_sleep(60)", timeout=3)
    assert seen.facts["sqlstate"] == "57014"
    assert time.monotonic() - started < 30
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    eventually(lambda: postgres.sql(running) == [["0"]], saying="the end of its session")


def test_a_server_that_stands_still_is_given_up(shop: str, postgres: Postgres) -> None:
    started = time.monotonic()
    query = "SELECT pg_sleep(60), count(*) FROM item"
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, shop, query, 5.0)
        active = f"SELECT pid FROM pg_stat_activity WHERE query = '{query}'"
        pid = int(eventually(lambda: postgres.sql(active))[0][0])
        os.kill(pid, signal.SIGSTOP)
        try:
            seen = asking.result()
        finally:
            os.kill(pid, signal.SIGCONT)
    assert seen.error == "no answer within 5 s"
    assert time.monotonic() - started < 50


def test_the_environment_leads_to_no_other_machine_than_the_connection_string_names(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")

    assert ask(shop, "SELECT 1 AS one").facts["rows"] == [{"one": 1}]
    with Address(shop).connect() as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("variable", "value", "what"), [("PGPORT", "1", "port"), ("PGDATABASE", "other", "database")]
)
def test_what_the_connection_string_leaves_open_of_its_host_the_environment_does_not_say(
    shop: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, what: str
) -> None:
    """Another operator's shell would mean another database by the same inventory."""
    monkeypatch.setenv(variable, value)
    assert ask(shop, "SELECT 1 AS one").facts["rows"] == [{"one": 1}]
    parts = {"host": "127.0.0.1", "port": "5432", "dbname": "shop", "user": "postgres"}
    del parts["port" if what == "port" else "dbname"]
    vague = " ".join(f"{name}={said}" for name, said in parts.items())
    with pytest.raises(Refused, match=f"names no {what} of 127.0.0.1, and {variable}") as raised:
        ask(vague, "SELECT 1")
    assert raised.value.next == f"write the {what} into the connection string, or: unset {variable}"
    with pytest.raises(Refused, match=variable):
        Address(vague).connect()


@pytest.mark.parametrize(
    ("variable", "value"), [("PGOPTIONS", "-c search_path=other"), ("PGSERVICE", "other")]
)
def test_nor_does_the_environment_say_how_a_session_begins_there(
    shop: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    for asked in (lambda: ask(shop, "SELECT 1"), Address(shop).connect):
        with pytest.raises(Refused, match=f"and {variable} of this environment would: {value}"):
            asked()
    if variable == "PGOPTIONS":
        own = make_conninfo(shop, options="-c search_path=public")
        assert ask(own, "SHOW search_path").facts["rows"] == [{"search_path": "public"}]


def test_a_database_that_cannot_be_reached_is_an_error_and_never_a_pass() -> None:
    seen = ask(f"postgresql://postgres@127.0.0.1:{free_port()}/shop", "SELECT 1")
    assert "connection" in seen.error
    assert seen.facts["sqlstate"] == ""
    assert verdict(seen, "count == 1") is Verdict.ERROR


def test_the_driver_is_an_extra_and_its_absence_says_how_to_get_it(
    shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Refused) as refused:
        ask(shop, "SELECT 1")
    assert "backout[postgres]" in refused.value.next
