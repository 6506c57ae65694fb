"""Deploys of an application under PM2, which keeps where it was first started."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.git_origin import GitOrigin
from support.guard import guard
from support.ports import free_port
from support.tools import SYSTEM_PATH, node_program
from support.wait import eventually
from support.yard import Yard

APP = """
const http = require("http");
const version = require("fs").readFileSync(__dirname + "/RELEASE", "utf8");
http.createServer((request, response) => response.end(version)).listen(PORT, "127.0.0.1");
"""


class Site:
    """A PM2 of the test's own on this machine, and a project that deploys to it by releases."""

    def __init__(self, directory: Path, yard: Yard) -> None:
        self.yard = yard
        self.directory = directory / "srv"
        self.directory.mkdir()
        self.port = free_port()
        self.origin = GitOrigin(directory / "git")
        node = shutil.which("node")
        assert node
        path = os.pathsep.join([str(Path(node_program("pm2")).parent), str(Path(node).parent)])
        self.env = {"PM2_HOME": str(directory / "pm2"), "HOME": str(directory)}
        self.env["PATH"] = os.pathsep.join([path, SYSTEM_PATH])
        self.service = {"name": "api", "backend": "pm2", "home": self.env["PM2_HOME"]}
        self.service |= {"path": path, "directory": str(self.directory / "current")}
        self.release("1")

    def release(self, version: str) -> None:
        """Another version in the working copy, pushed."""
        files = {
            "app.js": APP.replace("PORT", str(self.port)),
            "RELEASE": version,
            "ecosystem.config.js": 'module.exports = {apps: [{name: "api", script: "app.js"}]};\n',
        }
        for name, text in files.items():
            (self.origin.copy / name).write_text(text)
        self.origin.git("add", "-A")
        self.origin.git("commit", "-q", "--allow-empty", "-m", f"Version {version}")
        self.origin.push()

    def deploys(self, *steps: dict[str, Any], **service: Any) -> None:
        source = {"repository": str(self.origin.copy), "strategy": "releases", "keep": 2}
        self.yard.inventory(
            service={**self.service, "port": self.port, **service},
            source={**source, "directory": str(self.directory)},
        )
        self.yard.runbook(
            {"name": "Update", "update": {}, "on": "web"},
            *steps,
            settle=[
                {"name": "Restart", "restart": {"within": "60s"}, "on": "web"},
                {"name": "Prove it", "verify": "all"},
            ],
        )

    def pm2(self, text: str) -> None:
        done = subprocess.run(
            ["sh", "-c", text], env=self.env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def answer(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=30) as answer:
            return str(answer.read().decode())

    def serves(self, version: str) -> bool:
        return bool(eventually(lambda: self.answer == version, saying=f"version {version}"))


@pytest.fixture
def site(bed_directory: Path, yard: Yard) -> Iterator[Site]:
    site = Site(bed_directory, yard)
    token = guard.add(["env", *(f"{k}={v}" for k, v in site.env.items()), "pm2", "kill"])
    yield site
    site.pm2("pm2 kill")
    guard.remove(token)


def test_an_application_that_pm2_keeps_in_the_old_release_is_refused_until_it_is_not(
    site: Site,
) -> None:
    """`pm2 start` below `current` keeps the directory that the link led to."""
    step = {"name": "Nothing", "wait": {"for": "0s"}}
    site.yard.runbook(step, settle=[])
    site.deploys()
    said = site.yard.deploy()
    assert said.code == 3, said.out
    assert "PM2's daemon does not run here: `ecosystem` would start it" in said.out

    live = site.directory / "current"
    (site.directory / "releases" / "0-0000000").mkdir(parents=True)
    shutil.copytree(site.origin.copy, site.directory / "releases" / "0-0000000", dirs_exist_ok=True)
    live.symlink_to("releases/0-0000000")
    site.pm2(f"cd {live} && pm2 start app.js --name api")
    assert site.serves("1")
    site.release("2")
    said = site.yard.deploy()
    assert said.code == 3, said.out
    assert f"it would run from {site.directory}/releases/0-0000000 again" in said.out
    assert f"`cwd: {live}`" in said.out
    assert site.serves("1")

    site.pm2(f"cd / && pm2 delete api && pm2 start {live}/app.js --name api --cwd {live}")
    assert site.serves("1")
    said = site.yard.deploy()
    assert said.code == 0, said.out
    assert site.serves("2")


def test_an_application_is_made_anew_from_its_file_and_what_it_runs_from_stays(site: Site) -> None:
    """The file says no directory, so PM2 keeps the one that the link led to: each release has
    the application made anew there, and so has the way back."""
    site.deploys(ecosystem="ecosystem.config.js")
    for version in ("1", "2"):
        site.release(version)
        said = site.yard.deploy()
        assert said.code == 0, said.out
        assert site.serves(version)

    beside = next((site.directory / "releases").glob("1-*"))
    process = subprocess.Popen(["sleep", "600"], cwd=beside)
    try:
        site.release("3")
        site.deploys(
            {"name": "Fail", "run": "exit 3", "undo": "true", "on": "web"},
            ecosystem="ecosystem.config.js",
        )
        said = site.yard.deploy()
        assert said.code == 4, said.out
        assert site.serves("2")
        assert beside.is_dir(), "something still runs from it"
    finally:
        process.kill()
        process.wait()
