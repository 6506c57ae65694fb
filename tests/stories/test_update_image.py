"""Images that change between two deploys, on a real Docker Engine, with both Composes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import sample_app
from support.dockerd import DockerEngine, unique_name
from support.git_origin import GitOrigin
from support.ports import free_port
from support.project import Project, Said
from support.sample_app import Behaviour

COMPOSE = (pytest.param("v1", marks=pytest.mark.matrix), "v2")


class Shop:
    """A service that is deployed by its image. Release 1 runs; nothing was deployed by us yet."""

    def __init__(self, engine: DockerEngine, directory: Path, how: str) -> None:
        self.engine = engine
        self.how = how
        self.port = free_port()
        self.name = unique_name("gigz")
        self.repository = engine.image(self.name)
        self.container = ""
        self.directory = directory / "srv"
        self.directory.mkdir()
        self.origin = GitOrigin(directory / "git")
        self.build("healthy")
        engine.docker("tag", f"{self.repository}:latest", f"{self.repository}:{self.commit()}")
        self.origin.push()
        self.project = Project(directory / "project", engine.environment)
        self.inventory()
        self.project.runbook("deploy", self.runbook())
        self.start()

    def build(self, behaviour: Behaviour) -> None:
        version = str(self.origin.version)
        self.engine.build_app(self.name, self.origin.copy, self.port, version, behaviour)

    def commit(self) -> str:
        return self.origin.commit(f"Release {self.origin.version}")

    def release(self, behaviour: Behaviour = "healthy") -> str:
        """Commit the next release and build its image, as a build server would; the name that
        the service is made from still means the release that runs."""
        latest = f"{self.repository}:latest"
        before = self.image_of(latest)
        self.origin.version += 1
        self.build(behaviour)
        commit = self.commit()
        self.engine.docker("tag", latest, f"{self.repository}:{commit}")
        self.engine.docker("tag", before, latest)
        return commit

    def start(self) -> None:
        if self.how == "docker":
            self.engine.docker(*self.create.split()[1:])
        else:
            api = {"image": self.repository, "network_mode": "host", "stop_grace_period": "1s"}
            text = json.dumps({"version": "3.3", "services": {"api": api}})
            (self.directory / "docker-compose.yml").write_text(text)
            self.compose("up", "-d")
        sample_app.wait_healthy("127.0.0.1", self.port, release="1")

    def stop(self) -> None:
        if self.how == "docker":
            self.engine.docker("rm", "-f", self.name, check=False)
        else:
            self.compose("down", "-t", "1")

    def compose(self, *words: str) -> None:
        self.engine.compose(self.how, self.directory, "-p", self.name, *words)

    @property
    def create(self) -> str:
        return f"docker run -d --network host --name {self.name} {self.repository}"

    @property
    def service(self) -> dict[str, Any]:
        shared = {"port": self.port, "grace": 1}
        if self.how == "docker":
            return {**shared, "name": self.name, "backend": "docker", "create": self.create}
        command = " ".join(self.engine.compose_versions[self.how])
        return {
            **shared,
            "name": "api",
            "backend": "docker-compose",
            "directory": str(self.directory),
            "project": self.name,
            "command": command,
        }

    def inventory(self, image: str = "{{ release.commit }}", **service: Any) -> None:
        data = {
            "hosts": {"web1": {"connection": "local"}},
            "service": {**self.service, **service},
            "source": {
                "repository": str(self.origin.copy),
                "strategy": "image",
                "image": f"{self.repository}:{image}",
                "keep": 2,
            },
            "rollout": {"soak": "300ms"},
            "checks": {
                "alive": {
                    "http": f"http://127.0.0.1:{self.port}/health",
                    "expect": ["status == 200"],
                    "retry": {"for": "15s", "every": "200ms"},
                }
            },
        }
        self.project.inventory("prod", data)

    @staticmethod
    def runbook(*more: dict[str, Any]) -> dict[str, Any]:
        return {
            "summary": "The image of this commit.",
            "steps": [{"name": "Update", "update": {}, "on": "all"}, *more],
            "settle": [
                {"name": "Restart", "restart": {"within": "60s"}, "on": "all"},
                {"name": "Prove it", "verify": "all"},
            ],
        }

    def deploy(self, *words: str) -> Said:
        return self.project.say("deploy", "--target", "prod", "--json", *words)

    def image_of(self, name: str) -> str:
        return str(self.engine.inspect(name)["Id"])

    @property
    def running(self) -> str:
        """The image that the service's container was made from."""
        return str(self.engine.inspect(self._container())["Image"])

    def _container(self) -> str:
        if self.how == "docker":
            return self.name
        label = f"label=com.docker.compose.project={self.name}"
        return self.engine.docker("ps", "-q", "--filter", label)

    @property
    def answering(self) -> str:
        health = sample_app.health("127.0.0.1", self.port)
        return health["release"] if health else ""


@pytest.fixture
def shop(
    docker_engine: DockerEngine, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Shop]:
    shop = Shop(docker_engine, tmp_path, getattr(request, "param", "v2"))
    yield shop
    shop.stop()


every = pytest.mark.parametrize(
    "shop",
    [*(pytest.param(each, marks=pytest.mark.matrix) for each in ("v1", "v2")), "docker"],
    indirect=True,
)


@every
def test_the_image_of_the_commit_is_what_runs_and_rolls_back(shop: Shop) -> None:
    first = shop.running
    assert shop.deploy().code == 0, "the image that runs already"
    assert shop.running == first
    commit = shop.release()
    said = shop.deploy()
    assert said.code == 0, said.out + said.err
    wanted = shop.image_of(f"{shop.repository}:{commit}")
    assert wanted != first
    assert shop.running == wanted == shop.image_of(f"{shop.repository}:latest")
    assert shop.answering == "2"

    said = shop.project.say("rollback", "--target", "prod", "--json")
    assert said.code == 0, said.out + said.err
    assert shop.running == first == shop.image_of(f"{shop.repository}:latest")
    assert shop.answering == "1"


@every
def test_a_bad_image_backs_out(shop: Shop) -> None:
    first = shop.running
    shop.release("crash-at-start")
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert said.data["outcome"] == "backed_out"
    assert shop.running == first
    assert shop.answering == "1"


@pytest.mark.parametrize("shop", COMPOSE, indirect=True)
def test_a_restart_alone_would_not_have_deployed_it(shop: Shop) -> None:
    commit = shop.release()
    shop.engine.docker("tag", f"{shop.repository}:{commit}", f"{shop.repository}:latest")
    shop.compose("restart", "-t", "1")
    assert sample_app.wait_healthy("127.0.0.1", shop.port)["release"] == "1"
    assert shop.deploy().code == 0
    assert shop.answering == "2"


def test_a_restart_that_brings_no_new_image_is_a_failure(shop: Shop) -> None:
    """A `command` that only restarts stands for a Compose that was told not to renew."""
    first = shop.running
    command = shop.directory / "compose"
    real = " ".join(shop.engine.compose_versions["v2"])
    script = f'case " $* " in *" up "*) exit 0 ;; esac\nexec {real} "$@"\n'
    command.write_text(f"#!/bin/sh\n{script}")
    command.chmod(0o755)
    shop.inventory(command=str(command))
    shop.release()
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    words = f"not the image that {shop.repository} names now"
    assert words in said.data["reason"]
    assert shop.running == first


def test_an_image_that_lost_every_name_is_come_back_to(shop: Shop) -> None:
    first = shop.running
    bad = shop.release("crash-at-start")
    for tag in shop.engine.inspect(first)["RepoTags"]:
        shop.engine.docker("tag", f"{shop.repository}:{bad}", tag)
    assert shop.engine.inspect(first)["RepoTags"] == []
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert shop.running == first


def test_what_ran_before_survives_pruning_and_only_so_many_are_kept(shop: Shop) -> None:
    seen = [shop.running]
    for _ in range(3):
        commit = shop.release()
        said = shop.deploy()
        assert said.code == 0, said.out + said.err
        seen.append(shop.running)
        shop.engine.docker("rmi", f"{shop.repository}:{commit}")
    listed = shop.engine.docker("images", "--format", "{{.Tag}}", shop.repository)
    assert len([tag for tag in listed.splitlines() if tag.startswith("backout-")]) == 2
    said = shop.project.say("rollback", "--target", "prod", "--json")
    assert said.code == 0, said.out + said.err
    assert shop.running == seen[-2]


def test_an_image_that_cannot_be_had_changes_nothing(shop: Shop) -> None:
    first = shop.running
    shop.inventory(image="never-built")
    said = shop.deploy()
    assert said.code == 4, said.out + said.err
    assert "Update failed: " in said.data["reason"]
    assert shop.running == first
    assert shop.answering == "1"


def test_a_service_that_is_made_from_another_name_is_refused(shop: Shop) -> None:
    compose = shop.directory / "docker-compose.yml"
    commit = shop.origin.head()
    other = f"{shop.repository}:{commit}"
    compose.write_text(compose.read_text().replace(f'"{shop.repository}"', f'"{other}"'))
    shop.compose("up", "-d")
    said = shop.deploy()
    assert said.code == 3, said.out + said.err
    assert said.data["error"]["what"] == (
        f"web1: Update: api is made from {other}, and update moves {shop.repository}:latest:"
        f" let it be made from {shop.repository}"
    )


@pytest.mark.parametrize("shop", ["docker"], indirect=True)
def test_a_container_that_nobody_can_make_anew_is_refused(shop: Shop) -> None:
    shop.inventory(create="")
    said = shop.deploy()
    assert said.code == 3
    assert said.data["error"]["what"] == (
        f"web1: Update: service.create is missing: how the container {shop.name} is made."
        " A restart cannot give a container another image"
    )


def test_a_first_deploy_makes_the_name_and_the_container(shop: Shop) -> None:
    shop.stop()
    shop.engine.docker("rmi", f"{shop.repository}:latest")
    said = shop.project.say("plan", "--target", "prod", "--verbose")
    assert f"docker rmi {shop.repository}:latest" in said.out
    said = shop.deploy()
    assert said.code == 0, said.out + said.err
    assert shop.answering == "1"
