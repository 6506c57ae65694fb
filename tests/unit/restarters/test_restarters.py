"""The contract of every restart backend, and their specs: facts in, commands out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backout import model
from backout.errors import Refused, Unreachable
from backout.model import Host, Identity, Result, Service, State
from backout.ports import Restarter
from backout.restarters import BACKENDS
from backout.restarters.backend import sections
from backout.restarters.listeners import SECTION, Holder, judge, scan
from backout.restarters.supervisor import Row
from support.tools import program
from support.transports import Shell, Told

SPECS = Path(__file__).parents[2] / "specs" / "restarters"
CALLS: Mapping[str, Callable[[Restarter], Any]] = {
    "identity": lambda restarter: restarter.identity(),
    "restart": lambda restarter: restarter.restart("run.step"),
    "stop": lambda restarter: restarter.stop("run.step"),
    "logs": lambda restarter: restarter.logs(5),
    "find": lambda restarter: restarter.find(),
}
READING = ("identity", "logs", "find")
UP = Identity(up=True, value="1", detail="running")


def specs(backend: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SPECS / f"{backend}.json").read_text())
    return found


def every_spec() -> list[Any]:
    return [
        pytest.param(backend, spec, id=f"{backend}: {spec['it']}")
        for backend in BACKENDS
        for spec in specs(backend)
    ]


def backend(kind: str, transport: Any, **service: Any) -> Restarter:
    """A backend as the loader would make it from an inventory's words."""
    row = BACKENDS[kind]
    options = row.Options(**service.pop("options", {}))
    made: Restarter = row(
        Service(**{"name": "gigz-api", **service}, backend=kind, options=options), transport
    )
    return made


def answer(told: Mapping[str, Any]) -> Result:
    """What the machine of a spec says to one command; done unless it has another exit code."""
    code = told.get("exit_code", 0)
    state = State.FAILED if code else State.DONE
    stdout = "\n".join(told.get("stdout", []))
    return Result(state, code, stdout, "\n".join(told.get("stderr", [])))


def plain(value: Any) -> Any:
    """A value as JSON would have it."""
    if isinstance(value, Identity | Result):
        return {name: getattr(value, name) for name in value.__slots__}
    return [dict(line) for line in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(("kind", "spec"), every_spec())
def test_the_specs_hold(kind: str, spec: dict[str, Any]) -> None:
    transport = Told(*map(answer, spec["machine"]))
    restarter = backend(kind, transport, **spec["service"])

    given = plain(CALLS[spec["call"]](restarter))

    for command, expected in zip(transport.asked, spec["runs"], strict=True):
        assert command.key == ("run.step" if expected.get("changes") else "")
        lines = command.script.replace(sys.executable, "{python}").splitlines()
        assert expected.get("script", lines) == lines
        assert not set(expected.get("has", ())) - set(lines), lines
    if isinstance(spec["gives"], dict):
        given = {name: given[name] for name in spec["gives"]}
    assert given == spec["gives"]
    transport.close()


@pytest.mark.parametrize("kind", BACKENDS)
def test_every_backend_has_specs_of_what_it_says_and_does(kind: str) -> None:
    assert {"identity", "restart", "stop"} <= {spec["call"] for spec in specs(kind)}


def test_every_spec_file_belongs_to_a_backend() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == set(BACKENDS)


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_backend_takes_its_options_from_a_model_that_knows_all_its_words(kind: str) -> None:
    options = BACKENDS[kind].Options
    assert issubclass(options, model.Options)
    with pytest.raises(ValueError, match="nonsense"):
        options(nonsense=1)


@pytest.mark.parametrize("kind", BACKENDS)
def test_an_unreachable_machine_is_an_answer(kind: str) -> None:
    def unreachable() -> Restarter:
        return backend(kind, Told(Unreachable("no route to web1")))

    identity = unreachable().identity()
    assert (identity.up, identity.known, identity.value) == (False, False, "")
    assert identity.detail == "no route to web1"
    assert unreachable().restart("run.step").state is State.UNREACHABLE
    assert unreachable().find() == ()
    with pytest.raises(Unreachable, match="the log of gigz-api cannot be read: no route to web1"):
        unreachable().logs(5)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize(
    "broken",
    [
        Result(State.FAILED, 127, "", "sh: 1: not found"),
        Result(State.FAILED, 1, "ERROR: all is well", ""),
        Result(State.UNKNOWN, reason="timed out"),
    ],
    ids=["missing program", "a failure that speaks", "timed out"],
)
def test_a_log_that_cannot_be_read_is_refused_and_its_words_are_no_log(
    kind: str, broken: Result
) -> None:
    with pytest.raises(Refused, match=r"the log of gigz-api cannot be read: ."):
        backend(kind, Told(always=broken)).logs(5)


def test_supervisor_has_no_log_of_a_program_that_writes_none(tmp_path: Path) -> None:
    """Its own words for that, and an error of supervisorctl, are not the program's."""
    ctl = tmp_path / "supervisorctl"

    def says(words: str, code: int) -> Restarter:
        up = "gigz-api    RUNNING   pid 412, uptime 0:01:05"
        ctl.write_text(
            f"#!/bin/sh\n[ $1 = tail ] || {{ echo '{up}'; exit 0; }}\n{words}; exit {code}\n"
        )
        ctl.chmod(0o755)
        env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        return backend("supervisor", Shell(env=env, host=Host(name="web1")))

    assert says("echo one; echo two", 0).logs(5).splitlines() == ["one", "two", "one", "two"]
    assert says("echo 'gigz-api: ERROR (no log file)'", 1).logs(5) == ""
    with pytest.raises(Refused, match="no such file"):
        says("echo 'unix:///run/supervisor.sock no such file'", 4).logs(5)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize(
    "broken",
    [
        Result(State.FAILED, 127, "", "sh: 1: not found"),
        Result(State.UNKNOWN, reason="timed out"),
        Result(State.DONE, 0, ""),
    ],
    ids=["missing program", "timed out", "nothing said"],
)
def test_what_cannot_be_told_is_never_up(kind: str, broken: Result) -> None:
    identity = backend(kind, Told(broken), port=8080).identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail


JSON_SAYING = {
    "pm2": ["{said}", "=== daemon", "33", "=== paths", "=== end"],
    "docker": ["{said}", "=== images", "=== here", "1795330810", "/srv", "=== end"],
    "docker-compose": ["{said}", "=== images", "=== here", "1795330810", "/srv", "=== end"],
    "heroku": ["{said}", "=== end"],
}
"""How the backends are told what another program says in JSON."""


@pytest.mark.parametrize("kind", JSON_SAYING)
@pytest.mark.parametrize(
    "said",
    [
        "{}",
        '{"pid": null, "status": "online", "State": null, "dynos": [{}], "release": null}',
        '{"pid": "x", "State": [], "dynos": 7, "Config": "x"}',
        '{"Name": "/gigz-api", "Mounts": [{}], "NetworkSettings": {"Ports": {"1": null}}}',
        "{",
    ],
)
def test_what_another_program_says_is_never_trusted_to_have_a_key(kind: str, said: str) -> None:
    lines = [line.replace("{said}", said) for line in JSON_SAYING[kind]]
    told = Result(State.DONE, 0, "\n".join(lines))
    restarter = backend(kind, Told(host=Host(name="web1"), always=told))
    assert not restarter.identity().up
    for call in ("logs", "find", "restart", "stop"):
        with suppress(Refused):
            CALLS[call](restarter)


def test_who_may_not_speak_to_the_engine_is_told_how() -> None:
    denied = "permission denied while trying to connect to the Docker daemon socket"
    for kind in ("docker", "docker-compose"):
        identity = backend(kind, Told(Result(State.FAILED, 1, "", denied))).identity()
        assert identity.runs is None
        assert "`sudo: true`" in identity.obstacle


@pytest.mark.parametrize("kind", BACKENDS)
def test_looking_has_no_key_and_asking_twice_for_the_same_is_the_same(kind: str) -> None:
    for call in READING:
        transport = Told(host=Host(name="web1"), always=Result(State.FAILED, 1))
        for _ in range(2):
            with suppress(Refused):
                CALLS[call](backend(kind, transport))
        assert {command.key for command in transport.asked} == {""}
        half = len(transport.asked) // 2
        assert transport.asked[:half] == transport.asked[half:]


STUBS = ("systemctl", "journalctl", "supervisorctl", "pm2", "docker", "docker-compose")
EVIL = "x'; touch PWNED; $(touch PWNED) `touch PWNED` \"&"


@pytest.mark.parametrize("kind", BACKENDS)
def test_names_and_directories_are_never_run(kind: str, tmp_path: Path) -> None:
    tools, directory = tmp_path / "tools", tmp_path / EVIL
    directory.mkdir()
    tools.mkdir()
    for name in STUBS:
        (tools / name).write_text("#!/bin/sh\nexit 0\n")
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    transport = Shell(env=env, host=Host(name="web1"), cwd=directory)
    text = {
        name: EVIL
        for name, field in BACKENDS[kind].Options.model_fields.items()
        if field.annotation is str and name not in ("command", "host", "api")
    }
    restarter = backend(kind, transport, name=EVIL, directory=str(directory), options=text)
    for call in CALLS.values():
        with suppress(Refused):
            call(restarter)
    assert list(directory.iterdir()) == []
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"], ["bash", "--posix"]], ids=str)
def test_every_script_is_posix(kind: str, shell: list[str]) -> None:
    transport = Told(always=Result(State.DONE, 0))
    restarter = backend(kind, transport, port=8080, directory="/srv/gigz")
    for call in CALLS.values():
        with suppress(Refused):
            call(restarter)
    assert transport.asked
    for command in transport.asked:
        argv = [program(shell[0]), *shell[1:], "-n"]
        read = subprocess.run(argv, input=command.script, capture_output=True, text=True)
        assert (read.returncode, read.stderr) == (0, ""), command.script


def judged(text: str, ours: Callable[[Holder], bool] = lambda holder: holder.name == "api") -> str:
    """Why the port is not the service's; empty when it is."""
    identity = judge(sections(f"=== {SECTION}\n{text}"), 8080, UP, ours)
    assert identity.up is (identity.detail == UP.detail)
    return identity.detail.removeprefix(UP.detail).removeprefix("; ")


LOCAL, ELSEWHERE, ANY, ANY6 = "0100007F", "0500000A", "0" * 8, "0" * 32


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ("", "nothing listens"),
        (f"socket {LOCAL} 1\nholder 1 7,1 /x api", ""),
        (f"socket {LOCAL} 1\nholder 1 7,1 /x old", "held by process 7 (old)"),
        (f"socket {LOCAL} 1", "not permitted"),
        (f"socket {LOCAL} 1\nholder 1 7,1 /x old\nholder 1 8,1 /x api", ""),
        (f"socket {LOCAL} 1\nholder 1 7 / api\nsocket {LOCAL} 2\nholder 2 8 / old", "process 8"),
        (f"socket {LOCAL} 1\nholder 1 7 / api\nsocket {LOCAL} 2", "not permitted"),
        (f"socket {LOCAL} 1\nholder 1 7 / api\nsocket {ELSEWHERE} 2\nholder 2 8 / old", ""),
        (f"socket {ANY} 1\nholder 1 7 / api\nsocket {ELSEWHERE} 2\nholder 2 8 / old", "process 8"),
        (f"socket {LOCAL} 1\nholder 1 7 / api\nsocket {ANY6} 2\nholder 2 8 / old", "process 8"),
        ("nonsense\nholder 9 7 / api", "nothing listens"),
    ],
)
def test_only_a_port_that_was_seen_to_be_the_services_alone_is_proof(
    found: str, verdict: str
) -> None:
    said = judged(f"{found}\nsearched")
    assert verdict in said
    assert bool(verdict) is bool(said)
    assert "cannot tell" in judged(found), "a search that did not end has not seen all"


def test_a_service_that_is_down_is_not_asked_for_its_port() -> None:
    down = replace(UP, up=False)
    assert judge({}, 8080, down, lambda _: True) == down
    assert not judge({}, 8080, UP, lambda _: True).up
    assert judge({}, None, UP, lambda _: False) == UP
    assert scan(None) == ""


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_the_holder_of_a_port_is_found_with_no_more_than_a_busybox(
    shell: str, tmp_path: Path
) -> None:
    inside: tuple[str, ...] = ()
    env = {"PATH": "/usr/bin:/bin"}
    if shell == "busybox":
        subprocess.run([program("busybox"), "--install", "-s", str(tmp_path)], check=True)
        inside, env = (str(tmp_path / "env"), "-i", f"PATH={tmp_path}"), {"PATH": str(tmp_path)}
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        transport = Shell(env=env, inside=inside)
        result = transport.run(model.Command(scan(port)))
    found = sections(result.stdout)
    mine = judge(found, port, UP, lambda holder: holder.descends_from([os.getpid()]))
    parents = judge(found, port, UP, lambda holder: holder.descends_from([os.getppid()]))
    nobodys = judge(found, port, UP, lambda _: False)
    assert mine == parents == UP
    assert f"held by process {os.getpid()} (" in nobodys.detail


def test_processes_count_within_their_control_group_and_below() -> None:
    holder = Holder((7, 1), ("/system.slice/api.service/worker",), "api")
    assert holder.within("/system.slice/api.service")
    assert not holder.within("/system.slice/api")
    assert not holder.within("/system.slice/other.service")


@pytest.mark.parametrize(
    ("words", "pid", "uptime"),
    [
        ("pid 12, uptime 0:00:05", 12, 5),
        ("pid 12, uptime 1 day, 2:03:04", 12, 93784),
        ("pid 12, uptime 10 days, 0:00:00", 12, 864000),
        ("Exited too quickly (process log may have details)", None, None),
        ("", None, None),
    ],
)
def test_supervisors_words_are_read(words: str, pid: int | None, uptime: float | None) -> None:
    row = Row("gigz-api", "RUNNING", words)
    assert (row.pid, row.uptime) == (pid, uptime)


NOWHERE = {"host": "none://"}  # no Engine answers there


@pytest.mark.parametrize(
    ("kind", "variable", "own"),
    [
        ("pm2", "PM2_HOME", {"home": "/srv/.pm2"}),
        ("docker-compose", "COMPOSE_FILE", {"files": ("a.yaml",), **NOWHERE}),
        ("docker-compose", "COMPOSE_PROJECT_NAME", {"project": "a", **NOWHERE}),
        ("docker-compose", "COMPOSE_PROFILES", {"command": "compose --profile web", **NOWHERE}),
        ("docker-compose", "COMPOSE_ENV_FILES", {"command": "compose --env-file a", **NOWHERE}),
        ("docker", "DOCKER_CONTEXT", NOWHERE),
        ("docker-compose", "DOCKER_CONTEXT", NOWHERE),
        ("docker", "DOCKER_HOST", NOWHERE),
    ],
)
def test_the_shell_of_the_operator_does_not_say_which_service_is_meant_here(
    kind: str, variable: str, own: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another operator's would say another one; where the inventory says it, all mean the same."""
    monkeypatch.setenv(variable, "/elsewhere")
    asked = Result(State.FAILED, reason="asked")
    for connection, options in (("local", {}), ("local", own), ("ssh", {})):
        told = Told(host=Host(name="one", connection=connection), always=asked)
        seen = backend(kind, told, options=options).identity()
        assert (f"unset {variable}" in seen.detail) is (connection == "local" and not options)
        assert seen.runs is None
