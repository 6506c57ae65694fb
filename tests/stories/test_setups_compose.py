"""Deploys of a Compose project that was started by hand, as people start them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.dockerd import DockerEngine, unique_name
from support.wait import eventually
from support.yard import Yard

SLEEP: dict[str, Any] = {"command": ["sleep", "600"], "network_mode": "host", "init": True}


class Project:
    """A Compose file in a subdirectory, and a project that deploys it on this machine."""

    def __init__(self, engine: DockerEngine, version: str, directory: Path, yard: Yard) -> None:
        self.engine = engine
        self.version = version
        self.yard = yard
        self.directory = directory / unique_name("srv")
        self.file = self.directory / "deploy" / "compose.yml"
        self.file.parent.mkdir(parents=True)
        self.write("1")
        yard.project.env |= {
            name: engine.environment[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG")
        }

    def write(self, mark: str, needs: tuple[str, ...] = (), **keys: Any) -> str:
        """The file as it is in one version; its text."""
        service = {"image": self.engine.python_image, **SLEEP}
        api = {**service, "environment": {"MARK": mark}, **keys}
        api |= {"depends_on": list(needs)} if needs else {}
        services = {"api": api, **dict.fromkeys(needs, service)}
        text = json.dumps({"version": "3.7", "services": services})
        self.file.write_text(text)
        return text

    def up(self, *words: str) -> None:
        self.compose("up", "-d", *words)

    def compose(self, *words: str) -> None:
        self.engine.compose(self.version, self.directory, "-f", "deploy/compose.yml", *words)

    def deploys(self, mark: str = "2", needs: tuple[str, ...] = (), **service: Any) -> None:
        """A runbook that brings another version of the file."""
        old = self.file.read_text()
        new = self.directory / "new.yml"
        new.write_text(self.write(mark, needs))
        self.file.write_text(old)
        self.yard.inventory(
            service={
                "name": "api",
                "backend": "docker-compose",
                "directory": str(self.directory),
                "files": ["deploy/compose.yml"],
                "command": " ".join(self.engine.compose_versions[self.version]),
                "grace": 1,
                **service,
            }
        )
        file = self.file
        self.yard.runbook(
            {
                "name": "Bring the file",
                "run": f"cp {file} {file}.old; cp {new} {file}",
                "undo": f"[ ! -e {file}.old ] || mv {file}.old {file}",
                "on": "web",
            },
            settle=[
                {"name": "Restart", "restart": {"within": "60s"}, "on": "web"},
                {"name": "Prove it", "verify": "all"},
            ],
        )

    def marks(self, service: str = "api") -> list[str]:
        """What the running containers of a service were made with."""
        label = f"label=com.docker.compose.service={service}"
        place = f"label=com.docker.compose.project.working_dir={self.file.parent}"
        ids = self.engine.docker("ps", "-q", "--filter", label, "--filter", place).split()
        found = [self.engine.inspect(id)["Config"]["Env"] or () for id in ids]
        return [next((word for word in env if word.startswith("MARK=")), "") for env in found]


@pytest.fixture(params=["v2", pytest.param("v1", marks=pytest.mark.matrix)])
def project(
    docker_engine: DockerEngine, bed_directory: Path, yard: Yard, request: pytest.FixtureRequest
) -> Iterator[Project]:
    yard.project.alone = True  # the SDK leaves a socket open for each Engine that is not there
    project = Project(docker_engine, request.param, bed_directory, yard)
    project.up()
    eventually(lambda: project.marks() == ["MARK=1"], saying="the first version")
    yield project
    project.compose("down", "-t", "0")


def test_a_file_in_a_subdirectory_is_its_project_there_and_back(project: Project) -> None:
    project.deploys()
    project.yard.inventory(
        checks={"red": {"command": f"test ! -e {project.file}.old", "expect": ["exit_code == 0"]}}
    )
    said = project.yard.deploy()
    assert said.code == 4, said.out
    assert project.marks() == ["MARK=1"], "it ran before, and runs again"

    project.deploys(host=f"unix://{project.directory}/nobody.sock")
    said = project.yard.deploy()
    assert said.code == 3, said.out
    assert "cannot tell whether api (docker-compose) runs" in said.out
    assert project.marks() == ["MARK=1"]


def test_new_dependencies_are_made_and_what_was_scaled_by_hand_stays(project: Project) -> None:
    project.up("--scale", "api=2")
    project.deploys("2", needs=("cache",))
    said = project.yard.deploy()
    assert said.code == 0, said.out
    assert project.marks() == ["MARK=2", "MARK=2"]
    assert project.marks("cache") == [""]


def test_a_project_that_is_named_after_where_a_link_leads_now_is_not_made_a_second_time(
    project: Project,
) -> None:
    """Each release would be a project of its own, and the old one would run on beside the new."""
    releases, current = project.directory / "releases", project.directory / "current"
    for number in ("41", "42"):
        (releases / number).mkdir(parents=True)
        (releases / number / "compose.yml").write_text(project.write(number))
    current.symlink_to(releases / "41")
    compose = project.engine.compose
    compose(project.version, current.resolve(), "up", "-d")

    def running() -> int:
        label = "label=com.docker.compose.service=api"
        ids = project.engine.docker("ps", "-q", "--filter", label).split()
        found = [project.engine.inspect(id)["Config"]["Labels"] for id in ids]
        place = "com.docker.compose.project.working_dir"
        return sum(str(project.directory) in label[place] for label in found)

    before = running()
    project.yard.inventory(state=str(project.directory / ".backout"))
    step = {
        "name": "Lead it to the new release",
        "run": f"ln -sfn {releases}/42 {current}",
        "undo": f"ln -sfn {releases}/41 {current}",
        "on": "web",
    }
    restart = {"name": "Restart", "restart": {"within": "60s"}, "on": "web"}
    try:
        project.deploys(directory=str(current), files=[])
        project.yard.runbook(step, settle=[restart])
        said = project.yard.deploy()
        assert said.code == 3, said.out
        assert f"Compose named its project after {releases}/41" in said.out
        assert "say `project: 41`" in said.out

        project.deploys(directory=str(current), files=[], project="41")
        project.yard.runbook(step, settle=[restart])
        said = project.yard.deploy()
        assert said.code == 0, said.out
        assert running() == before
    finally:
        compose(project.version, current.resolve(), "-p", "41", "down", "-t", "0")
