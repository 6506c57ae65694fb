"""The migrations of the incident's table: from every state to S5 and back, with its rows."""

from __future__ import annotations

import os

import pytest

from support.gigz import EXAMPLE
from support.postgres import Postgres

STATES = ("S0", "S1", "S2", "S3", "S4", "S5", "S6")
ROW = {
    "objectId": "link000001",
    "user": "user000001",
    "concert": "concert001",
    "_p_user": "_User$user000001",
    "_p_concert": "Concert$concert001",
}


class Table:
    """UserConcert in a database of its own."""

    def __init__(self, postgres: Postgres, state: str) -> None:
        self.postgres = postgres
        self.database = f"table_{os.urandom(4).hex()}"
        postgres.create_database(self.database)
        self.apply(f"states/{state}")

    def apply(self, name: str) -> list[list[str]]:
        """A migration, in one transaction as Backout runs it."""
        text = (EXAMPLE / "migrations" / f"{name}.sql").read_text()
        return self.sql(f"BEGIN;\n{text};\nCOMMIT;")

    def sql(self, text: str) -> list[list[str]]:
        return self.postgres.sql(text, self.database)

    @property
    def state(self) -> str:
        return self.apply("state")[-1][0]

    def insert(self, *columns: str) -> None:
        names = ", ".join(f'"{name}"' for name in ("objectId", *columns))
        values = ", ".join(f"'{ROW[name]}'" for name in ("objectId", *columns))
        self.sql(f'INSERT INTO "UserConcert" ({names}) VALUES ({values})')

    def row(self, *columns: str) -> list[str]:
        names = ", ".join(f'"{name}"' for name in columns)
        return self.sql(f'SELECT {names} FROM "UserConcert"')[0]


def written(state: str) -> tuple[str, str]:
    """The columns that a row of this state was written by."""
    return ("user", "concert") if state in ("S0", "S4") else ("_p_user", "_p_concert")


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_known_heals_keeps_its_rows_and_comes_back(
    postgres: Postgres, state: str
) -> None:
    table = Table(postgres, state)
    assert table.state == state
    table.insert(*written(state))
    before = table.sql('SELECT * FROM "UserConcert"')

    for _ in range(2):
        table.apply("heal")

        assert table.state == "S5"
        forms = ("user", "concert", "_p_user", "_p_concert")
        assert table.row(*forms) == [ROW[name] for name in forms]

    for _ in range(2):
        table.apply(f"back/{state}")
        assert table.state == state
        assert table.row(*written(state)) == [ROW[name] for name in written(state)]
    if state != "S3":  # there the plain columns have been filled meanwhile
        assert sorted(table.sql('SELECT * FROM "UserConcert"')[0]) == sorted(before[0])


@pytest.mark.parametrize("state", STATES)
def test_a_way_back_that_runs_where_nothing_was_healed_does_no_harm(
    postgres: Postgres, state: str
) -> None:
    table = Table(postgres, state)
    table.insert(*written(state))
    table.apply(f"back/{state}")
    assert table.state == state
    assert table.row(*written(state)) == [ROW[name] for name in written(state)]


@pytest.mark.parametrize("form", [("user", "concert"), ("_p_user", "_p_concert")])
def test_in_s5_whichever_form_is_written_wins(postgres: Postgres, form: tuple[str, str]) -> None:
    table = Table(postgres, "S5")
    table.insert(*form)
    forms = ("user", "concert", "_p_user", "_p_concert")
    assert table.row(*forms) == [ROW[name] for name in forms]
    other = "other00001" if form[0] == "user" else "_User$other00001"
    table.sql(f'UPDATE "UserConcert" SET "{form[0]}" = \'{other}\'')
    assert table.row("user", "_p_user") == ["other00001", "_User$other00001"]


def test_the_contract_keeps_every_row(postgres: Postgres) -> None:
    table = Table(postgres, "S2")
    table.insert("_p_user", "_p_concert")
    table.apply("heal")
    table.apply("back/S0")
    assert table.state == "S0"
    assert table.row("user", "concert") == ["user000001", "concert001"]


def test_a_table_in_none_of_the_states_is_an_error(postgres: Postgres) -> None:
    table = Table(postgres, "S2")
    table.sql('ALTER TABLE "UserConcert" ALTER COLUMN concert DROP EXPRESSION')
    said = postgres.psql((EXAMPLE / "migrations" / "state.sql").read_text(), table.database)
    assert "is in none of the states S0 to S6" in said.stderr
