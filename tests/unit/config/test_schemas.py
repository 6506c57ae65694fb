"""The JSON Schemas of both kinds of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from backout import schemas
from backout.adapters.transports import TRANSPORTS
from backout.balancers import BACKENDS as BALANCERS
from backout.config.yaml_tree import parse
from backout.probes import KINDS as PROBES
from backout.registry import Tables
from backout.restarters import BACKENDS
from backout.steps import KINDS as STEPS

ROOT = Path(__file__).parents[3]
TABLES = Tables(STEPS, BACKENDS, PROBES, TRANSPORTS, BALANCERS)

RUNBOOK = """\
summary: Ship it
params:
  message: {default: Deploy, help: Commit message}
  paths: {type: list, default: []}
preflight:
  - {name: Clean, run: git diff --quiet, readonly: true}
steps:
  - name: Commit
    commit: {paths: "{{ params.paths }}", message: "{{ params.message }}"}
  - push: {}
  - name: Migrate
    run: psql -f up.sql
    undo: psql -f down.sql
    env: {URL: "{{ secrets.database }}", PORT: 8080}
    on: db
    timeout: 2m
    retry: {for: 60, every: 2s}
  - {update: , on: web}
settle:
  - {restart: {}, on: web}
  - {verify: all}
  - {verify: [alive]}
diagnose:
  - {when: failure.body.code == 142, say: The schema is stale.}
"""

INVENTORY = """\
extends: base
protected: true
hosts:
  web1: {address: 203.0.113.11, groups: [web]}
  web2: {groups: web, port: 2222, vars: {weight: 2}, service: {name: other}}
  web3:
groups:
  web: {vars: {weight: 1}}
ssh: {connect_timeout: 10}
service: {name: api, backend: systemd, directory: /srv/api, scope: user}
source: {branch: main, strategy: checkout, directory: /srv/api}
secrets:
  app_id: {env: APP_ID}
rollout: {batches: [1, 25%, 100%], soak: 10s}
checks:
  alive:
    http: "{{ vars.api }}/health"
    expect: ["status == 200"]
  write:
    http: {method: POST, url: "{{ vars.api }}/x", json: {a: [1, {b: null}]}}
    expect: status == 200
    save: {id: body.id}
    cleanup: {http: {method: DELETE, url: "{{ vars.api }}/x"}}
    baseline: fails
    every: 1m
    alert: {after: 3, recover: 2, remind: 1h}
  of-the-base: {timeout: 3s}
bake: {for: 10m, every: 15s}
notify: ["{{ secrets.slack }}"]
"""


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((schemas.FOLDER / f"{name}.schema.json").read_text())
    return loaded


def complaints(name: str, text: str) -> list[str]:
    data = parse(text, name, []).data()
    return [error.message for error in Draft202012Validator(schema(name)).iter_errors(data)]


def test_the_committed_schemas_are_current(tmp_path: Path) -> None:
    for written in schemas.write(TABLES, tmp_path):
        committed = schemas.FOLDER / written.name
        assert committed.read_text() == written.read_text(), "run: python -m backout.schemas"


@pytest.mark.parametrize("name", ["runbook", "inventory"])
def test_a_schema_is_one_itself_and_refers_to_nothing_outside(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    text = json.dumps(schema(name))
    used = {part.partition('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert used == set(schema(name)["$defs"])


@pytest.mark.parametrize(("name", "text"), [("runbook", RUNBOOK), ("inventory", INVENTORY)])
def test_the_examples_are_accepted(name: str, text: str) -> None:
    assert complaints(name, text) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("runbooks/*.y*ml")), ids=lambda path: path.name)
def test_the_runbooks_here_are_accepted(path: Path) -> None:
    assert complaints("runbook", path.read_text()) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("inventories/*.y*ml")), ids=lambda p: p.name)
def test_the_inventories_here_are_accepted(path: Path) -> None:
    assert complaints("inventory", path.read_text()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("runbook", "sumary: x"),
        ("runbook", "steps: [{rum: x}]"),
        ("runbook", "steps: [{name: x}]"),
        ("runbook", "steps: [{run: x, push: {}}]"),
        ("runbook", "steps: [{run: x, undoo: y}]"),
        ("runbook", "steps: [{run: {scrpt: x}}]"),
        ("runbook", "steps: [{run: x, readonly: perhaps}]"),
        ("runbook", "name: x"),
        ("inventory", "hosts: {web: {adress: x}}"),
        ("inventory", "service: {name: x, backend: systemdd}"),
        ("inventory", "service: {name: x, backend: systemd, ecosystem: x}"),
        ("inventory", "checks: {a: {http: x, tcp: y}}"),
        ("inventory", "checks: {a: {http: x, baseline: fail}}"),
        ("inventory", "secrets: {a: plain}"),
    ],
)
def test_what_the_loader_refuses_by_its_form_is_refused(name: str, text: str) -> None:
    assert complaints(name, text)


def test_every_key_is_described() -> None:
    for name, definition in (("runbook", "Step"), ("inventory", "Check")):
        properties = schema(name)["$defs"][definition]["properties"]
        silent = [key for key, value in properties.items() if "description" not in value]
        assert silent in (["name"], [])
