"""Secrets are journaled by name, also where a value only happens to stand in a path."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.journals import empty_ledger
from support.postgres import Postgres
from support.project import Project


def project(directory: Path, value: str = "gigz") -> Project:
    made = Project(directory, env={"APP_ID": value})
    made.inventory(
        "prod",
        {
            "hosts": {"here": {"connection": "local"}},
            "secrets": {"app_id": {"env": "APP_ID"}},
            "vars": {"place": str(directory / "gigz")},
            "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    (directory / "gigz").mkdir()
    made.runbook(
        "mark",
        {
            "summary": "Mark a place whose name is a secret's value.",
            "params": {"fail": {"default": "false"}},
            "steps": [
                {
                    "name": "Mark",
                    "run": "echo {{ run.id }} >> {{ vars.place }}/mark; echo {{ secrets.app_id }}",
                    "undo": "test -d {{ vars.place }} && sed -i '$d' {{ vars.place }}/mark",
                    "on": "all",
                },
            ],
            "settle": [{"name": "Prove it", "verify": "all"}],
        },
    )
    return made


@pytest.mark.parametrize(
    "value",
    [
        "gigz",
        "postgres://api:gigz@db/prod",
        "postgres://api:gi@gigz@db/prod",
        "host=db user=api password=gigz",
        "begin\ngigz\nend",
        "gigz/mark_and_much_more…",
    ],
)
def test_a_rollback_finds_the_path_again(tmp_path: Path, value: str) -> None:
    """Also where only a part of the value, or how it is written, stands in it."""
    made = project(tmp_path / "project", value)
    words = ("run", "--runbook", "mark", "--target", "prod")
    mark = made.directory / "gigz" / "mark"
    assert made.say(*words).code == 0
    assert made.say(*words).code == 0
    assert len(mark.read_text().splitlines()) == 2
    said = made.say("rollback", "--target", "prod", "--json")
    assert said.code == 0, said.out + said.err
    assert len(mark.read_text().splitlines()) == 1


def test_what_could_not_be_had_again_is_refused_before_anything_is_changed(
    tmp_path: Path, postgres: Postgres
) -> None:
    """A colleague with the same ledger has another password there."""
    made = project(tmp_path / "project", "another")
    address = empty_ledger(postgres)
    made.env["BACKOUT_LEDGER"] = address.replace("postgres@", "postgres:gigz@")
    assert made.env["BACKOUT_LEDGER"] != address

    said = made.say("run", "--runbook", "mark", "--target", "prod", "--json")

    assert said.code == 3, said.out + said.err
    assert "/[secret ledger]" in said.data["error"]["what"]
    assert not (made.directory / "gigz" / "mark").exists()


def test_a_machine_that_prints_a_reference_is_not_given_the_secret(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    kept = made.directory / "gigz" / "kept"
    made.runbook(
        "trap",
        {
            "summary": "What a step saves is used by the next one.",
            "steps": [
                {
                    "name": "Say",
                    "run": "printf '\\356\\200\\200app_id\\356\\200\\201'",
                    "readonly": True,
                    "save": {"word": "stdout"},
                },
                {
                    "name": "Keep",
                    "run": f'printf %s "$WORD" > {kept}',
                    "env": {"WORD": "{{ saved.word }}"},
                    "undo": f"rm -f {kept}",
                },
            ],
            "settle": [{"name": "Prove it", "verify": "all"}],
        },
    )
    said = made.say("run", "--runbook", "trap", "--target", "prod")
    assert said.code == 0, said.out + said.err
    assert "gigz" not in kept.read_text()
    assert "app_id" in kept.read_text()
