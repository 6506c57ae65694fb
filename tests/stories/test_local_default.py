"""What is there after a clone: `deploy --target local` and `demo`, with nothing but Python and
git."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import UnhosedConfigParser

from backout.project.project import Workplace
from backout.starter import sample
from support import ports, warm
from support.project import Said
from support.tools import venv_program

ROOT = Path(__file__).parents[2]
AWKWARD = "Größe; 100 #1 ist Maß's"
"""A folder as people name them, with what begins a remark in supervisor's files."""
DEMONSTRATED = re.compile(r"All of it is in (.+); remove")


class Clone:
    """A fresh clone in which the local target listens on a port of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = ports.free_port()
        clone = ["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(directory)]
        subprocess.run(clone, check=True)
        local = directory / "inventories" / "local.yaml"
        text = local.read_text().replace("48080", str(self.port))
        local.write_text(text.replace("soak: 2s", "soak: 500ms"))

    def invoke(self, *words: str, program: str = "invoke") -> Said:
        env = {**self.env, **warm.about_python(os.environ)}
        return Said(*warm.run(words, self.directory, env, 150, (venv_program(program),)))

    @property
    def env(self) -> dict[str, str]:
        """Neither colours nor settings of whoever runs the tests, nor an identity for git.

        Temporary files have a long way to go, as in the folders that a CI gives its jobs.
        """
        kept = {"PATH": os.environ["PATH"]}
        home = self.directory.with_name("home")
        temporary = home / ("temporary-" * 12)
        temporary.mkdir(parents=True, exist_ok=True)
        return {**kept, "HOME": str(home), "NO_COLOR": "1", "TMPDIR": str(temporary)}

    @property
    def work(self) -> Path:
        return self.directory / ".backout" / "sample" / "work"

    def change(self, old: str, new: str) -> None:
        """Edit the sample application."""
        app = self.work / "app.py"
        assert old in app.read_text()
        app.write_text(app.read_text().replace(old, new))

    def health(self) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/health"
        with urllib.request.urlopen(url, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def answers(self) -> bool:
        return ports.accepts("127.0.0.1", self.port)

    def stop(self) -> None:
        sample.stop(self.directory / ".backout" / "sample")
        ports.release(self.port)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    folder = tmp_path / AWKWARD
    folder.mkdir()
    clone = Clone(folder / "my clone")
    try:
        yield clone
    finally:
        clone.stop()


def test_the_first_deploy_makes_the_sample_deploys_it_and_proves_it(clone: Clone) -> None:
    said = clone.invoke("deploy", "--target", "local", "--json")
    assert said.code == 0, said.out + said.err
    assert said.data["outcome"] == "succeeded"
    assert {row["name"] for row in said.data["checks"]} == {"alive", "greets"}
    assert clone.health()["status"] == "ok"
    status = clone.invoke("status", "--target", "local", "--json")
    assert status.code == 0, status.out + status.err
    assert not git_changes(clone), "the clone itself stays clean"
    # Whoever removes it begins again, whatever releases of the old one the journal has.
    sample.stop(clone.work.parent)
    shutil.rmtree(clone.work.parent)
    down = ("--accept-red", "alive", "--accept-red", "greets")
    again = clone.invoke("deploy", "--target", "local", "--json", *down)
    assert again.code == 0, again.out + again.err


@pytest.mark.parametrize("folder", [AWKWARD, "plain", '100 % "double" $HOME `x` \\ #'])
def test_supervisor_reads_the_interpreters_path_as_it_is(folder: str) -> None:
    word = sample.quoted(f"/home/me/{folder}/python")
    read = UnhosedConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    read.read_string(f"[program:x]\ncommand={word} app.py\n")
    command = read.saneget("program:x", "command", do_expand=True, expansions={})
    assert shlex.split(command) == [f"/home/me/{folder}/python", "app.py"]


def test_a_sample_whose_port_somebody_has_listens_elsewhere(clone: Clone) -> None:
    with socket.create_server(("127.0.0.1", clone.port)):
        said = clone.invoke("deploy", "--target", "local", "--json")
    assert said.code == 0, said.out + said.err
    port = sample.port(clone.directory / ".backout" / "sample")
    assert port not in (None, clone.port)
    assert Workplace(clone.directory).target("local").vars["port"] == port


def test_a_first_deploy_that_fails_leaves_nothing_running(clone: Clone) -> None:
    sample.ensure(clone.directory / ".backout" / "sample", clone.port)
    clone.change('STATUS = "ok"', 'STATUS = "degraded"')
    said = clone.invoke("deploy", "--target", "local", "--json")
    assert said.code == 4, said.out + said.err
    assert not clone.answers(), "it did not run before, so it does not run now"
    clone.change('STATUS = "ok"', 'STATUS = "ok"  # the bad commit was reverted')
    assert clone.invoke("deploy", "--target", "local", "--json").code == 0
    assert clone.health()["status"] == "ok"


@pytest.mark.matrix  # the demo tells nearly the same story each time
def test_a_bad_release_backs_itself_out_and_the_good_one_can_be_rolled_back(clone: Clone) -> None:
    assert clone.invoke("deploy", "--target", "local").code == 0
    clone.change('STATUS = "ok"', 'STATUS = "degraded"')
    bad = clone.invoke("deploy", "--target", "local", "--message", "Bad", "--json")
    assert bad.code == 4, bad.out + bad.err
    assert clone.health()["status"] == "ok"
    clone.change('STATUS = "ok"', 'STATUS = "ok"  # better')
    good = clone.invoke("deploy", "--target", "local", "--message", "Better", "--json")
    assert good.code == 0, good.out + good.err
    assert clone.invoke("rollback", "--target", "local", program="backout").code == 0
    assert clone.health()["status"] == "ok"
    running = (clone.directory / ".backout" / "sample" / "app" / "app.py").read_text()
    assert "# better" not in running


def test_the_demo_tells_its_story_and_exits_zero(clone: Clone) -> None:
    said = clone.invoke("demo")
    found = DEMONSTRATED.search(said.out)
    assert found, said.out + said.err
    directory = Path(found[1])
    try:
        assert said.code == 0, said.out + said.err
        for words in ("A good deploy", "A bad one", "What happened", "backed out"):
            assert words in said.out
        assert not (directory / ".backout" / "sample" / "supervisord.pid").exists()
    finally:
        sample.stop(directory / ".backout" / "sample")
        shutil.rmtree(directory)


def git_changes(clone: Clone) -> list[str]:
    done = subprocess.run(
        ["git", "status", "--porcelain"],
        cwd=clone.directory,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "inventories/local.yaml" not in line]
