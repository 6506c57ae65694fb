"""What the Docker Engine and both Compose versions do, and what their exit codes hide."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import sample_app
from support.dockerd import DockerEngine, unique_name
from support.ports import free_port
from support.sample_app import Behaviour
from support.wait import eventually


def test_a_container_of_the_service_becomes_healthy_and_unhealthy(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    with _container(docker_engine, tmp_path, "healthy") as name:
        docker_engine.wait_state(name, "Health.Status", "healthy")
        docker_engine.docker("kill", "-s", "STOP", name)
        docker_engine.wait_state(name, "Health.Status", "unhealthy")


def test_a_crash_loop_raises_the_restart_count(docker_engine: DockerEngine, tmp_path: Path) -> None:
    with _container(docker_engine, tmp_path, "crash-at-start") as name:
        eventually(lambda: docker_engine.inspect(name)["RestartCount"] >= 2, every=0.15)


def test_a_first_process_without_a_sigterm_handler_is_killed_only_after_the_grace_time(
    docker_engine: DockerEngine,
) -> None:
    name = unique_name("sleeper")
    docker_engine.run(docker_engine.python_image, "sleep", "600", options=["--name", name])
    began = time.monotonic()
    docker_engine.docker("stop", "-t", "1", name)
    assert time.monotonic() - began >= 1.0
    assert docker_engine.state(name, "ExitCode") == 137
    docker_engine.docker("rm", name)


@dataclass
class Project:
    """A Compose project of the sample service."""

    engine: DockerEngine
    version: str
    name: str
    directory: Path
    port: int

    def build(self, release: str) -> None:
        self.engine.build_app(self.name, self.directory, self.port, release)

    def compose(self, *arguments: str) -> None:
        self.engine.compose(self.version, self.directory, "-p", self.name, *arguments)

    def containers(self) -> list[str]:
        label = f"label=com.docker.compose.project={self.name}"
        return self.engine.docker("ps", "-aq", "--filter", label).split()

    def running_image(self) -> str:
        return str(self.engine.inspect(self.containers()[0])["Image"])

    def tagged_image(self) -> str:
        return str(self.engine.inspect(self.engine.image(self.name))["Id"])


@pytest.fixture(scope="module", params=[pytest.param("v1", marks=pytest.mark.matrix), "v2"])
def project(
    docker_engine: DockerEngine,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Project]:
    version, directory = str(request.param), tmp_path_factory.mktemp("project")
    found = Project(docker_engine, version, unique_name(version), directory, free_port())
    found.build("1")
    service = {"image": docker_engine.image(found.name), "network_mode": "host"}
    content = {"version": "3", "services": {"api": service}}
    (directory / "docker-compose.yml").write_text(json.dumps(content))
    found.compose("up", "-d")
    try:
        yield found
    finally:
        found.compose("down", "-t", "0")


def test_compose_restart_does_not_deploy_a_rebuilt_image_but_up_does(project: Project) -> None:
    sample_app.wait_healthy("127.0.0.1", project.port, release="1")
    project.build("2")
    project.compose("restart", "-t", "1")
    assert sample_app.wait_healthy("127.0.0.1", project.port)["release"] == "1"
    assert project.running_image() != project.tagged_image()
    project.compose("up", "-d")
    sample_app.wait_healthy("127.0.0.1", project.port, release="2")
    assert project.running_image() == project.tagged_image()


def test_both_compose_versions_label_their_containers_alike(project: Project) -> None:
    (container,) = project.containers()
    labels = project.engine.inspect(container)["Config"]["Labels"]
    prefix = "com.docker.compose."
    assert labels[prefix + "project"] == project.name
    assert labels[prefix + "service"] == "api"
    assert labels[prefix + "oneoff"] == "False"
    assert labels[prefix + "project.working_dir"] == str(project.directory)
    assert labels[prefix + "project.config_files"].endswith("docker-compose.yml")


@contextmanager
def _container(engine: DockerEngine, directory: Path, behaviour: Behaviour) -> Iterator[str]:
    name = unique_name(behaviour)
    image = engine.build_app(name, directory, free_port(), behaviour=behaviour)
    engine.run(image, options=["--name", name, "--restart", "always"])
    try:
        yield name
    finally:
        engine.docker("rm", "-f", name)
