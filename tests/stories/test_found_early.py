"""What a step of `steps` or `settle` lacks is found before the first change, with how to get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.project import Project
from support.yard import Yard

SETTLED: dict[str, dict[str, Any]] = {
    "docker": {"name": "Restart", "restart": {}, "on": "web"},
    "psycopg": {"name": "Seed", "sql": {"database": "postgresql://h/x", "script": "SELECT 1"}},
}
ROOT = Path(__file__).parents[2]
EXTRAS = {"docker": "docker", "psycopg": "postgres"}


@pytest.mark.parametrize("library", SETTLED)
def test_a_library_that_settle_needs_is_missed_before_anything_acts(
    yard: Yard, tmp_path: Path, library: str
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{library}.py").write_text("raise ImportError('it is not installed')\n")
    yard.project.env["PYTHONPATH"] = str(hidden)
    yard.inventory(service={"name": "api", "backend": "docker"})
    prove = {"name": "Prove it", "verify": "all"}
    yard.runbook(yard.step("First"), settle=[{**SETTLED[library], "readonly": True}, prove])

    process = yard.start()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, out + err
    install = f"-m pip install -e '{ROOT}[{EXTRAS[library]}]'"
    assert json.loads(out)["next"].endswith(install), "as this Backout was installed"
    assert yard.effects() == {}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("{name: worker@*, backend: systemd}", "worker@* is a pattern: name one unit"),
        ("{name: 'api[12]', backend: systemd, scope: user}", "api[12] is a pattern"),
        ("{name: all, backend: supervisor}", "all is every program"),
        ("{name: all, backend: pm2}", "all is every application"),
        ("{name: '0', backend: pm2}", "0 is an id to PM2"),
        ("{name: /api/, backend: pm2}", "is a pattern to PM2"),
    ],
)
@pytest.mark.parametrize("where", ["service: {}", "hosts: {{web1: {{service: {}}}}}"])
def test_a_name_that_means_several_services_is_a_mistake(
    project: Project, service: str, words: str, where: str
) -> None:
    text = where.format(service)
    text = text if text.startswith("hosts") else f"hosts: {{web1: {{}}}}\n{text}"
    (project.directory / "inventories/prod.yaml").write_text(f"{text}\n")

    said = project.say("lint")

    assert said.code == 2, said.out
    assert words in said.err
    assert f"inventories/prod.yaml:{text.count(chr(10)) + 1}" in said.err


@pytest.mark.parametrize(
    "service",
    ["{name: worker@1, backend: systemd}", "{name: 'web:*', backend: supervisor}",
     "{name: api-2, backend: pm2}", "{name: '{{ target.name }}', backend: systemd}"],
)  # fmt: skip
def test_a_name_that_means_one_service_or_a_group_is_none(project: Project, service: str) -> None:
    text = f"hosts: {{web1: {{}}}}\nservice: {service}\n"
    (project.directory / "inventories/prod.yaml").write_text(text)

    assert project.say("lint").code == 0
