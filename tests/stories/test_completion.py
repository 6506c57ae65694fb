"""Words completed at the press of Tab, in the shells themselves."""

from __future__ import annotations

import os
import pty
import resource
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.commands.completion import SHELLS, script
from backout.project.completing import groups_of, keys_of
from support.project import Project
from support.tools import program
from support.yard import Yard

PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A target that was deployed to, one below a folder, and one that extends it."""
    with Yard(tmp_path_factory.mktemp("yard")) as yard:
        yard.runbook(yard.step("one"))
        yard.runbook(yard.step("two"), name="user-fix")
        yard.good_release()
        api = {"hosts": {"web1": {"address": "203.0.113.1", "groups": ["web"]}, "web2": "x"}}
        yard.project.inventory("eu/api", {**api, "checks": {"alive": {"http": "http://x/"}}})
        yard.project.inventory("next", {"extends": "eu/api", "checks": {"again": {}}})
        yield yard.project


def newest(project: Project) -> str:
    run: str = project.say("history", "--json").data["runs"][0]["run"]
    return run


ASKED = [
    ("backout dep", {"deploy"}),
    ("backout alert.", {"alert.ack", "alert.list", "alert.silence"}),
    ("backout deploy --ta", {"--target"}),
    ("backout deploy --target ", {"eu/api", "next", "prod"}),
    ("backout deploy --target=p", {"prod"}),
    ("backout deploy --target eu", {"eu/api"}),
    ("invoke run --target prod --runbook ", {"deploy", "user-fix"}),
    ("backout verify --target next --check ", {"alive", "again"}),
    ("backout deploy --target next --hosts ", {"web", "web1", "web2"}),
    ("backout deploy --target eu/api --hosts web1,web2", {"web1,web2"}),
    ("backout ssh --target eu/api web", {"web1", "web2"}),
    ("backout rollback --target prod --to ", {"1"}),
    ("backout completion ", {*SHELLS}),
    ("backout --help sta", {"status"}),
]


def bash(project: Project, line: str, env: dict[str, str]) -> set[str]:
    """What bash would offer for a line, asked of its completion function as readline does."""
    asked = f"""
    eval "$(cat script.bash)"
    COMP_LINE={line!r} COMP_POINT=${{#COMP_LINE}}
    COMP_WORDS=({line.replace("=", " = ")} {"''" if line.endswith(" ") else ""})
    COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
    _backout_complete "${{COMP_WORDS[0]}}" "${{COMP_WORDS[COMP_CWORD]}}" ""
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return ran(["bash", "--norc", "-c", asked], project, env)


def fish(project: Project, line: str, env: dict[str, str]) -> set[str]:
    return ran(
        [program("fish"), "--no-config", "-c", f"source script.fish; complete -C {line!r}"],
        project,
        env,
    )


def ran(argv: list[str], project: Project, env: dict[str, str]) -> set[str]:
    done = subprocess.run(
        argv, cwd=project.directory, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return {line for line in done.stdout.splitlines() if line}


@pytest.fixture(scope="module")
def env(project: Project) -> dict[str, str]:
    for shell in SHELLS:
        (project.directory / f"script.{shell}").write_text(script(shell) + "\n")
    path = f"{PROGRAMS}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(project.directory), "LC_ALL": "C.UTF-8", "TERM": "dumb"}


@pytest.mark.parametrize(("line", "offered"), ASKED)
def test_bash_completes(
    project: Project, env: dict[str, str], line: str, offered: set[str]
) -> None:
    # bash takes the word apart at `=`, and puts back what stood before it.
    assert bash(project, line, env) == offered


def test_every_option_of_a_verb_and_every_run_is_offered(
    project: Project, env: dict[str, str]
) -> None:
    assert bash(project, "backout exec --", env) == {
        *("--target", "--hosts", "--timeout", "--changes", "--yes", "--json"),
        *("--wait", "--break-freeze"),
    }
    assert newest(project) in bash(project, "backout show ", env)


def test_fish_completes(project: Project, env: dict[str, str]) -> None:
    for line, offered in ASKED:
        stem = line.rpartition(" ")[2].partition("=")[0] + "=" if "=" in line else ""
        assert fish(project, line, env) == {f"{stem}{each}" for each in offered}, line


def test_zsh_completes_at_its_prompt(project: Project, env: dict[str, str]) -> None:
    with Terminal([program("zsh"), "-f", "-i"], project.directory, env) as zsh:
        zsh.type("PS1=ready; source script.zsh; print lo''aded\n")
        zsh.wait("loaded")
        zsh.type("print -- --; backout deploy --target=eu\t")
        zsh.wait("--target=eu/api")
        zsh.type("\x15backout run --runbook us\t")
        zsh.wait("--runbook user-fix")


def test_tab_at_a_prompt_of_bash(project: Project, env: dict[str, str]) -> None:
    with Terminal(["bash", "--norc", "-i"], project.directory, env) as prompt:
        prompt.type("eval \"$(backout completion bash)\"; echo lo''aded\n")
        prompt.wait("loaded")
        prompt.type("backout deploy --target=eu\t--runbook u\t")
        prompt.wait("--target=eu/api")


def test_invoke_with_somebody_elses_tasks_is_completed_by_invoke(
    project: Project, env: dict[str, str], tmp_path: Path
) -> None:
    own = "from invoke import task\n@task\ndef brew(c):\n    pass\n@task\ndef bake(c):\n    pass\n"
    other = Project(tmp_path)
    shutil.copy(project.directory / "script.bash", tmp_path)
    (tmp_path / "tasks.py").write_text(own)
    assert bash(other, "invoke br", env) == {"brew"}


def test_a_press_of_tab_costs_little_and_leaves_nothing(
    project: Project, env: dict[str, str]
) -> None:
    before = sorted(path.name for path in project.state.iterdir())
    text = script("bash")
    call = text.partition("found=$(")[2].partition(' "$_backout_words"')[0]
    table = text.partition("_backout_words='")[2].partition("'")[0]
    bare = [sys.executable, "-S", "-E", "-c", ""]

    def costs(argv: list[str]) -> float:
        """Seconds of the processor."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=project.directory, env=env, check=True, capture_output=True)
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime

    for words in (["show", ""], ["deploy", "--target", "next", "--hosts", ""]):
        asked = ["sh", "-c", f'exec {call} "$@"', "sh", table, "backout", *words]
        times = [(costs(asked), costs(bare)) for _ in range(3)]
        press, python = map(min, zip(*times, strict=True))
        assert press < 10 * python, words
    assert sorted(path.name for path in project.state.iterdir()) == before


@pytest.mark.parametrize(
    "text",
    [
        "hosts:\n  web1: {address: x, groups: [web]}\n  # db0: no\n  db1:\n    address: y\n",
        "hosts: {web1: {address: x, groups: [web]}, db1: {address: y}}\n",
        "vars:\n  hosts: {no: 1}\nhosts:\n    'web1': {groups: [web]}\n\n    db1: {}\nchecks: {}\n",
        "hosts:\n  web1:\n    groups:\n    - web\n    - 'web'\n  db1: {}\n",
        "hosts: {\n  web1: {groups: [web]},\n  db1: {}\n}\nchecks:\n  no: {}\n",
    ],
)
def test_hosts_are_seen_however_they_are_written(text: str) -> None:
    lines = text.splitlines()
    assert ([*keys_of(lines, "hosts")], {*groups_of(lines)}) == (["web1", "db1"], {"web"})


class Terminal:
    """A shell at a prompt."""

    def __init__(self, argv: list[str], cwd: Path, env: dict[str, str]) -> None:
        self._fd, tail = pty.openpty()
        self._process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**env, "TERM": "xterm", "COLUMNS": "200"},
            stdin=tail,
            stdout=tail,
            stderr=tail,
            start_new_session=True,
        )
        os.close(tail)
        self.seen = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def wait(self, text: str, within: float = 60) -> None:
        """Read until the screen has shown that text."""
        limit = time.monotonic() + within
        while text not in self.seen:
            assert time.monotonic() < limit, self.seen
            if select.select([self._fd], [], [], 0.2)[0]:
                self.seen += os.read(self._fd, 65536).decode(errors="replace")
