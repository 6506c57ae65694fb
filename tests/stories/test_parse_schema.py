"""Checks of kind `parse-schema`, on the schema that a real Parse Server made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from backout.checks.judging import judge
from backout.model import Check, Finding, Observation, Verdict
from backout.probes.parse_schema import ParseSchema
from support.looks import Secrets, observe
from support.parse_server import ParseServer, TableState
from support.postgres import Postgres

SAVES: dict[TableState, bool] = {
    "S0": True,
    "S1": False,
    "S2": False,
    "S3": False,
    "S4": True,
    "S5": True,
    "S6": False,
}
"""Whether Parse can save a UserConcert in a state of the table."""


@pytest.fixture(scope="module")
def parse(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ParseServer]:
    postgres.create_database("schema")
    with ParseServer(tmp_path_factory.mktemp("parse"), postgres, "schema", "new") as server:
        server.create_schema()
        server.set_attempts(1)
        yield server


@pytest.fixture(scope="module")
def session(parse: ParseServer) -> str:
    return parse.create_user("visitor")[1]


def look(parse: ParseServer, *, known_good: Any = None, memory: Any = None, **options: Any) -> Any:
    given = {"database": parse.postgres.dsn(parse.database), **options}
    return observe(ParseSchema, given, vault=Secrets(), known_good=known_good, memory=memory)


def judged(seen: Observation) -> Finding:
    check = Check(name="schema", kind="parse-schema", options=None)
    return judge(check, seen, {}, ParseSchema.expects, ParseSchema.names)


@pytest.mark.parametrize("state", SAVES)
def test_an_insert_as_parse_does_it_tells_what_parse_itself_will_meet(
    parse: ParseServer, session: str, state: TableState
) -> None:
    parse.set_table(state)
    finding = judged(look(parse, insert=["UserConcert"]))
    assert finding.verdict is (Verdict.PASS if SAVES[state] else Verdict.FAIL)
    assert (finding.facts["inserted"] == ["UserConcert"]) is SAVES[state]
    assert (parse.add_concert(session)[0] == 200) is SAVES[state]


@pytest.mark.parametrize("state", ["S0", "S2", "S5"])
def test_the_insert_leaves_nothing_behind(parse: ParseServer, state: TableState) -> None:
    parse.set_table(state)
    look(parse, insert=["UserConcert", "Concert"])
    assert parse.postgres.sql('SELECT count(*) FROM "UserConcert"', parse.database) == [["0"]]


@pytest.mark.parametrize(
    ("state", "sqlstates"),
    [
        ("S1", ["428C9", "23502"]),
        ("S2", ["428C9", "23502"]),
        ("S3", ["23502"]),
        ("S6", ["42703", "23502"]),
    ],
)
def test_the_catalogue_alone_names_the_sqlstates_to_come(
    parse: ParseServer, state: TableState, sqlstates: list[str]
) -> None:
    parse.set_table(state)
    seen = look(parse, classes=["UserConcert"])
    assert seen.facts["sqlstates"] == sqlstates
    assert judged(seen).verdict is Verdict.FAIL


def test_the_evidence_names_the_column_and_what_it_is(parse: ParseServer) -> None:
    parse.set_table("S2")
    seen = look(parse, classes=["UserConcert"], insert=["UserConcert"])
    assert seen.facts["generated"] == ["UserConcert.user", "UserConcert.concert"]
    assert seen.excerpt.startswith("UserConcert.user: 428C9 generated column")
    assert 'UserConcert: 428C9 cannot insert a non-DEFAULT value into column "user"' in seen.excerpt
    assert "UserConcert.user: 428C9 generated column" in judged(seen).reason


def test_mongodbs_columns_are_named_and_fail_nothing_by_themselves(parse: ParseServer) -> None:
    parse.set_table("S4")
    seen = look(parse, classes=["UserConcert"])
    assert seen.facts["prefixed"] == ["UserConcert._p_user", "UserConcert._p_concert"]
    assert judged(seen).verdict is Verdict.PASS
    assert "a pointer as MongoDB has it; here Parse uses user" in seen.excerpt


def test_a_trigger_may_fill_what_parse_does_not_know_and_an_insert_tells(
    parse: ParseServer,
) -> None:
    parse.set_table("S5")
    assert look(parse).facts["problems"] == []
    parse.postgres.sql(
        "CREATE OR REPLACE FUNCTION both_forms() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NEW; END $$",
        parse.database,
    )
    assert look(parse).facts["problems"] == []
    assert look(parse, insert=["UserConcert"]).facts["sqlstates"] == ["23502"]


def test_a_pointer_that_comes_back_altered_is_a_problem(parse: ParseServer) -> None:
    parse.set_table("S0")
    parse.postgres.sql(
        "CREATE FUNCTION alter_user() RETURNS trigger LANGUAGE plpgsql AS"
        """ $$ BEGIN NEW."user" := '_User$' || NEW."user"; RETURN NEW; END $$;"""
        ' CREATE TRIGGER alter_user BEFORE INSERT ON "UserConcert"'
        " FOR EACH ROW EXECUTE FUNCTION alter_user()",
        parse.database,
    )
    finding = judged(look(parse, insert=["UserConcert"]))
    assert finding.verdict is Verdict.FAIL
    assert "was written, and '_User$" in finding.excerpt


def test_drift_is_told_since_the_last_known_good_release(parse: ParseServer) -> None:
    parse.set_table("S0")
    good = look(parse, classes=["UserConcert"])
    assert "drift" not in good.facts, "there is nothing to hold it against yet"
    parse.set_table("S2")
    known_good = good.facts["snapshot"]
    seen = look(parse, classes=["UserConcert"], known_good=known_good)
    assert "- UserConcert.user: Pointer<_User> required | text" in seen.facts["drift"]
    assert any(
        line.startswith("+ UserConcert.user: Pointer<_User> required | character varying generated")
        for line in seen.facts["drift"]
    )
    parse.set_table("S0")
    assert look(parse, classes=["UserConcert"], known_good=known_good).facts["drift"] == []


def test_a_watch_without_a_known_good_release_holds_it_against_its_first_look(
    parse: ParseServer,
) -> None:
    parse.set_table("S0")
    memory: dict[str, Any] = {}
    look(parse, memory=memory)
    assert look(parse, memory=memory).facts["drift"] == []
    parse.set_table("S3")
    for _ in range(2):
        assert (
            "+ UserConcert._p_user: no field | character varying not null"
            in (look(parse, memory=memory).facts["drift"])
        )


def test_every_class_of_a_healthy_server_passes(parse: ParseServer) -> None:
    parse.set_table("S0")
    classes = [row[0] for row in parse.postgres.sql('SELECT "className" FROM "_SCHEMA"', "schema")]
    seen = look(parse, insert=[name for name in classes if name != "_Session"])
    assert seen.facts["problems"] == []
    assert {"_User", "_Role", "Concert", "UserConcert"} <= set(seen.facts["inserted"])


def test_a_class_that_parse_does_not_know_cannot_be_told(parse: ParseServer) -> None:
    seen = look(parse, classes=["UserConcrt"])
    assert seen.error == "Parse's schema has no class UserConcrt"
    assert judged(seen).verdict is Verdict.ERROR


def test_a_database_without_parse_cannot_be_told(postgres: Postgres) -> None:
    seen = observe(ParseSchema, {"database": postgres.dsn()}, vault=Secrets())
    assert "has no _SCHEMA" in seen.error


def test_a_role_that_may_not_insert_cannot_tell(parse: ParseServer) -> None:
    parse.set_table("S0")
    grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader"
    parse.postgres.sql(f"CREATE ROLE reader LOGIN; {grant}", parse.database)
    url = parse.postgres.dsn(parse.database).replace("postgres@", "reader@")
    seen = observe(ParseSchema, {"database": url, "insert": ["UserConcert"]}, vault=Secrets())
    assert "cannot tell whether UserConcert takes an INSERT: 42501" in seen.error
