"""Files become nouns, or every mistake in them is said with its place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from backout import balancers, probes, restarters, steps
from backout.adapters.transports import TRANSPORTS
from backout.config import loading, parameters, yaml_tree
from backout.config.files import name_of
from backout.errors import Mistake, Mistakes
from backout.model import (
    Duration,
    Host,
    NoOptions,
    Notify,
    Options,
    Param,
    Runbook,
    Source,
    Target,
    TemplateText,
)
from backout.model.freezing import Window, frozen, in_zone
from backout.model.units import seconds
from backout.registry import Table, Tables


class RunOptions(Options):
    short: ClassVar[str] = "script"
    shell_fields: ClassVar[tuple[str, ...]] = ("script",)
    script: str


class VerifyOptions(Options):
    short: ClassVar[str] = "checks"
    checks: tuple[str, ...] = ()


class CommitOptions(Options):
    paths: tuple[str, ...] | TemplateText = ()
    message: str = ""


class HttpOptions(Options):
    short: ClassVar[str] = "url"
    url: str
    headers: Mapping[str, str] = Field(default_factory=dict)
    follow: int | TemplateText = 0
    wait: Duration = 1.0


class UnitOptions(Options):
    user: bool = False


class Run:
    Options, changes, undoes, shell = RunOptions, True, False, True


class Commit:
    Options, changes, undoes, shell = CommitOptions, True, True, True
    names: ClassVar[dict[str, str]] = {"commit": "its hash"}


class Restart:
    Options, changes, undoes, shell = NoOptions, True, True, True


class Verify:
    Options, changes, undoes, shell = VerifyOptions, False, False, True


class Http:
    Options, judges_itself = HttpOptions, False
    names: ClassVar[dict[str, str]] = {"status": "", "body": "", "text": ""}


class ServiceProbe:
    Options, judges_itself = NoOptions, True
    names: ClassVar[dict[str, str]] = {"service": ""}


class Systemd:
    Options = UnitOptions


TABLES = Tables(
    steps={"run": Run, "commit": Commit, "restart": Restart, "verify": Verify},
    backends={"systemd": Systemd, "other": Systemd},
    probes={"http": Http, "service": ServiceProbe},
    transports=TRANSPORTS,
)

INVENTORY = """\
hosts:
  web1: {address: 203.0.113.11, groups: [web]}
  web2: {groups: [web, db], port: 2222, vars: {weight: 2}}
  here: {connection: local}
groups:
  web: {vars: {weight: 1, pool: green}, service: {name: api-web}}
service: {name: api, backend: systemd, directory: /srv/api, user: true}
source: {directory: /srv/api}
vars: {host: api.example.org, api: "https://{{ vars.host }}"}
secrets:
  token: {env: TOKEN}
  other: {command: pass show other}
checks:
  alive:
    http: "{{ vars.api }}/health"
    expect: status == 200
  write:
    http: {url: "{{ vars.api }}/x", headers: {X-Token: "{{ secrets.token }}", X-Count: 1}}
    expect: ["status == 200", "has(body.id)"]
    save: {id: body.id}
    then: read
    every: 1m
    cleanup: {http: "{{ vars.api }}/x/{{ saved.id }}"}
  read: {http: "{{ vars.api }}/x/{{ saved.id }}", expect: "body.id == saved.id", on: web}
  serves: {service: {}, on: web}
notify: "{{ secrets.other }}"
"""

RUNBOOK = """\
summary: Ship it
params:
  message: {default: Deploy, help: Commit message}
  paths: {type: list}
  count: {type: int, default: 1}
  force: {type: bool}
preflight:
  - {run: git diff --quiet, readonly: true}
steps:
  - name: Commit
    commit: {paths: "{{ params.paths }}", message: "{{ params.message }}"}
    save: {hash: commit}
  - name: Migrate
    run: |
      psql "$URL" -f up.sql
      echo {{ vars.weight }} {{ secrets.token }}
    undo: psql "$URL" -f {{ saved.hash }}.sql
    env: {URL: "{{ secrets.token }}", PORT: 8080}
    on: db
    when: params.force && vars.weight > 1
    timeout: 2m
settle:
  - {restart: , on: web}
  - {name: Prove it, verify: [alive, read]}
finally:
  - {run: ./window close, retry_safe: true}
diagnose:
  - {when: failure.body.code == 142, say: The schema is stale.}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("inventories", "runbooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "inventories/prod.yaml").write_text(INVENTORY)
    (tmp_path / "runbooks/deploy.yaml").write_text(RUNBOOK)
    return tmp_path


def target(text: str = "", name: str = "prod") -> Target:
    path = Path(f"inventories/{name}.yaml")
    if text:
        path.write_text(text)
    return loading.load_target(path, TABLES)


def runbook(text: str = "", name: str = "deploy") -> Runbook:
    path = Path(f"runbooks/{name}.yaml")
    if text:
        path.write_text(text)
    return loading.load_runbook(path, TABLES)


def said(load: Callable[[], object]) -> list[str]:
    """Every mistake, without the file."""
    with pytest.raises(Mistakes) as caught:
        load()
    return [str(mistake).partition(":")[2] for mistake in caught.value.mistakes]


# --- nouns ---------------------------------------------------------------------------------


def test_an_inventory_becomes_a_target(project: Path) -> None:
    made = target()
    assert (made.name, made.file) == ("prod", "inventories/prod.yaml")
    assert [host.name for host in made.select("web")] == ["web1", "web2"]
    assert made.hosts["web2"].address == "web2"
    assert made.hosts["web2"].vars == {"weight": 2, "pool": "green"}
    assert made.service is not None
    assert made.service.options == UnitOptions(user=True)
    assert made.checks["write"].options.headers["X-Count"] == "1"
    assert made.checks["write"].then == ("read",)
    assert made.checks["alive"].expect == ("status == 200",)
    assert made.notify.alerts == (Notify(url="{{ secrets.other }}"),)


def test_a_group_or_host_changes_the_service_it_has(project: Path) -> None:
    made = target(INVENTORY.replace("port: 2222", "service: {backend: other, name: x}"))
    service = made.service_on(made.hosts["web1"])
    assert service is not None
    assert (service.name, service.directory, service.options.user) == ("api-web", "/srv/api", True)
    other = made.service_on(made.hosts["web2"])
    assert other is not None
    assert (other.name, other.backend, other.directory) == ("x", "other", "")
    assert made.service_on(made.hosts["here"]) is made.service


def test_a_runbook_becomes_steps(project: Path) -> None:
    made = runbook()
    assert made.name == "deploy"
    assert made.preflight[0].name == "run"
    assert made.preflight[0].options == RunOptions(script="git diff --quiet")
    assert made.steps[1].env["PORT"] == "8080"
    assert made.steps[1].timeout == 120.0
    assert made.settle[1].options.checks == ("alive", "read")
    assert made.finally_[0].retry_safe is True
    assert made.diagnose[0].when == "failure.body.code == 142"


def test_words_of_yaml_1_1_are_text(project: Path) -> None:
    words = (
        "{a: on, b: no, c: 22:10, d: 0644, e: 1.10, f: 2024-01-30, g: ~, h: true, i: 0o17, j: .5}"
    )
    made = target(f"vars: {words}\nhosts: {{no: {{groups: [on]}}}}\n")
    assert made.vars == {
        **{"a": "on", "b": "no", "c": "22:10", "d": "0644", "e": 1.1, "f": "2024-01-30"},
        **{"g": None, "h": True, "i": "0o17", "j": 0.5},
    }
    assert made.hosts["no"].groups == ("on",)


def test_a_number_where_text_is_wanted_is_the_text_as_written(project: Path) -> None:
    made = runbook("steps: [{name: 1.10, run: 'true', readonly: true, env: {A: 0x10, B: true}}]")
    assert (made.steps[0].name, made.steps[0].readonly) == ("1.10", True)
    assert made.steps[0].env == {"A": "0x10", "B": "true"}


def test_anchors_and_merge_keys_are_filled_in(project: Path) -> None:
    made = target("vars: {x: &x {a: 1, b: 2}, y: {<<: *x, b: 3}, z: [*x]}")
    assert made.vars == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": [{"a": 1, "b": 2}]}


@pytest.mark.parametrize("value", ["10.0.0.1", "7", "true", "[]", "[{address: a}]", "''"])
@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("hosts: {web1: X}", "hosts.web1"),
        ("hosts: X", "hosts"),
        ("hosts: {h: {groups: [g], vars: X}}", "hosts.h.vars"),
        ("hosts: {h: {groups: [g], service: X}}", "hosts.h.service"),
        ("hosts: {h: {groups: [g]}}\ngroups: {g: X}", "groups.g"),
        ("hosts: {h: {groups: [g]}}\ngroups: X", "groups"),
        ("hosts: {h: {groups: [g]}}\ngroups: {g: {vars: X}}", "groups.g.vars"),
        ("hosts: {h: {groups: [g]}}\ngroups: {g: {service: X}}", "hosts.h.service"),
        ("ssh: X\nvars: {}", "ssh"),
        ("vars: X", "vars"),
        ("secrets: X", "secrets"),
        ("secrets: {s: X}", "secrets.s"),
        ("checks: X", "checks"),
        ("checks: {c: X}", "checks.c"),
        ("rollout: X", "rollout"),
        ("bake: X", "bake"),
    ],
)
def test_nothing_that_stands_where_a_mapping_belongs_is_dropped(
    project: Path, line: str, path: str, value: str
) -> None:
    wrong = said(lambda: target(line.replace("X", value)))
    assert any(f" {path}: " in each for each in wrong), wrong


def test_an_address_in_the_place_of_a_host_is_told_how_it_is_written(project: Path) -> None:
    assert said(lambda: target("hosts: {web1: 10.0.0.1}")) == [
        "1 hosts.web1: must be a mapping; an address is written {address: 10.0.0.1}"
    ]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("address: 10.0.0.1", "address: 10.0.0.1", True),
        ("address: 10.0.0.1, port: 22", "address: 10.0.0.1, port: 2222", False),
        ("address: 10.0.0.1, user: a", "address: '010.0.0.1', user: b, groups: [web]", False),
        ("address: 127.0.0.1", "address: '127.1'", True),
        ("address: WEB.shop.test", "address: web.shop.test.", True),
        ("address: 'fe80::1'", "address: 'FE80:0::1'", True),
        ("address: two", "", True),
        ("connection: local", "connection: local", True),
        ("connection: local", "address: 127.0.0.1", False),
    ],
)
def test_two_hosts_that_are_one_machine_are_a_mistake(
    project: Path, one: str, other: str, same: bool
) -> None:
    text = f"hosts:\n  one: {{{one}}}\n  two: {{{other}}}"
    if same:
        assert "one and two are one machine" in said(lambda: target(text))[0]
    else:
        assert len(target(text).hosts) == 2


def test_a_host_that_is_only_named_again_keeps_the_address_of_the_extended_inventory(
    project: Path,
) -> None:
    made = target("extends: prod\nhosts: {web1: , web2: {port: 22}}", "staging")
    assert made.hosts["web1"].address == "203.0.113.11"
    assert (made.hosts["web2"].port, made.hosts["web2"].groups) == (22, ("web", "db"))


def test_an_inventory_is_laid_over_the_one_it_extends(project: Path) -> None:
    target("vars: {a: 1, b: {x: 1, y: 1}, l: [1]}\nssh: {user: me}", "base")
    made = target("extends: base\nvars: {b: {y: 2}, l: [2]}", "staging")
    assert made.vars == {"a": 1, "b": {"x": 1, "y": 2}, "l": [2]}
    assert made.ssh.user == "me"


# --- mistakes ------------------------------------------------------------------------------


def test_every_mistake_of_a_runbook_is_said_at_once(project: Path) -> None:
    text = """\
sumary: x
params:
  paths: {type: lst}
  count: {type: int, default: many}
preflight:
  - run: touch x
steps:
  - {name: a, rum: x}
  - {name: b, run: x, undoo: y}
  - {name: c, run: x, commit: {}}
  - {name: d}
  - {name: e, run: "echo '{{ params.path }}'", undo: "y {{ nope }}", timeout: soon}
  - name: f
    run: |
      true
      echo {{ params.pathz }}
    readonly: perhaps
    env: {A: "{{ secrets }}"}
    when: "stat == 1"
  - {name: g, run: x}
  - just text
settle: {restart: {}}
diagnose:
  - {when: "failur.x ==", say: x}
  - {when: "failur.x == 1"}
"""
    assert said(lambda: runbook(text)) == [
        "1 sumary: unknown key 'sumary'; did you mean 'summary'?",
        "3 params.paths.type: must be 'str', 'int', 'bool' or 'list'; did you mean 'list'?",
        "4 params.count.default: must be a whole number",
        "6 preflight[0]: preflight only reads: say readonly: true, or move the step",
        "8 steps[0].rum: unknown key 'rum'; did you mean 'run'?",
        "9 steps[1].undoo: unknown key 'undoo'; did you mean 'undo'?",
        "10 steps[2]: one step is one kind; this one is run and commit",
        "11 steps[3]: what kind of step? one of: run, commit, restart, verify",
        "12 steps[4].run: 'params.path' is not defined; did you mean 'params.paths'?",
        "12 steps[4].run: it is quoted already: remove the quotes around {{ … }}, or write | raw",
        "12 steps[4].timeout: 'soon' is not a duration; write 5s, 2m or 1h30m",
        "12 steps[4].undo: 'nope' is not defined here",
        "16 steps[5].run: 'params.pathz' is not defined; did you mean 'params.paths'?",
        "17 steps[5].readonly: must be true or false",
        "18 steps[5].env.A: name one secret: secrets.NAME",
        "19 steps[5].when: 'stat' is not defined here",
        "20 steps[6]: step 'g' has no way back; it changes something: give undo:, or "
        "readonly: true, or irreversible: why",
        "21 steps[7]: a step must be a mapping, such as run: …",
        "22 settle: must be a list of steps (- run: …)",
        "24 diagnose[0].when: no CEL expression: it ends too early\n  failur.x ==\n             ^",
        "25 diagnose[1].say: is missing",
        "25 diagnose[1].when: 'failur' is not defined here; did you mean 'failure'?",
    ]


def test_a_name_that_no_run_gives_to_a_step_is_no_name_there(project: Path) -> None:
    text = """\
steps:
  - {name: a, run: "echo {{ run.id }} {{ run.user }} {{ run.started }}", readonly: true}
  - {name: b, run: "echo {{ run.message }}", readonly: true}
  - {name: c, run: "true", readonly: true, when: "baseline.verdict == 'pass'"}
"""
    assert said(lambda: runbook(text)) == [
        "3 steps[1].run: 'run.message' is not defined",
        "4 steps[2].when: 'baseline' is not defined here",
    ]


def test_a_check_knows_the_runs_id_and_its_expectation_the_baseline(project: Path) -> None:
    check = '{http: "http://x/{{ run.id }}", expect: ["baseline.verdict == \'pass\'"]}'
    assert target(f"checks: {{a: {check}}}").checks["a"].expect
    text = '{http: "http://x/{{ run.user }}{{ baseline.verdict }}", expect: ["run.started == 1"]}'
    assert said(lambda: target(f"checks: {{a: {text}}}")) == [
        "1 checks.a.expect[0]: 'run.started' is not defined",
        "1 checks.a.http: 'baseline' is not defined here",
        "1 checks.a.http: 'run.user' is not defined",
    ]


def test_a_mistake_hides_no_other_one_of_the_same_step(project: Path) -> None:
    text = """\
sumary: x
params: {a: {}}
steps:
  - {name: a, run: touch x, tiemout: 5s}
  - {name: b, run: touch x, timeout: soon}
  - {name: c, run: "echo '{{ params.a }}'", undo: "echo '{{ nope }}'", retry: 5}
  - {name: d, run: touch x, rollback: rm x}
"""
    way_back = "it changes something: give undo:, or readonly: true, or irreversible: why"
    quoted = "it is quoted already: remove the quotes around {{ … }}, or write | raw"
    assert said(lambda: runbook(text)) == [
        "1 sumary: unknown key 'sumary'; did you mean 'summary'?",
        f"4 steps[0]: step 'a' has no way back; {way_back}",
        "4 steps[0].tiemout: unknown key 'tiemout'; did you mean 'timeout'?",
        f"5 steps[1]: step 'b' has no way back; {way_back}",
        "5 steps[1].timeout: 'soon' is not a duration; write 5s, 2m or 1h30m",
        "6 steps[2].retry: must be a mapping (name: value)",
        f"6 steps[2].run: {quoted}",
        "6 steps[2].undo: 'nope' is not defined here",
        f"6 steps[2].undo: {quoted}",
        f"7 steps[3]: step 'd' has no way back; {way_back}",
        "7 steps[3].rollback: unknown key 'rollback'; write undo: … for each step",
    ]


def test_a_mistake_hides_no_other_one_of_the_same_check(project: Path) -> None:
    text = "checks:\n  a: {http: x, every: soon}\n  b: {http: x, expct: status == 200}\n"
    assert said(lambda: target(text)) == [
        "2 checks.a: a check without expect proves nothing; add expect: […]",
        "2 checks.a.every: 'soon' is not a duration; write 5s, 2m or 1h30m",
        "3 checks.b.expct: unknown key 'expct'; did you mean 'expect'?",
    ]


def test_zones_that_cannot_agree_are_mistakes(project: Path) -> None:
    look = 'http: x, expect: ["status == 200"]'
    text = f"""\
checks:
  a: {{{look}, from: [eu, us], agree: 3}}
  b: {{{look}, from: [eu, eu]}}
  c: {{{look}, agree: 1}}
  d: {{{look}, from: EU, agree: 0}}
  e: {{{look}, then: [f]}}
  f: {{{look}, from: eu}}
  g: {{{look}, from: [eu, us, ap], agree: 3}}
"""
    assert said(lambda: target(text)) == [
        "2 checks.a.agree: 3 zones cannot agree where from names 2; name more of them, "
        "or ask for fewer",
        "3 checks.b.from: zone eu is named twice; keep one",
        "4 checks.c.agree: agree counts zones, and there is no from; add from: [eu, us], "
        "or remove it",
        "5 checks.d.agree: must be greater than or equal to 1",
        "5 checks.d.from: 'EU' is no name of a zone: small letters, digits, - and _",
        "7 checks.f.from: it is looked at with e, from wherever that is; say from there",
    ]


def test_every_mistake_of_an_inventory_is_said_at_once(project: Path) -> None:
    text = """\
protect: true
hosts:
  web1: {groups: [web, db], port: 99999, conection: local}
  db: {groups: [all]}
  'x y': {}
groups: {wep: {vars: {}}}
service: {backend: systemdd}
source: {strategy: "{{ vars.x }}"}
vars: {x: "{{ vars.y }}", y: "{{ vars.x }}", z: 1}
secrets:
  plain: hunter2
  two: {env: A, file: B}
  a-b: {env: A}
  none: {}
checks:
  a: {http: "{{ vars.zz }}"}
  b: {http: "{{ params.x }}", expect: "statu == 1", then: [c, nope], on: wbe}
  c: {http: {urll: x}, expect: ["body.x =="], then: b, every: 1m, cron: "* * * * *"}
  d: {service: {}, cron: "* * *", cleanup: {http: x, then: y}, expect: "{{ vars.z }}"}
  e: {http: [x, y], expect: status == 200, save: {a-b: body}, baseline: fail}
"""
    assert said(lambda: target(text)) == [
        "1 protect: unknown key 'protect'; did you mean 'protected'?",
        "3 hosts.web1: 'db' is a host, it cannot be a group too",
        "3 hosts.web1.conection: unknown key 'conection'; did you mean 'connection'?",
        "3 hosts.web1.port: must be a port, 1 to 65535",
        "4 hosts.db: 'all' names every host; choose another name",
        "5 hosts.x y: the name must begin with a letter or digit, then letters, digits, "
        "'.', '_', '-'",
        "6 groups.wep: no host is in it; did you mean 'web'?",
        "7 service.backend: must be one of: systemd, other; did you mean 'systemd'?",
        "8 source.strategy: must be 'checkout', 'releases', 'image' or 'heroku'",
        "8 source.strategy: {{ … }} is not rendered here",
        "9 vars: vars refer to each other in a circle: x -> y -> x",
        "11 secrets.plain: by reference only, never by value: {env: NAME}, {command: …} or "
        "{file: PATH}",
        "12 secrets.two: exactly one of {env: NAME}, {command: …} or {file: PATH}",
        "13 secrets.a-b: a secret's name is letters, digits and '_'",
        "14 secrets.none: exactly one of {env: NAME}, {command: …} or {file: PATH}",
        "16 checks.a: a check without expect proves nothing; add expect: […]",
        "16 checks.a.http: 'vars.zz' is not defined; did you mean 'vars.z'?",
        "17 checks.b.expect: 'statu' is not defined here; did you mean 'status'?",
        "17 checks.b.http: 'params' is not defined here",
        "17 checks.b.on: prod has no host and no group 'wbe'; did you mean 'web'?",
        "17 checks.b.then: leads back to itself",
        "17 checks.b.then: there is no check 'nope'",
        "18 checks.c.cron: every and cron are two schedules; keep one",
        "18 checks.c.expect[0]: no CEL expression: it ends too early\n  body.x ==\n           ^",
        "18 checks.c.http.url: is missing",
        "18 checks.c.http.urll: unknown key 'urll'; did you mean 'url'?",
        "18 checks.c.then: leads back to itself",
        "19 checks.d.cleanup.then: unknown key 'then'",
        "19 checks.d.cron: cron takes five fields: minute, hour, day of month, month, day of week",
        "19 checks.d.expect: no CEL expression: leave the braces out: it is an expression already\n"
        "  {{ vars.z }}\n  ^",
        "19 checks.d.expect: {{ … }} is not rendered here",
        "20 checks.e.baseline: must be 'passes', 'fails' or 'any'; did you mean 'fails'?",
        "20 checks.e.http: must be text",
        "20 checks.e.save.a-b: a saved name is letters, digits and '_'",
    ]


def test_a_value_that_may_be_a_template_is_judged_as_what_it_is_meant_to_be(project: Path) -> None:
    text = "checks: {a: {http: {url: x, follow: soon}, expect: status == 200}}"
    assert said(lambda: target(text)) == ["1 checks.a.http.follow: must be a whole number"]


def test_a_secret_given_by_value_is_not_repeated(project: Path) -> None:
    assert "hunter2" not in str(said(lambda: target("secrets: {a: hunter2, b: [hunter2]}")))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1: the file is empty; a runbook needs steps"),
        ("# only a comment\n", "1: the file is empty; a runbook needs steps"),
        ("[1]", "1: must be a mapping (name: value)"),
        ("summary: x\n", "1: a runbook needs steps"),
        ("a: 1\n---\nb: 2", "2: not YAML: several documents in one file; keep one"),
        ("steps: []\nsteps: []", "2: the key 'steps' is there twice, first in line 1"),
        ("a: !!python/object/apply:os.system [ls]", "1: the tag !!python/object/apply:os.system "),
        ("a: !x 1", "1: the tag !x is not allowed; files are plain data"),
        ("a: *b", "1: not YAML: *b refers to nothing before it"),
        ("a: &b [*b]", "1: not YAML: *b refers to what it stands in"),
        ("? [a]\n: b", "1: not YAML: a key must be a word"),
        ("a: {<<: 1}", "1: not YAML: << takes a mapping, or a list of them"),
        ("a: [b", "1: not YAML: this [ is never closed, or a comma is missing in it"),
        ("\n\ta: 1", "2: not YAML: a tab stands before the first word: indent with spaces"),
        ("a: \x01", "1: not YAML: control characters are not allowed"),
        ("\na: \ue000x\ue001", "2: holds a private-use character (U+E000 or U+E001)"),
        ("[" * 100, "1: not YAML: nested deeper than 40 levels"),
        ("[" * 100_000, "1: not YAML: "),  # a newer libyaml says it first
        ("a: b\nname: x\nsteps: []", "2 name: unknown key 'name'; it is given by its place"),
    ],
)
def test_a_file_that_is_no_runbook_is_a_mistake(project: Path, text: str, mistake: str) -> None:
    Path("runbooks/x.yaml").write_text(text)
    assert any(line.startswith(mistake) for line in said(lambda: runbook(name="x")))


def test_a_bomb_of_aliases_is_refused(project: Path) -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for one, two in zip("abcdefgh", "bcdefghi", strict=True):
        text += f"{two}: &{two} [{', '.join([f'*{one}'] * 10)}]\n"
    assert "values once its aliases are filled in" in said(lambda: runbook(text))[0]


def test_what_is_no_text_is_refused_with_its_line(project: Path) -> None:
    Path("runbooks/x.yaml").write_bytes(b"a: 1\nb: \xff\n")
    assert said(lambda: runbook(name="x")) == ["2: not text in UTF-8"]


def test_a_huge_file_is_refused(project: Path) -> None:
    assert "larger than" in said(lambda: runbook("a" * (yaml_tree.LARGEST + 1)))[0]


def test_a_mistake_in_a_base_names_the_base(project: Path) -> None:
    Path("inventories/base.yaml").write_text("checks:\n  a: {http: x}\n")
    with pytest.raises(Mistakes) as caught:
        target("extends: base", "staging")
    assert [mistake.file for mistake in caught.value.mistakes] == ["inventories/base.yaml"]


def test_inventories_that_extend_each_other_are_refused(project: Path) -> None:
    Path("inventories/a.yaml").write_text("extends: b\n")
    text = "vars: {}\nextends: a\n"
    expected = "1 extends: inventories extend each other in a circle: b -> a -> b"
    assert said(lambda: target(text, "b")) == [expected]


def test_an_unknown_base_is_a_mistake_of_the_file_that_names_it(project: Path) -> None:
    assert said(lambda: target("extends: prd", "staging"))[0].startswith(
        "1 extends: no 'prd' in inventories/; did you mean 'prod'?"
    )


# --- secrets -------------------------------------------------------------------------------

REAL = Tables(steps.KINDS, restarters.BACKENDS, probes.KINDS, TRANSPORTS, balancers.BACKENDS)
INSTEAD = "this is shown and kept; use it in env:, in a shell text or in a check instead"


@pytest.mark.parametrize(
    ("step", "place"),
    [
        ('{commit: "a {{ secrets.token }}"}', "commit"),
        ("{commit: {message: '{{ secrets.token }}'}}", "commit.message"),
        ("{commit: {paths: ['{{ secrets.token }}']}}", "commit.paths[0]"),
        ('{approve: "with {{ secrets.token }}?"}', "approve"),
        ('{manual: "type {{ secrets.token }}", undo: "x"}', "manual"),
        ('{manual: "x", undo: "type {{ secrets.token }}"}', "undo"),
        ("{upload: {from: a, to: '/srv/{{ secrets.token }}'}}", "upload.to"),
        ("{template: {from: '{{ secrets.token }}', to: b}}", "template.from"),
        ("{run: x, readonly: true, cwd: '/srv/{{ secrets.token }}'}", "cwd"),
        ("{sql: {database: x, file: '{{ secrets.token }}'}, undo: x}", "sql.file"),
    ],
)
def test_a_secret_where_it_would_be_written_down_is_a_mistake(
    project: Path, step: str, place: str
) -> None:
    path = Path("runbooks/x.yaml")
    path.write_text(f"steps:\n  - {step}\n")
    expected = [f"2 steps[0].{place}: the secret token cannot stand here: {INSTEAD}"]
    assert said(lambda: loading.load_runbook(path, REAL)) == expected


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("summary: 'x {{ secrets.token }}'\n", "summary"),
        ("diagnose: [{when: 'true', say: 'x {{ secrets.token }}'}]\n", "diagnose[0].say"),
        ("params: {a: {default: '{{ secrets.token }}'}}\n", "params.a.default"),
    ],
)
def test_what_is_never_rendered_holds_no_secret_either(
    project: Path, text: str, place: str
) -> None:
    text += "steps: [{run: x, readonly: true}]\n"
    assert said(lambda: runbook(text)) == [f"1 {place}: {{{{ … }}}} is not rendered here"]


def test_a_secret_may_stand_where_it_is_used(project: Path) -> None:
    path = Path("runbooks/x.yaml")
    path.write_text("""\
steps:
  - {run: "x {{ secrets.token }}", undo: "y {{ secrets.token }}", env: {A: "{{ secrets.token }}"}}
  - {sql: {database: "{{ secrets.token }}", script: "{{ secrets.token }}"}, undo: x}
""")
    assert loading.load_runbook(path, REAL).steps[0].env == {"A": "{{ secrets.token }}"}


def test_a_variable_that_holds_a_secret_is_one(project: Path) -> None:
    variables = 'vars: {a: "{{ secrets.token }}", b: "x{{ vars.a }}", host'
    Path("inventories/prod.yaml").write_text(INVENTORY.replace("vars: {host", variables))
    Path("runbooks/deploy.yaml").write_text("steps: [{commit: {message: 'by {{ vars.b }}'}}]\n")
    what = "vars.b holds the secret token, which cannot stand here"
    lines = said(lambda: pair(tables=replace(TABLES, steps=REAL.steps)))
    assert lines == [f"1 steps[0].commit.message: {what}: {INSTEAD}"]


def test_a_service_is_told_and_its_token_is_not(project: Path) -> None:
    path = Path("inventories/x.yaml")
    secret = '"{{ secrets.t }}"'
    path.write_text(
        "secrets: {t: {env: T}}\n"
        f"service: {{name: {secret}, backend: heroku, token: {secret}, app: {secret}}}\n"
    )
    assert said(lambda: loading.load_target(path, REAL)) == [
        f"2 service.{key}: the secret t cannot stand here: {INSTEAD}" for key in ("app", "name")
    ]


# --- the pair ------------------------------------------------------------------------------


def pair(*words: str, tables: Tables = TABLES, name: str = "") -> Any:
    return loading.load_pair(
        lambda: Path(f"inventories/{name or 'prod'}.yaml"),
        lambda: Path(f"runbooks/{name or 'deploy'}.yaml"),
        words,
        tables,
    )


def test_a_runbook_that_fits_its_target_is_loaded_with_its_parameters(project: Path) -> None:
    made, book, params = pair("paths=a,b", "force=yes")
    assert (made.name, book.name) == ("prod", "deploy")
    assert params == {"message": "Deploy", "paths": ["a", "b"], "count": 1, "force": True}


def test_a_runbook_is_held_against_its_target(project: Path) -> None:
    Path("runbooks/deploy.yaml").write_text("""\
steps:
  - {run: "x {{ vars.weight }} {{ vars.api }}", readonly: true}
  - {run: "x {{ vars.pool }} {{ secrets.tokn }}", readonly: true, on: wbe}
  - {run: "x {{ vars.pool }} {{ saved.nope }}", readonly: true, on: all}
  - {run: x, readonly: true, when: "vars.nope == 1 && saved.id == 1 && target.name == 'x'"}
  - {restart: , on: here}
  - {verify: [alive, aliv]}
""")
    text = INVENTORY.replace("service: {name: api-web}", "service: {name: w, backend: systemd}")
    target(
        text.replace("service: {name: api, backend: systemd, directory: /srv/api, user: true}", "")
    )
    assert said(pair) == [
        "2 steps[0].run: 'vars.weight' is not defined",
        "3 steps[1].on: prod has no host and no group 'wbe'; did you mean 'web'?",
        "3 steps[1].run: 'secrets.tokn' is not defined; did you mean 'secrets.token'?",
        "4 steps[2].run: 'saved.nope' is not defined",
        "4 steps[2].run: 'vars.pool' is not defined",
        "5 steps[3].when: 'saved.id' is not defined",
        "5 steps[3].when: 'vars.nope' is not defined",
        "6 steps[4]: restart needs a service, and prod has none for here",
        "7 steps[5].verify: prod has no check 'aliv'; did you mean 'alive'?",
    ]


def test_a_target_of_a_runbook_that_is_misspelled_is_found(project: Path) -> None:
    """One that is like no other may have its inventory elsewhere."""
    book = "targets: [{}]\nsteps: [{{run: x, readonly: true}}]\n"
    Path("runbooks/deploy.yaml").write_text(book.format("elsewhere, 'eu/*', prd, /etc/ops/api"))
    assert [str(mistake) for mistake in loading.lint(project, TABLES)] == [
        "runbooks/deploy.yaml:1 targets[2]: no inventory is named 'prd'; did you mean 'prod'?",
    ]
    Path("runbooks/deploy.yaml").write_text(book.format("prod, prod2"))
    assert loading.lint(project, TABLES) == ()


def test_a_step_has_what_steps_before_it_saved_and_nothing_else(project: Path) -> None:
    """Not what comes later, nor what a check saves; an undo is known before its own step acts."""
    Path("runbooks/deploy.yaml").write_text("""\
preflight:
  - {run: x, readonly: true, save: {first: stdout}}
steps:
  - {run: "x {{ saved.first }}", undo: "x {{ saved.first }}", save: {second: stdout}}
  - {run: "x {{ saved.third }} {{ saved.id }}", readonly: true, when: "saved.third == ''"}
  - {run: x, undo: "rm {{ saved.third }}", save: {third: stdout}}
  - {run: x, undo: "rm {{ saved.own | default('') }}", save: {own: stdout}}
  - {run: x, undo: "rm {{ saved.second }}", save: {second: stdout}}
settle:
  - {run: "x {{ saved.third }}", readonly: true}
finally:
  - {run: "x {{ saved.own }}", readonly: true}
""")
    undo = "its undo is known before it acts; save it in a step before this one"
    assert said(pair) == [
        "5 steps[1].run: 'saved.id' is not defined",
        "5 steps[1].run: 'saved.third' is not defined",
        "5 steps[1].when: 'saved.third' is not defined",
        f"6 steps[2].undo: saved.third is what this step saves, and {undo}",
        f"7 steps[3].undo: saved.own is what this step saves, and {undo}",
    ]


def test_the_mistakes_of_both_files_and_of_the_words_come_together(project: Path) -> None:
    Path("inventories/prod.yaml").write_text(INVENTORY.replace("hosts:", "hots:"))
    Path("runbooks/deploy.yaml").write_text(RUNBOOK.replace("[alive, read]", "[alive, raed]"))
    with pytest.raises(Mistakes) as caught:
        pair("nope=1")
    assert {(mistake.file, mistake.path) for mistake in caught.value.mistakes} == {
        ("--param", "nope"),
        ("inventories/prod.yaml", "hots"),
        ("inventories/prod.yaml", "groups.web"),
        ("runbooks/deploy.yaml", "settle[1].verify"),
    }


def test_a_target_that_cannot_be_read_in_part_is_not_blamed_on_the_runbook(project: Path) -> None:
    """What may only be missing because it was misspelled in the inventory is not said."""
    Path("inventories/prod.yaml").write_text(
        "hosts: {web1: {grous: [web]}}\n"
        "sevice: {name: api, backend: systemd}\n"
        "secret: {token: {env: T}}\n"
        "checks: {alive: {http: x, expect: status == 200, save: [id]}}\n"
    )
    Path("runbooks/deploy.yaml").write_text("""\
steps:
  - {run: "x {{ secrets.token }}", readonly: true, on: web}
  - {run: "x {{ saved.id }} {{ run.nme }}", readonly: true}
  - {restart: , on: web}
  - {verify: [alive, nope]}
""")
    assert [line for line in said(pair) if "steps" in line] == [
        "3 steps[1].run: 'run.nme' is not defined",
        "3 steps[1].run: 'saved.id' is not defined",
        "5 steps[3].verify: prod has no check 'nope'",
    ]


def test_a_misspelled_name_hides_no_mistake_of_the_other_file(project: Path) -> None:
    Path("runbooks/deploy.yaml").write_text("steps: [{run: touch x}]")
    with pytest.raises(Mistakes) as caught:
        loading.load_pair(
            lambda: loading.resolve("prd", Path("inventories")),
            lambda: Path("runbooks/deploy.yaml"),
            (),
            TABLES,
        )
    assert [mistake.file for mistake in caught.value.mistakes] == [
        "command line",
        "runbooks/deploy.yaml",
    ]


def test_parameters_are_typed(project: Path) -> None:
    words = ['paths=["a,b"]', "paths=c", "count=-3", "force=off", "message=a=b"]
    assert parameters.load_params(runbook(), words) == {
        "paths": ["a,b", "c"],
        "count": -3,
        "force": False,
        "message": "a=b",
    }


def test_wrong_parameters_are_all_said(project: Path) -> None:
    book = runbook(RUNBOOK.replace("type: list}", "type: list, required: true, help: Which}"))
    words = ["count=many", "force=maybe", "mesage=x", "word", "message=a", "message=b"]
    with pytest.raises(Mistakes) as caught:
        parameters.load_params(book, words)
    assert caught.value.mistakes == (
        Mistake("--param", 0, "count", "must be a whole number, not 'many'"),
        Mistake("--param", 0, "force", "must be true or false, not 'maybe'"),
        Mistake(
            "--param", 0, "mesage", "the runbook deploy has no such param; did you mean 'message'?"
        ),
        Mistake("--param", 0, "message", "is given twice"),
        Mistake("--param", 0, "paths", "must be given: Which"),
        Mistake("--param", 0, "word", "write NAME=VALUE"),
    )


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("message=Gr\udcfc\udcdfe", "is not text in UTF-8"),
        ("message=\ue000key\ue001", "holds a private-use character (U+E000 or U+E001)"),
        (r'paths=["a", "b\u0000c"]', "holds a NUL character"),
        (r'paths=["\ud800"]', "is not text in UTF-8"),
        ('paths=["a", ["b"]]', 'is a list of words, and ["b"] is none'),
        ("paths=[null]", "is a list of words, and null is none"),
    ],
)
def test_what_no_command_could_be_given_is_no_parameter(project: Path, word: str, why: str) -> None:
    with pytest.raises(Mistakes) as caught:
        parameters.load_params(runbook(), [word])
    (mistake,) = caught.value.mistakes
    assert (mistake.path, mistake.message) == (word.partition("=")[0], why)


def test_a_list_as_deep_as_a_well_is_no_list_of_words(project: Path) -> None:
    with pytest.raises(Mistakes, match="is no JSON list"):
        parameters.load_params(runbook(), ["paths=" + "[" * 100_000])


# --- names, lint, freezing -----------------------------------------------------------------


def test_a_bare_name_is_looked_up_and_a_path_is_taken_as_it_is(project: Path) -> None:
    assert loading.resolve("prod", Path("inventories")) == Path("inventories/prod.yaml")
    (project / "sub").mkdir()
    (project / "sub/x.yml").write_text("")
    assert loading.resolve("x.yml", Path("inventories"), project / "sub") == project / "sub/x.yml"
    assert loading.names(Path("inventories")) == ["prod"]


@pytest.mark.parametrize("name", ["prd", "", "..", "../x", "nope.yaml", "/etc/passwd/x.yaml"])
def test_an_unknown_name_is_a_mistake(project: Path, name: str) -> None:
    with pytest.raises(Mistakes) as caught:
        loading.resolve(name, Path("inventories"))
    assert caught.value.exit_code == 2


def test_an_unknown_name_says_what_is_there(project: Path) -> None:
    with pytest.raises(Mistakes, match=r"did you mean 'prod'\? \(it has: prod\)"):
        loading.resolve("prd", project / "inventories")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("inventories/prod.yaml", "prod"),
        ("inventories/eu/api.yml", "eu/api"),
        ("sub/../inventories/eu/api.v2.yaml", "eu/api.v2"),
        ("link/api.yaml", "eu/api"),
        ("ops/prod.yaml", "./ops/prod"),
        ("prod.yaml", "./prod"),
        ("/etc/ops/prod.yaml", "/etc/ops/prod"),
    ],
)
def test_the_name_of_a_file_is_its_path_and_leads_back_to_it(
    project: Path, path: str, name: str
) -> None:
    for made in ("inventories/eu", "sub", "ops"):
        (project / made).mkdir()
    (project / "link").symlink_to("inventories/eu")
    folder, file = project / "inventories", project / path
    assert name_of(file, folder) == name
    if file.is_relative_to(project):
        file.write_text(INVENTORY)
        assert loading.load_target(file, TABLES, project).name == name
        found = loading.resolve(name, folder, project / "sub")
        assert found.resolve() == file.resolve()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda path: path.symlink_to(path.name), "is a link that leads nowhere"),
        (lambda path: path.symlink_to("/nowhere"), "is a link that leads nowhere"),
        (lambda path: path.mkdir(), "is a directory"),
        (os.mkfifo, "is no file"),
        (lambda path: path.symlink_to("/dev/zero"), "is no file"),
    ],
)
def test_what_has_the_name_of_a_file_and_is_none_is_said(
    project: Path, made: Callable[[Path], None], words: str
) -> None:
    made(project / "inventories" / "odd.yaml")
    found = [str(m) for m in loading.lint(project, TABLES) if m.file == "inventories/odd.yaml"]
    assert found == [f"inventories/odd.yaml: {words}"]
    with pytest.raises(Mistakes, match=f"inventories/odd.yaml: {words}"):
        loading.resolve("odd", project / "inventories")


@pytest.mark.parametrize("name", ["a" * 5000, "x/" * 3000, "~nobody-of-that-name/x", "~nobody-of"])
def test_a_name_that_no_file_can_have_is_the_name_of_none(project: Path, name: str) -> None:
    with pytest.raises(Mistakes, match=r"^no "):
        loading.resolve(name, project / "inventories")


@pytest.mark.parametrize("zone", ["Europe/Berln", "Europe", "../etc", "/etc/passwd", "a" * 300])
def test_a_timezone_that_is_none_is_one_mistake_beside_a_freeze_too(
    project: Path, zone: str
) -> None:
    """The freeze's times are meant in it."""
    winter = "{from: 2026-12-24, until: 2026-12-27, why: holidays}"
    freeze = f"freeze: [{winter}, {{cron: 0 0 * * 6, for: 12h, why: weekend}}]\n"
    text = f"timezone: {zone}\n{freeze}{INVENTORY}"
    assert said(lambda: target(text)) == [
        f"1 timezone: {zone!r} is not a timezone; write Europe/Berlin, or UTC"
    ]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_freeze_from_the_first_day_until_the_last_one_is_for_ever(
    project: Path, zone: str
) -> None:
    ends = "{from: 0001-01-01, until: 9999-12-31T23:59, why: closed}"
    made = target(f"timezone: {zone}\nfreeze: [{ends}]\n{INVENTORY}")
    held = frozen([Window(made.freeze[0], zone, made.file)], datetime.now(UTC))
    assert held is not None
    assert in_zone(held.until, zone).year == 9999


def test_a_folder_of_the_project_that_is_none_is_not_an_empty_one(tmp_path: Path) -> None:
    for name in ("inventories", "runbooks"):
        (tmp_path / name).touch()
    found = [str(mistake) for mistake in loading.lint(tmp_path, TABLES)]
    assert found == ["inventories: is no directory", "runbooks: is no directory"]


def test_a_name_is_looked_up_before_a_file_of_that_path(project: Path) -> None:
    for folder in ("inventories/eu", "eu"):
        (project / folder).mkdir()
        (project / folder / "api.yaml").write_text(INVENTORY)
    found = loading.resolve("eu/api", project / "inventories", project)
    assert found == project / "inventories/eu/api.yaml"
    assert (
        loading.resolve("eu/api.yaml", project / "inventories", project) == project / "eu/api.yaml"
    )


def test_inventories_below_are_linted_listed_and_extend_what_is_above(project: Path) -> None:
    (project / "inventories/eu").mkdir()
    (project / "inventories/.git").mkdir()
    (project / "inventories/base.yaml").write_text("vars: {a: 1}\nchecks: {x: {http: '{{ q }}'}}")
    (project / "inventories/eu/api.yaml").write_text("extends: base\nhosts: {web1: 7}")
    (project / "inventories/.git/x.yaml").write_text("no: inventory")
    places = {(mistake.file, mistake.path) for mistake in loading.lint(project, TABLES)}
    assert ("inventories/eu/api.yaml", "hosts.web1") in places
    assert not any(".git" in file for file, _ in places)
    assert loading.targets(project / "inventories") == ["eu/api", "prod"]
    assert loading.names(project / "inventories") == ["base", "eu/api", "prod"]


def test_two_files_of_one_name_are_a_mistake(project: Path) -> None:
    (project / "inventories/prod.yml").write_text(INVENTORY)
    said = {(each.file, each.message) for each in loading.lint(project, TABLES)}
    assert said == {
        ("inventories/prod.yaml", "prod.yml beside it has the same name: keep one of them"),
        ("inventories/prod.yml", "prod.yaml beside it has the same name: keep one of them"),
    }


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("prod", ".backout/prod"),
        ("eu/api", ".backout/eu+api"),
        ("./ops/prod", ".backout/ops+prod"),
        ("/home/ann/prod", ".backout/prod"),
    ],
)
def test_each_target_has_a_folder_of_its_own_on_its_hosts(name: str, home: str) -> None:
    host = Host(name="web1")
    made = Target(name=name, hosts={"web1": host})
    assert made.home_on(host) == home
    assert made.renamed("new/name").home_on(host) == home
    kept = Target(name=name, hosts={"web1": host}, source=Source(directory="/srv/x"))
    assert kept.renamed("new/name").home_on(host) == "/srv/x/.backout"
    assert kept.renamed("new/name").name == "new/name"


def test_lint_finds_every_mistake_of_every_file(project: Path) -> None:
    assert loading.lint(project, TABLES) == ()
    (project / "inventories/base.yaml").write_text('checks: {a: {http: "{{ vars.later }}"}}')
    (project / "inventories/qa.yaml").write_text("extends: base\nhost: {}")
    (project / "runbooks/x.yml").write_text("steps: [{run: x}]")
    files = [mistake.file for mistake in loading.lint(project, TABLES)]
    assert files == ["inventories/base.yaml"] * 2 + ["inventories/qa.yaml", "runbooks/x.yml"]


def test_what_is_frozen_thaws_to_the_same(project: Path) -> None:
    made, book, _params = pair()
    frozen = json.loads(json.dumps(loading.dump(made, book)))
    assert loading.thaw(frozen, TABLES) == (made, book)


_plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.usefixtures("unhurried")
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=50,
)
@given(_plain, st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))
def test_whatever_was_written_thaws_to_the_same(
    project: Path, value: Any, script: str, paths: list[str], env: dict[str, str]
) -> None:
    made, book = target(), runbook()
    step = book.steps[0].model_copy(
        update={"options": CommitOptions(paths=tuple(paths), message=script), "env": env}
    )
    made = made.model_copy(update={"vars": {"x": value}})
    book = book.model_copy(update={"steps": (step,)})
    frozen = json.loads(json.dumps(loading.dump(made, book)))
    assert loading.thaw(frozen, TABLES) == (made, book)


_words = st.sampled_from(
    [
        *"[]{}:,-&*!|>#'\"\n \t?%@`~",
        "a",
        "<<",
        "steps",
        "run",
        "hosts",
        "checks",
        "http",
        "{{",
        "}}",
    ]
)


def outcomes(content: bytes) -> bool:
    """Whether a file, as a runbook and as an inventory, is a noun or mistakes."""
    Path("runbooks/any.yaml").write_bytes(content)
    Path("inventories/any.yaml").write_bytes(content)
    made: list[object] = []
    for load in (lambda: runbook(name="any"), lambda: target(name="any")):
        try:
            made.append(load())
        except Mistakes as error:
            made.append(error.mistakes)
    return all(made)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.binary() | st.text().map(str.encode) | st.lists(_words).map("".join).map(str.encode))
def test_any_file_is_nouns_or_mistakes(project: Path, content: bytes) -> None:
    assert outcomes(content)


_keys = st.sampled_from(
    [
        *("steps", "settle", "params", "run", "undo", "commit", "on", "when", "save", "hosts"),
        *("vars", "groups", "service", "backend", "checks", "http", "expect", "then", "cleanup"),
        *("secrets", "x", "extends", "options", "kind", "name", "retry", "env", "notify", "any"),
        *("diagnose", "bake"),
    ]
)
_shapes = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["x", "{{ vars.x }}", "web", "any"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=5),
    max_leaves=25,
)


@pytest.mark.usefixtures("unhurried")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.dictionaries(_keys, _shapes, max_size=6))
def test_any_shape_of_file_is_nouns_or_mistakes(project: Path, data: dict[str, Any]) -> None:
    assert outcomes(json.dumps(data).encode())


# --- tables --------------------------------------------------------------------------------


def test_a_table_imports_a_row_when_it_is_looked_up() -> None:
    table = Table({"path": "pathlib:Path", "broken": "no_such_module:Thing"})
    assert list(table) == ["path", "broken"]
    assert "broken" in table
    assert table["path"] is Path
    with pytest.raises(ImportError):
        table["broken"]
    with pytest.raises(KeyError):
        table["missing"]


# --- the real tables -----------------------------------------------------------------------

ROOT = Path(__file__).parents[3]


def test_the_files_of_this_project_have_no_mistakes() -> None:
    assert loading.lint(ROOT, REAL) == ()


def test_every_row_of_the_tables_thaws_to_what_was_frozen(project: Path) -> None:
    Path("inventories/real.yaml").write_text("""\
hosts: {web1: {groups: [web], service: {name: w, backend: pm2}}, here: {connection: local}}
service: {name: api, backend: systemd, scope: user, port: 8080}
source: {directory: /srv/api}
rollout: {batches: [1, 25%], soak: 1s}
bake: {for: 1m}
secrets: {token: {env: TOKEN}}
checks:
  a: {http: {url: "http://x/{{ run.id }}", json: {a: [1, null]}}, expect: status == 200, then: b}
  b:
    tcp: {address: "x:1"}
    expect: connected
    retry: {for: 60s}
    cleanup: {command: "rm {{ saved.x }}"}
    save: {x: banner}
  c: {command: "x {{ secrets.token }}", on: web, expect: exit_code == 0, cron: "*/5 * * * *"}
  d: {service: , on: web}
""")
    Path("runbooks/real.yaml").write_text("""\
params: {paths: {type: list}}
steps:
  - {commit: {paths: "{{ params.paths }}"}}
  - {push: }
  - {run: "x {{ secrets.token }}", undo: y, on: web, retry: {for: 1m}, save: {out: stdout}}
  - {upload: {from: a, to: /b, mode: 0644}, on: all}
  - {wait: {for: 5s}}
  - {wait: 5s}
  - {approve: "Go on?"}
  - {manual: Pull the lever, irreversible: it is pulled}
  - {update: {}, on: web}
settle: [{restart: {soak: 1s}, on: web}, {verify: all}, {verify: a}]
""")
    made, book, params = pair("paths=a", tables=REAL, name="real")
    assert params == {"paths": ["a"]}
    frozen = json.loads(json.dumps(loading.dump(made, book)))
    assert loading.thaw(frozen, REAL) == (made, book)


# --- what people bring along ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "steps:\n\t- run: x",
            "2: not YAML: a tab stands before the first word: indent with spaces",
        ),
        ("steps:\n  - run: `x`", "2: not YAML: a value cannot begin with `: put it in quotes"),
        (
            "steps:\n  - run: {{ vars.x }} y",
            '2: not YAML: a value begins with {{: put it in quotes, "{{ … }}"',
        ),
        (
            "steps:\n  - name: Fix: it",
            "2: not YAML: a colon and a space stand inside a value: put the value in quotes",
        ),
    ],
)
def test_a_slip_in_yaml_is_told_in_words_with_its_place_marked(text: str, said: str) -> None:
    with pytest.raises(Mistakes) as error:
        yaml_tree.parse(text, "x.yaml", [])
    message, line, caret = str(error.value.mistakes[0]).split("\n")
    assert message == f"x.yaml:{said}"
    assert line.strip() == text.splitlines()[1].strip()
    assert caret.strip() == "^"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("shell: x", "unknown key 'shell'; write run: …"),
        ("{run: x, undo: y, become: true}", "become"),
        ("{run: x, readonly: yes}", "must be true or false"),
        ("{run: x, readonly: 1}", "must be true or false"),
        ("{run: x, readonly: 'true'}", "must be true or false"),
    ],
)
def test_words_of_other_tools_and_other_truths_are_mistakes(
    project: Path, words: str, hint: str
) -> None:
    (project / "runbooks" / "deploy.yaml").write_text(f"steps: [{words}]\n")
    assert hint in "\n".join(said(lambda: pair()))


def test_lint_holds_a_runbook_against_the_targets_there_are(project: Path) -> None:
    book = project / "runbooks" / "deploy.yaml"
    for name, group in (("one", "web"), ("two", "db")):
        inventory = f"hosts: {{h: {{address: 10.0.0.1, groups: [{group}]}}}}\n"
        (project / "inventories" / f"{name}.yaml").write_text(inventory)
    (project / "inventories" / "prod.yaml").unlink()
    book.write_text("steps: [{run: x, readonly: true, on: web}]\n")
    assert loading.lint(project, TABLES) == (), "it fits one of them"
    book.write_text("targets: [two]\nsteps: [{run: x, readonly: true, on: web}]\n")
    assert [str(each.message) for each in loading.lint(project, TABLES)] == [
        "two has no host and no group 'web'"
    ]
    book.write_text("steps: [{run: 'x {{ secrets.nope }}', readonly: true, on: webs}]\n")
    told = [each.message for each in loading.lint(project, TABLES)]
    assert "'secrets.nope' is not defined" in told
    assert any("no group 'webs'" in each for each in told)


def test_a_runbook_for_other_targets_is_refused_on_this_one(project: Path) -> None:
    (project / "runbooks" / "deploy.yaml").write_text("targets: ['eu/*']\nsteps: []\n")
    assert "1 targets: it is for eu/*, and not for prod" in said(lambda: pair())


@pytest.mark.parametrize("text", ["٣m", "٣", "²s", "1٣s", "5\u2009s", "-5s", "1e3s"])
def test_a_number_is_of_plain_digits(text: str) -> None:
    """Others look like something else at 3 a.m., or are no digits at all."""
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)
    book = Runbook(name="x", params={"n": Param(type="int")})
    with pytest.raises(Mistakes, match="must be a whole number"):
        loading.load_params(book, [f"n={text}"])


def test_of_a_long_line_the_place_is_shown(project: Path) -> None:
    long = f"steps: [{'x, ' * 1000}&]\n"
    (project / "runbooks" / "long.yaml").write_text(long)
    (found,) = [m for m in loading.lint(project, TABLES) if m.file == "runbooks/long.yaml"]
    _, line, mark = found.message.split("\n")
    assert len(line) < 200
    assert line[mark.index("^")] == "&"


# --- where nothing is written --------------------------------------------------------------

NOTHING = 'nothing stands here: write its value ("" for an empty text), or leave the line out'


@pytest.mark.parametrize("key", ["on", "undo", "check", "timeout", "when", "cwd", "irreversible"])
def test_a_key_of_a_step_behind_which_nothing_stands_is_a_mistake(project: Path, key: str) -> None:
    """`on:` without a word would have the step run on this machine."""
    text = f"steps:\n  - run: rm -rf /srv/tmp\n    retry_safe: true\n    {key}: # web\n"
    assert f"4 steps[0].{key}: {NOTHING}" in said(lambda: runbook(text))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("checks: {a: {http: x, expect: , on: web}}", "checks.a.expect"),
        ("checks: {a: {http: x, expect: status == 200, on: }}", "checks.a.on"),
        (
            "checks: {a: {http: {url: , headers: {X: }}, expect: status == 200}}",
            "checks.a.http.url",
        ),
        ("hosts: {w: {user: , port: }}", "hosts.w.port"),
        ("secrets: {s: {env: }}", "secrets.s.env"),
        ("rollout: {soak: }", "rollout.soak"),
        ("rollout: {batches: }", "rollout.batches"),
        ("service: {name: , backend: systemd}", "service.name"),
    ],
)
def test_so_is_one_of_an_inventory(project: Path, text: str, path: str) -> None:
    assert f"1 {path}: {NOTHING}" in said(lambda: target(text))


def test_null_and_an_empty_text_are_something(project: Path) -> None:
    made = target('hosts: {w: {port: ~, user: null}}\nssh: {user: ""}\nvars: {a: , b: null}')
    assert (made.hosts["w"].port, made.ssh.user, made.vars) == (None, "", {"a": None, "b": None})
    assert runbook("params: {a: {default: }}\nsteps: [{restart: }]").params["a"].default is None


def test_a_section_of_which_nothing_is_written_is_as_if_it_were_not_there(project: Path) -> None:
    empty = ["hosts", "groups", "ssh", "service", "source", "vars", "secrets", "rollout", "checks"]
    made = target("".join(f"{name}: # later\n" for name in (*empty, "bake", "balancers", "notify")))
    assert made == target("vars: {}")
    text = "hosts: {w: {groups: [g], vars: , service: }}\ngroups: {g: }\n"
    assert target(f"{text}service: {{name: a, backend: systemd}}").service is not None
    phases = "params:\npreflight:\nsettle:\nfinally:\ndiagnose:\n"
    steps = "steps: [{run: x, readonly: true, env: , save: , retry: }]"
    assert runbook(f"{phases}{steps}").steps[0].env == {}
    assert runbook(f"params: {{a: }}\n{steps}").params["a"] == Param()


def test_an_empty_section_takes_nothing_from_the_extended_inventory(project: Path) -> None:
    target("vars: {a: 1}\nssh: {user: me}\nservice: {name: a, backend: systemd}", "base")
    made = target("extends: base\nvars:\nssh:\nservice:\n", "staging")
    assert (made.vars, made.ssh.user) == ({"a": 1}, "me")
    assert made.service is not None


def test_a_default_in_the_place_of_a_param_is_told_how_it_is_written(project: Path) -> None:
    assert said(lambda: runbook("params: {message: Deploy}\nsteps: [{restart: {}}]")) == [
        "1 params.message: must be a mapping; a default is written {default: Deploy}"
    ]


# --- what is near ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("group: {web: {}}", "1 group: unknown key 'group'; did you mean 'groups'?"),
        (
            "service: {nam: a, backend: systemd}",
            "1 service.nam: unknown key 'nam'; did you mean 'name'?",
        ),
        (
            "service: {name: a, backen: systemd}",
            "1 service.backen: unknown key 'backen'; did you mean 'backend'?",
        ),
        (
            "service: {name: a, backend: systemd, usr: true}",
            "1 service.usr: unknown key 'usr'; did you mean 'user'?",
        ),
    ],
)
def test_a_near_key_is_named_wherever_it_may_stand(project: Path, text: str, told: str) -> None:
    assert told in said(lambda: target(text))


def test_an_on_that_another_program_has_written_as_true_is_named(project: Path) -> None:
    (wrong,) = said(lambda: runbook("steps: [{run: x, readonly: true, true: web}]"))
    assert "unknown key 'true'; an on: that another program has written so; write on: …" in wrong


@pytest.mark.parametrize("port", ["0", "-1", "70000"])
def test_a_port_is_a_port_wherever_it_stands(project: Path, port: str) -> None:
    service = (
        f"service: {{name: a, backend: systemd, port: {port}}}\nhosts: {{w: {{port: {port}}}}}"
    )
    assert [wrong.partition(": ")[2] for wrong in said(lambda: target(service))] == [
        "must be a port, 1 to 65535"
    ] * 2


def test_a_service_has_a_name(project: Path) -> None:
    assert said(lambda: target('service: {name: "", backend: systemd}')) == [
        "1 service.name: names nothing"
    ]


def test_null_takes_no_host_of_the_extended_inventory_away(project: Path) -> None:
    wrong = said(lambda: target("extends: prod\nhosts:\n  web1: null\n  here:\n", "staging"))
    assert wrong == [
        "3 hosts.web1: null does not take away a host of inventories/prod.yaml; leave it out there,"
        " and name it in the inventories that have it"
    ]
    assert target("hosts: {web1: null}", "other").hosts["web1"].address == "web1"
    assert list(target("extends: other\nhosts: {web1: }", "third").hosts) == ["web1"]


@pytest.mark.parametrize("key", ["defaults", "x-defaults", ".defaults"])
def test_what_is_only_there_to_be_referred_to_has_its_place(project: Path, key: str) -> None:
    (wrong,) = said(lambda: target(f"{key}: &d {{a: 1}}\nvars: {{<<: *d}}"))
    assert wrong.endswith(f"unknown key {key!r}; write vars: …; an anchor may stand there")
