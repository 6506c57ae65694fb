"""The first hour of a new user: the tutorial, line by line; `tests/walk` types it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import rootfs, wheelhouse
from support.dockerd import DockerEngine
from support.scratch import scratch

ROOT = Path(__file__).parents[2]
NOBODY = "47110:47110"


def borrowed(*paths: Path | str) -> list[str]:
    """Of this machine, to be read at the same place."""
    return [word for path in paths for word in ("-v", f"{path}:{path}:ro")]


@pytest.mark.timeout(900)
def test_every_line_of_the_tutorial_does_what_it_says(docker_engine: DockerEngine) -> None:
    """In a fresh container, as a user who is nobody yet: from the first line, which installs
    Flask and this clone, to a deploy and a rollback out of a second clone."""
    image = docker_engine.import_image("newcomer", rootfs.skeleton())
    python = Path(sys.base_prefix)
    with scratch() as wheels:
        wheelhouse.fill(wheels / "wheels", "backout", "flask", "hatchling")
        env = {
            "PATH": f"{python}/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            **wheelhouse.offline(wheels / "wheels"),
        }
        variables = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        places: tuple[Path | str, ...] = ("/usr", "/etc/alternatives", python, ROOT, wheels)
        told = docker_engine.docker(
            *("run", "--rm", "--network", "host", "--user", NOBODY, "--workdir", "/tmp"),
            *(*variables, *borrowed(*dict.fromkeys(places)), image, "sh", "-c"),
            f'"{ROOT}/tests/walk" 2>&1; echo "walk: left with $?"',
            timeout=880,
        )
    assert "walk: left with 0" in told, told[-6000:]
    assert "\n== Install\n" in told.replace("1. ", "")
    assert "\n== Done\n" in told
    assert "Traceback" not in told
    following = [line for line in told.splitlines() if line.startswith("next:")]
    assert len(following) > 8, "each verb was typed, and said what comes next"
    assert not [line for line in following if "invoke " in line], "backout was typed"
