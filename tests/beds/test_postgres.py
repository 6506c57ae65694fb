"""The private PostgreSQL."""

from __future__ import annotations

from support.postgres import Postgres


def test_it_runs_sql_in_databases_of_its_own(postgres: Postgres) -> None:
    postgres.create_database("facts")
    assert postgres.sql("SELECT 1, 'two'", "facts") == [["1", "two"]]


def test_an_error_carries_its_sqlstate(postgres: Postgres) -> None:
    assert "42P01" in postgres.psql("SELECT * FROM nowhere").stderr


def test_a_generated_column_needs_the_word_stored(postgres: Postgres) -> None:
    done = postgres.psql("CREATE TABLE t (a text, b text GENERATED ALWAYS AS (a))")
    assert "42601" in done.stderr
