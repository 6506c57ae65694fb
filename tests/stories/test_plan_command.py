"""`plan` tells what would happen, and changes nothing; `--offline`, it does not even ask."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A port at which somebody knocking is noticed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def knocked(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def host_at(server: socket.socket) -> dict[str, object]:
    return {"address": "127.0.0.1", "port": server.getsockname()[1], "groups": ["web"]}


STEPS = [
    {
        "name": "Move",
        "run": "mv {{ params.what }} b",
        "undo": "mv b {{ params.what }}",
        "on": "web",
    },
    {"name": "Put", "upload": {"from": "nowhere.txt", "to": "/srv/x"}, "on": "web"},
]


def test_offline_no_host_is_contacted_and_no_check_is_run(
    project: Project, nobody: socket.socket
) -> None:
    seen = project.directory / "seen"
    check = {"command": f"touch {seen}", "expect": ["exit_code == 0"]}
    project.inventory("prod", {"hosts": {"web1": host_at(nobody)}, "checks": {"look": check}})
    params = {"what": {"default": "a file"}}
    project.runbook("deploy", {"params": params, "preflight": [], "steps": STEPS})
    said = project.say("plan", "--target", "prod", "--offline", "--json")
    assert said.code == 0, said.out + said.err
    assert not knocked(nobody)
    assert not seen.exists()
    (batch,) = said.data["stages"][0]["batches"]
    move, put = batch["actions"]
    assert (move["does"], move["undo"]) == ("mv 'a file' b", "mv b 'a file'")
    assert put["does"] == "upload nowhere.txt to /srv/x"
    assert put["undo"].startswith("its own")
    assert said.data["next"] == "invoke deploy --target prod"
    assert "offline" in said.data["notes"][0]


def test_a_plan_that_would_be_refused_says_what_to_type_when_it_is_mended(
    project: Project, nobody: socket.socket
) -> None:
    project.inventory("prod", {"hosts": {"web1": {**host_at(nobody), "port": 1}}})
    project.runbook("ship", {"params": {"what": {}}, "steps": STEPS})
    words = ("--target", "prod", "--runbook", "ship", "--param", "what=a b")
    said = project.say("plan", *words)
    assert said.code == 3
    last = said.out.strip().splitlines()[-1]
    assert last == (
        "next:  mend what is refused above, then"
        " invoke plan --target prod --runbook ship --param 'what=a b'"
    )


def test_a_red_baseline_refuses_the_plan(project: Project) -> None:
    well = project.directory / "well"
    project.inventory(
        "here",
        {
            "hosts": {"web1": {"connection": "local"}},
            "checks": {"sick": {"command": f"test -e {well}", "expect": ["exit_code == 0"]}},
        },
    )
    project.runbook("deploy", {"steps": [{"run": "true", "readonly": True}]})
    assert project.say("plan", "--target", "here").code == 0, "no release yet: only recorded"
    well.touch()
    assert project.say("deploy", "--target", "here").code == 0
    well.unlink()
    said = project.say("plan", "--target", "here", "--json")
    assert said.code == 3
    assert "sick" in said.data["refused"][0]
    assert said.data["next"].endswith("invoke plan --target here")
    refused = project.say("deploy", "--target", "here")
    assert refused.code == 3
    assert refused.err.endswith("the same again, with --accept-red sick\n")


def test_a_directory_that_an_earlier_step_makes_is_no_reason_to_refuse_the_plan(
    project: Project,
) -> None:
    made = project.directory / "current"
    project.inventory("here", {"hosts": {"web1": {"connection": "local"}}, "vars": {"schema": 2}})
    inside = {"cwd": str(made), "on": "all"}
    steps = [
        {"run": f"mkdir -p {made}", "undo": f"rm -rf {made}", "on": "all"},
        {"name": "Migrate", "run": "touch two", "undo": "rm -f {{ vars.schema - 1 }}", **inside},
        {"name": "Forget", "run": "touch three", "irreversible": "gone", **inside},
    ]
    project.runbook("deploy", {"steps": steps})
    said = project.say("plan", "--target", "here", "--json")
    assert (said.code, said.data["refused"]) == (0, []), said.err
    (batch,) = said.data["stages"][0]["batches"]
    assert batch["actions"][1]["undo"] == "rm -f 1"
    assert project.say("deploy", "--target", "here", "--yes").code == 0
    assert (made / "two").exists()


def test_what_an_earlier_step_builds_may_be_uploaded(project: Project) -> None:
    """A binary that is built and copied, from a fresh checkout."""
    there = project.directory / "there"
    project.inventory("here", {"hosts": {"web1": {"connection": "local"}}})
    build = {"name": "Build", "run": "echo one > app", "undo": "rm -f app"}
    room = {"name": "Room", "run": f"mkdir -p {there}", "undo": ":", "on": "all"}
    put = {"name": "Put", "upload": {"from": "app", "to": str(there / "app")}, "on": "all"}
    fill = {"name": "Fill", "template": {"from": "app", "to": str(there / "t")}, "on": "all"}

    project.runbook("deploy", {"steps": [put, build, room]})
    for verb in ("plan", "deploy"):
        said = project.say(verb, "--target", "here")
        assert said.code == 3, "what comes later brings nothing"
        assert "web1: Put: app on this machine: No such file" in said.out + said.err
    assert not there.exists()

    project.runbook("deploy", {"steps": [build, room, put, fill]})
    for verb in ("plan", "deploy"):
        said = project.say(verb, "--target", "here")
        assert said.code == 0, said.out + said.err
    assert [(there / name).read_text() for name in ("app", "t")] == ["one\n", "one\n"]

    project.runbook("deploy", {"steps": [{**build, "run": "true"}, put]})
    (project.directory / "app").unlink()
    said = project.say("deploy", "--target", "here")
    assert (said.code, (there / "app").read_text()) == (4, "one\n"), "it was not built after all"


def test_what_a_plan_would_be_refused_for_is_told_as_the_deploy_tells_it(project: Project) -> None:
    project.inventory("here", {"hosts": {"web1": {"connection": "local"}}})
    put = {"name": "Put", "upload": {"from": "nowhere.txt", "to": "to.txt"}, "on": "all"}
    project.runbook("deploy", {"steps": [put]})
    (refused,) = project.say("plan", "--target", "here", "--json").data["refused"]
    assert refused.startswith("web1: Put: ")
    said = project.say("deploy", "--target", "here")
    assert said.code == 3
    assert refused in said.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("--accept-red", "aliv"),
            "--accept-red aliv: here has no check 'aliv'; its checks: alive",
        ),
        (("--ref", "v2"), "--ref v2: here has no source that it could be shipped from"),
    ],
    ids=["a check", "a ref"],
)
@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_what_there_is_not_is_no_choice(
    project: Project, verb: str, words: tuple[str, ...], told: str
) -> None:
    alive = {"command": "true", "expect": ["exit_code == 0"]}
    project.inventory(
        "here", {"hosts": {"web1": {"connection": "local"}}, "checks": {"alive": alive}}
    )
    project.runbook("deploy", {"steps": [{"run": "true", "readonly": True}]})
    said = project.say(verb, "--target", "here", *words)
    assert said.code == 2, said.out + said.err
    assert said.err.startswith(told)


def test_a_way_back_is_one_line_where_the_step_stands_and_in_full_below(
    project: Project, bed_directory: Path
) -> None:
    (project.directory / "from.txt").write_text("new")
    to = bed_directory / "to.txt"
    project.inventory("here", {"hosts": {"web1": {"connection": "local"}}})
    step = {"name": "Put", "upload": {"from": "from.txt", "to": str(to)}, "on": "all"}
    project.runbook("deploy", {"steps": [step]})
    line = f"    undo: put {to} back as it was [1]"
    outline = project.say("plan", "--target", "here").out
    assert line.removesuffix(" [1]") in outline.splitlines()
    assert "folder=" not in outline, "the undo's text"
    plan = project.say("plan", "--target", "here", "--verbose").out.splitlines()
    assert line in plan
    assert any(each.startswith("    folder=") for each in plan[plan.index("[1] undo of Put:") :])
    done = project.say("deploy", "--target", "here", "--json")
    assert done.code == 0, done.out + done.err
    assert line in project.say("show", done.data["run"]).out.splitlines()
