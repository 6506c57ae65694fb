"""What is true of the incident: table states, two versions of the code, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from support.parse_server import ParseServer, TableState
from support.postgres import Postgres


@dataclass(frozen=True)
class Servers:
    """Both versions of the code on one database, and a user who is logged in."""

    old: ParseServer
    new: ParseServer
    user: str
    session: str


@pytest.fixture(scope="module")
def servers(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    postgres.create_database("gigz")
    directory = tmp_path_factory.mktemp("parse")
    with ExitStack() as stack:
        old = stack.enter_context(ParseServer(directory / "old", postgres, "gigz", "old"))
        old.create_schema()
        new = stack.enter_context(ParseServer(directory / "new", postgres, "gigz", "new"))
        for server in (old, new):
            server.set_attempts(1)
        yield Servers(old, new, *old.create_user("visitor"))


# A state of the table, and the status that the old and the new code answer on it.
ANSWERS: list[tuple[TableState, int, int]] = [
    ("S0", 400, 200),
    ("S1", 200, 500),
    ("S2", 200, 500),
    ("S3", 200, 500),
    ("S4", 400, 200),
    ("S5", 200, 200),
    ("S6", 200, 500),
]


@pytest.mark.parametrize(("state", "old", "new"), ANSWERS)
def test_each_table_state_answers_the_two_versions_of_the_code(
    servers: Servers, state: TableState, old: int, new: int
) -> None:
    servers.old.set_table(state)
    assert servers.old.add_concert(servers.session)[0] == old
    assert servers.new.add_concert(servers.session)[0] == new


@pytest.mark.parametrize(
    ("state", "found"), [("S0", 1), ("S1", 0), ("S2", 1), ("S3", 0), ("S5", 1)]
)
def test_a_200_is_no_proof_that_the_user_can_read_it_back(
    servers: Servers, state: TableState, found: int
) -> None:
    server = servers.new if state == "S0" else servers.old
    server.set_table(state)
    assert server.add_concert(servers.session)[0] == 200
    pointer = {"__type": "Pointer", "className": "_User", "objectId": servers.user}
    assert server.count("UserConcert", {"user": pointer}) == found


def test_a_failing_save_is_tried_five_times_and_leaves_an_orphan(servers: Servers) -> None:
    servers.new.set_table("S2")
    refused = '"user"'
    orphans, tries = servers.new.count("Concert"), servers.new.postgres.errors(refused)
    servers.new.set_attempts(5)
    try:
        status, body = servers.new.add_concert(servers.session)
    finally:
        servers.new.set_attempts(1)
    assert (status, body["code"]) == (500, 1)
    assert servers.new.count("Concert") - orphans == 1
    assert servers.new.postgres.errors(refused) - tries == 5


def test_the_success_answer_contains_the_callers_session_token(servers: Servers) -> None:
    servers.new.set_table("S0")
    _, body = servers.new.add_concert(servers.session)
    assert servers.session in str(body)


def test_dropping_the_expressions_heals_a_generated_table_in_place(servers: Servers) -> None:
    servers.new.set_table("S2")
    assert servers.old.add_concert(servers.session)[0] == 200
    servers.new.postgres.sql(
        'ALTER TABLE "UserConcert" ALTER COLUMN "user" DROP EXPRESSION,'
        " ALTER COLUMN concert DROP EXPRESSION, ALTER COLUMN _p_user DROP NOT NULL,"
        " ALTER COLUMN _p_concert DROP NOT NULL",
        "gigz",
    )
    assert servers.new.add_concert(servers.session)[0] == 200
    pointer = {"__type": "Pointer", "className": "_User", "objectId": servers.user}
    assert servers.new.count("UserConcert", {"user": pointer}) == 2


def test_calls_without_a_session_or_with_a_bad_one_have_codes_of_their_own(
    servers: Servers,
) -> None:
    assert servers.new.add_concert(None)[1]["code"] == 209
    assert servers.new.add_concert("r:nonsense")[1]["code"] == 209


def test_signing_up_with_the_master_key_returns_no_session_token(servers: Servers) -> None:
    account = {"username": "made-by-master", "password": "p"}
    _, made = servers.new.call("POST", "/users", account, master=True)
    assert "sessionToken" not in made
    _, logged_in = servers.new.call("POST", "/login", account)
    assert "sessionToken" in logged_in
