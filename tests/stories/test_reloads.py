"""Servers that bring new code without closing their port, and how that is proved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.dockerd import DockerEngine
from support.reloaded import Reloaded, packages
from support.slots import Asking
from support.systemd_host import SystemdBed


@pytest.fixture(scope="module")
def web(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reloaded]:
    directory = tmp_path_factory.mktemp("reloads")
    volumes = {str(place): str(place) for place in (directory, packages())}
    with (
        SystemdBed(docker_engine, directory / "bed", volumes=volumes) as bed,
        Reloaded(directory / "web", bed) as web,
    ):
        web.serve("gunicorn", begin=False)
        said = web.deploy()
        assert said.code == 0, said.out + said.err
        yield web


@pytest.mark.parametrize("how", ["gunicorn", "uvicorn", "socket"])
def test_the_new_release_answers_and_no_request_is_lost(web: Reloaded, how: str) -> None:
    web.serve(how)
    before, main, after = web.now(), web.main(), web.ship()
    again = how == "uvicorn"  # it closes what has connected and not asked yet
    with Asking(lambda: web.now() or (web.now() if again else "")) as asking:
        said = web.deploy()
        assert said.code == 0, said.out + said.err
    assert (asking.failed, asking.releases[0], asking.releases[-1]) == (0, before, after)
    assert (web.main() == main) == (how != "socket")


def test_new_workers_that_still_serve_the_old_code_are_never_green(web: Reloaded) -> None:
    web.serve("preloaded")
    before = web.now()
    web.ship()
    with Asking(web.now) as asking:
        said = web.deploy()
        assert said.code == 4, said.out + said.err
    assert "`prove` does not succeed (exit 1)" in said.out
    assert (asking.failed, asking.releases) == (0, [before])


def test_what_cannot_be_reloaded_is_refused(web: Reloaded) -> None:
    web.serve("gunicorn")
    web.host.run("sed", "-i", "/ExecReload/d", "/etc/systemd/system/web.service")
    web.host.run("systemctl", "daemon-reload")
    said = web.deploy()
    assert said.code == 3, said.out
    assert "its unit cannot be reloaded: give it an ExecReload" in said.out
