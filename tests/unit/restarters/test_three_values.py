"""Runs, does not run, nobody can tell: a backend says that something does not run only in words of
its manager that are known for it. What these programs answer here no real one can be made to."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import pytest

from backout.model import Host, Identity, Service
from backout.restarters import BACKENDS
from support.tools import program
from support.transports import Shell

SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def daemon() -> Iterator[int]:
    """The process that pm2.pid names."""
    title = ["PM2 v7: God Daemon", "600"]
    with subprocess.Popen(title, executable=program("sleep")) as process:
        yield process.pid
        process.kill()


def asked(
    kind: str, tool: str, answer: str, directory: Path, daemon: int, **service: str
) -> Identity:
    """What a backend makes of a program's whole answer."""
    (directory / tool).write_text(f"#!/bin/sh\n{answer}\n")
    (directory / tool).chmod(0o755)
    (directory / ".pm2").mkdir()
    (directory / ".pm2/pm2.pid").write_text(str(daemon))
    path = f"{directory}:/usr/bin:/bin:{Path(program('node')).parent}"
    shell = Shell(env={"PATH": path, "HOME": str(directory)}, host=Host(name="web1"))
    options = BACKENDS[kind].Options(**({"ecosystem": "apps.js"} if kind == "pm2" else {}))
    named = Service.model_validate({"name": "api", **service, "backend": kind, "options": options})
    seen: Identity = BACKENDS[kind](named, shell).identity()
    return seen


def pm2(**env: object) -> str:
    return json.dumps([{"name": "api", "pid": 0, "pm2_env": {"TOKEN": SECRET, **env}}])


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        (pm2(status="stopped"), False),
        (pm2(status="errored"), False),
        ("[]", False),
        (f"[PM2] Spawning PM2 daemon\n{pm2(status='stopped')}\n\n>>>> In-memory PM2 is old", False),
        (pm2(status="waiting restart"), True),
        (pm2(status="hibernating"), None),
        (pm2(), None),
        ('[{"name": "api", "pid": 0}]', None),
        ('[{"name": "api", "pid": 0, "pm2_env": null}]', None),
        ("[null]", None),
        ("", None),
        ("[PM2][ERROR] Permission denied, rpc.sock", None),
        (pm2(status="stopped")[:-9], None),
        (json.dumps(json.loads(pm2(status="stopped")), indent=2), None),
    ],
)
def test_pm2(said: str, runs: bool | None, tmp_path: Path, daemon: int) -> None:
    seen = asked("pm2", "pm2", f"printf '%s\\n' {quote(said)}", tmp_path, daemon)
    assert seen.runs is runs, seen
    assert SECRET not in str(seen)


def test_a_pm2_that_is_not_on_the_path_is_told_where_to_be_named(
    tmp_path: Path, daemon: int
) -> None:
    seen = asked("pm2", "other", "", tmp_path, daemon)
    assert seen.runs is None
    assert "`path` of the service says where pm2 and node are" in seen.obstacle


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("web:api    STOPPED   Not started", False),
        ("self.warnings.warn(\nweb:api    EXITED   Jan 30 10:00 AM", False),
        ("web:api    STOPPED\nweb:job    BACKOFF   Exited too quickly", True),
        ("web:api    STOPPED\nweb:job    UNKNOWN", None),
        ("web:api    STOPPED\nweb:job    HIBERNATING   x", None),
        ("web:api    STOPPED\nerror: <class 'OSError'>, Broken pipe", None),
        ("web:api    HIBERNATING", None),
        ("Server requires authentication", None),
        ("", None),
    ],
)
def test_supervisor(said: str, runs: bool | None, tmp_path: Path, daemon: int) -> None:
    text = f"printf '%s\\n' {quote(said)}; exit 3"
    seen = asked("supervisor", "supervisorctl", text, tmp_path, daemon, name="web:*")
    assert seen.runs is runs, seen


@pytest.mark.parametrize(
    ("said", "runs"),
    [
        ("ActiveState=inactive", False),
        ("ActiveState=failed\nMainPID=0", False),
        ("ActiveState=deactivating", True),
        ("ActiveState=refreshing", True),
        ("ActiveState=active\nMainPID=[not set]\nNRestarts=[not set]", True),
        ("ActiveState=hibernating", None),
        ("", None),
    ],
)
def test_systemd(said: str, runs: bool | None, tmp_path: Path, daemon: int) -> None:
    unit = f"Id=api.service\nLoadState=loaded\n{said}"
    seen = asked("systemd", "systemctl", f"printf '%s\\n' {quote(unit)}", tmp_path, daemon)
    assert seen.runs is runs, seen


@pytest.mark.parametrize(
    ("state", "runs"),
    [
        ({"Status": "exited"}, False),
        ({"Status": "created"}, False),
        ({"Status": "paused"}, True),
        ({"Status": "restarting"}, True),
        ({"Status": "hibernating"}, None),
        ({}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("kind", ["docker", "docker-compose"])
def test_the_engine(
    kind: str, state: object, runs: bool | None, tmp_path: Path, daemon: int
) -> None:
    seen = json.dumps({"Id": "a" * 64, "Name": "/api", "State": state, "Config": None})
    answer = (
        f"case $* in ps*) echo abc ;; *image*) ;; *Config.Image}}}}) echo x ;;"
        f" *) echo {quote(seen)} ;; esac"
    )
    found = asked(kind, "docker", answer, tmp_path, daemon)
    assert found.runs is runs
    assert found.obstacle == ("it is paused: docker unpause api" if "paused" in seen else "")
