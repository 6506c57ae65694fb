"""The docker and docker-compose backends on a real Docker Engine."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backout.errors import Refused
from backout.model import Host, Identity, Service, State
from backout.restarters import containers
from backout.restarters.docker import Docker, DockerOptions
from backout.restarters.docker_compose import ComposeOptions, DockerCompose
from support import sample_app
from support.dockerd import DockerEngine, unique_name
from support.ports import free_port
from support.sample_app import Behaviour
from support.tools import SYSTEM_PATH
from support.transports import Shell
from support.wait import eventually

HOSTS = {"sdk": Host(name="here", connection="local"), "command": Host(name="web1")}


@dataclass
class Bed:
    """The sample service as a container; `where` says who reads from the Engine."""

    engine: DockerEngine
    directory: Path
    where: str
    name: str = field(default_factory=lambda: unique_name("gigz-api"))
    port: int = field(default_factory=free_port)

    def start(self, behaviour: Behaviour = "healthy", *options: str) -> None:
        image = self.engine.build_app("gigz", self.directory, self.port, "1", behaviour)
        self.engine.run(image, options=["--name", self.name, "--restart", "always", *options])

    def restarter(self, name: str = "", port: int | None = None) -> Docker:
        options = DockerOptions(host=self.engine.host, grace=1)
        service = Service(name=name or self.name, backend="docker", port=port, options=options)
        return Docker(service, Shell(env=self.engine.environment, host=HOSTS[self.where]))


@pytest.fixture(params=HOSTS)
def bed(
    docker_engine: DockerEngine, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Bed]:
    bed = Bed(docker_engine, tmp_path, request.param)
    yield bed
    docker_engine.docker("rm", "-f", bed.name, check=False)


def up(restarter: containers.Containers) -> Identity:
    identity = eventually(lambda: (seen := restarter.identity()).up and seen, saying="up")
    assert identity
    return identity


def test_a_restart_changes_the_identity_and_looking_does_not(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter(port=bed.port)
    before = up(restarter)
    assert restarter.identity().value == before.value
    assert before.uptime is not None
    assert -1 < before.uptime < 600

    assert restarter.restart("run.restart").state is State.DONE

    after = up(restarter)
    assert after.value != before.value
    assert after.restarts == 0
    assert "healthy" in after.detail


def test_a_container_is_up_only_when_its_health_check_says_so(bed: Bed) -> None:
    bed.start("error-500")
    restarter = bed.restarter()
    eventually(lambda: "(unhealthy)" in restarter.identity().detail, saying="unhealthy")
    identity = restarter.identity()
    assert (identity.up, identity.known) == (False, True)
    assert identity.value, "it runs, after all"


def test_a_crash_loop_is_counted(bed: Bed) -> None:
    bed.start("crash-at-start")
    restarter = bed.restarter()
    eventually(lambda: (restarter.identity().restarts or 0) >= 2, saying="restarts by itself")
    assert not restarter.identity().up
    assert "boom: release 1 cannot start" in restarter.logs(20)


def test_a_first_process_without_a_sigterm_handler_is_killed_after_its_grace(bed: Bed) -> None:
    bed.start("ignore-sigterm", "--stop-timeout", "600")
    restarter = bed.restarter()
    before = up(restarter)
    result = restarter.restart("run.restart")
    assert result.state is State.DONE
    assert result.seconds >= 1
    assert up(restarter).value != before.value


def test_an_orphan_that_holds_the_port_is_not_the_service(bed: Bed) -> None:
    code = sample_app.write(bed.directory / "orphan")
    with sample_app.run(code, "127.0.0.1", bed.port) as orphan:
        sample_app.wait_healthy("127.0.0.1", bed.port)
        bed.start("never-bind", "--no-healthcheck")
        assert up(bed.restarter()).value
        identity = bed.restarter(port=bed.port).identity()
        assert not identity.up
        assert f"held by process {orphan.pid} (" in identity.detail


def test_a_restart_does_not_hide_that_the_image_is_an_old_one(bed: Bed) -> None:
    bed.start()
    bed.engine.build_app("gigz", bed.directory, bed.port, "2")
    restarter = bed.restarter()
    assert restarter.restart("run.restart").state is State.DONE
    assert "not the image that" in restarter.identity().detail


def test_a_container_whose_image_has_lost_its_name_is_seen_all_the_same(bed: Bed) -> None:
    """As after the way back of a first deploy by `strategy: image`."""
    bed.start()
    up(bed.restarter())
    bed.engine.docker("rmi", "-f", bed.engine.inspect(bed.name)["Config"]["Image"])
    assert bed.restarter().identity().up


def test_a_container_that_goes_when_it_ends_needs_to_be_made(docker_engine: DockerEngine) -> None:
    """`docker run --rm`: stopped for another image, it is gone before it can be removed."""
    engine, name = docker_engine, unique_name("passing")
    tag = f"{name}:now"
    run = f"docker run -d --rm --name {name} --network host --init {tag} sleep 600"

    def restarter(create: str = "") -> Docker:
        options = DockerOptions(host=engine.host, grace=1, create=create)
        service = Service(name=name, backend="docker", options=options)
        return Docker(service, Shell(env=engine.environment, host=HOSTS["command"]))

    try:
        engine.docker("tag", engine.python_image, tag)
        assert restarter(run).restart("run.first").state is State.DONE
        before = up(restarter(run))
        assert not before.obstacle
        assert "removed when it ends (--rm)" in restarter().identity().obstacle
        assert restarter(run).restart("run.again").state is State.DONE
        engine.docker("commit", "-m", "another", name, tag)

        result = restarter(run).restart("run.another")

        assert result.state is State.DONE, result.stderr
        after = up(restarter(run))
        assert after.images != before.images
        assert not after.outdated
    finally:
        engine.docker("rm", "-f", name, check=False)
        engine.docker("rmi", "-f", tag, check=False)


def test_another_image_is_another_definition(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter()
    before = restarter.definition()["images"] or ""
    assert "/gigz sha256:" in before
    assert restarter.restart("run.restart").state is State.DONE
    assert restarter.definition()["images"] == before
    bed.engine.docker("rm", "-f", bed.name)
    assert restarter.definition() == {"images": None}


def test_with_sudo_nothing_but_docker_and_ls_is_asked_for(
    docker_engine: DockerEngine, tmp_path: Path
) -> None:
    """A rule for these is enough: no shell runs as root."""
    bed = Bed(docker_engine, tmp_path, "command")
    sudo, asked = tmp_path / "bin" / "sudo", tmp_path / "asked"
    sudo.parent.mkdir()
    sudo.write_text(f'#!/bin/sh\nshift; echo "$1" >> {asked}; exec "$@"\n')
    sudo.chmod(0o755)
    env = {**docker_engine.environment, "PATH": f"{sudo.parent}:/usr/local/bin:{SYSTEM_PATH}"}
    options = DockerOptions(host=docker_engine.host, grace=1, sudo=True)
    service = Service(name=bed.name, backend="docker", port=bed.port, options=options)
    restarter = Docker(service, Shell(env=env, host=HOSTS["command"]))
    try:
        bed.start()
        before = up(restarter)
        assert restarter.restart("run.restart").state is State.DONE
        assert up(restarter).value != before.value
        restarter.logs(5)
    finally:
        docker_engine.docker("rm", "-f", bed.name, check=False)
    assert set(asked.read_text().split()) == {"docker", "ls"}


def test_an_unknown_container_is_not_known(bed: Bed) -> None:
    restarter = bed.restarter("nobody")
    identity = restarter.identity()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail == "the Engine has no container of nobody"
    assert restarter.restart("run.restart").state is State.FAILED
    assert restarter.find() == ()


def test_stopping_is_repeatable_and_restarting_starts_again(bed: Bed) -> None:
    bed.start()
    restarter = bed.restarter()
    assert restarter.find() == ({"backend": "docker", "name": bed.name},)
    assert restarter.stop("run.stop").state is State.DONE
    assert restarter.stop("run.stop").state is State.DONE
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)
    restarter.restart("run.restart")
    assert up(restarter).value


# The SDK leaves a socket that it could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("where", HOSTS)
def test_an_engine_that_does_not_answer_is_an_answer(where: str, tmp_path: Path) -> None:
    options = DockerOptions(host=f"unix://{tmp_path}/docker.sock")
    service = Service(name="gigz-api", backend="docker", options=options)
    identity = Docker(service, Shell(host=HOSTS[where])).identity()
    gc.collect()
    assert (identity.up, identity.known) == (False, False)
    assert identity.detail


def test_an_sdk_that_would_look_at_another_engine_than_docker_changes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before 7.2 it knows no contexts: it looked at this machine while docker was elsewhere."""
    monkeypatch.delattr("docker.from_context")
    service = Service(name="gigz-api", backend="docker", options=DockerOptions())
    with pytest.raises(Refused, match="does not know the context that docker is in") as caught:
        Docker(service, Shell()).identity()
    assert caught.value.next == "pip install --upgrade 'backout[docker]'"


def test_the_missing_sdk_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    service = Service(name="gigz-api", backend="docker", options=DockerOptions())
    with pytest.raises(Refused) as caught:
        Docker(service, Shell()).identity()
    assert caught.value.next == "pip install 'backout[docker]'"


@dataclass
class Project:
    """The sample service in a Compose project, called through one version of Compose."""

    engine: DockerEngine
    version: str
    directory: Path
    where: str
    name: str = field(default_factory=lambda: unique_name("project"))
    port: int = field(default_factory=free_port)

    def write(self, release: str, variable: str = "") -> None:
        image = self.engine.build_app(self.name, self.directory, self.port, release)
        api = {
            "image": image,
            "network_mode": "host",
            "environment": {"VARIABLE": variable},
            "depends_on": ["database"],
        }
        database = {
            "image": self.engine.python_image,
            "network_mode": "host",
            "command": ["sleep", "600"],
            "stop_grace_period": "1s",
        }
        text = json.dumps({"version": "3.3", "services": {"api": api, "database": database}})
        (self.directory / "docker-compose.yml").write_text(text)

    def restarter(
        self, name: str = "api", port: int | None = None, *, named: bool = True
    ) -> DockerCompose:
        options = ComposeOptions(
            host=self.engine.host,
            grace=1,
            project=self.name if named else "",
            command=" ".join(self.engine.compose_versions[self.version]),
        )
        service = Service(
            name=name,
            backend="docker-compose",
            directory=str(self.directory),
            port=port,
            options=options,
        )
        transport = Shell(env=self.engine.environment, host=HOSTS[self.where])
        return DockerCompose(service, transport)

    def healthy(self, release: str) -> None:
        sample_app.wait_healthy("127.0.0.1", self.port, release=release)


@pytest.fixture(
    params=[
        pytest.param(("v1", "sdk"), id="v1-sdk", marks=pytest.mark.matrix),
        pytest.param(("v2", "command"), id="v2-command"),
    ]
)
def project(
    docker_engine: DockerEngine, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Project]:
    version, where = request.param
    project = Project(docker_engine, version, tmp_path, where)
    project.write("1")
    yield project
    docker_engine.compose(version, tmp_path, "-p", project.name, "down", "-t", "1", check=False)


def test_a_missing_container_is_made_with_what_it_depends_on(project: Project) -> None:
    restarter = project.restarter(port=project.port)
    assert not restarter.identity().known
    assert restarter.restart("run.first").state is State.DONE
    assert up(restarter).value
    assert up(project.restarter("database")).value
    project.healthy("1")


def test_what_has_not_changed_is_restarted_and_its_dependencies_are_not(project: Project) -> None:
    restarter = project.restarter()
    restarter.restart("run.first")
    before, database = up(restarter), project.restarter("database").identity()

    assert restarter.restart("run.second").state is State.DONE

    after = up(restarter)
    assert after.value != before.value
    assert after.value.split(".")[0] == before.value.split(".")[0], "the same container"
    assert project.restarter("database").identity().value == database.value


def test_a_rebuilt_image_is_not_only_restarted(project: Project) -> None:
    restarter = project.restarter()
    restarter.restart("run.first")
    before = up(restarter)
    project.write("2")
    assert "not the image that" in restarter.identity().detail

    assert restarter.restart("run.second").state is State.DONE

    after = up(restarter)
    assert after.value.split(".")[0] != before.value.split(".")[0], "another container"
    assert "not the image that" not in after.detail
    project.healthy("2")


def test_a_changed_configuration_is_not_only_restarted(project: Project) -> None:
    restarter = project.restarter()
    restarter.restart("run.first")
    before = up(restarter)
    project.write("1", variable="changed")
    assert restarter.restart("run.second").state is State.DONE
    assert up(restarter).value.split(".")[0] != before.value.split(".")[0]


def test_a_stopped_service_is_started(project: Project) -> None:
    restarter = project.restarter()
    restarter.restart("run.first")
    assert restarter.stop("run.stop").state is State.DONE
    identity = restarter.identity()
    assert (identity.up, identity.value, identity.known) == (False, "", True)
    assert restarter.restart("run.second").state is State.DONE
    assert up(restarter).value


def test_a_project_is_found_by_its_directory(project: Project) -> None:
    project.restarter().restart("run.first")
    found = {
        "backend": "docker-compose",
        "name": "api",
        "directory": str(project.directory),
        "project": project.name,
    }
    assert project.restarter(named=False).find() == (found,)
    assert up(project.restarter(named=False)).value


def test_an_unknown_service_is_not_known(project: Project) -> None:
    restarter = project.restarter("nobody")
    assert not restarter.identity().known
    assert restarter.restart("run.restart").state is State.FAILED
    assert restarter.logs(10) == ""


def test_a_compose_file_and_the_images_are_the_definition(project: Project) -> None:
    project.write("1")
    restarter = project.restarter()
    assert restarter.restart("run.restart").state is State.DONE
    before = restarter.definition()
    assert f"/{project.name} sha256:" in (before["images"] or "")
    assert restarter.definition() == before
    project.write("1", "another")
    after = restarter.definition()
    assert after["images"] == before["images"]
    assert after["compose"] != before["compose"]
    assert "# docker-compose.yml" in (after["compose"] or "")
