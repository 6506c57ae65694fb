"""What is published works where it is installed: the wheel, and the source that makes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support import wheelhouse

ROOT = Path(__file__).parents[2]


def run(*argv: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=390,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from the source distribution as pip does it, and that distribution."""
    folder = tmp_path_factory.mktemp("dist")
    run(*(sys.executable, "-m", "hatchling", "build", "-d", folder), cwd=ROOT)
    return folder


def tracked() -> set[str]:
    """The files of the package as they lie in the source."""
    listed = run("git", "ls-files", "src/backout", cwd=ROOT).splitlines()
    return {name.removeprefix("src/") for name in listed if (ROOT / name).is_file()}


def test_wheel_and_source_have_every_file_of_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    (source,) = built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        said = archive.read(metadata).decode()
    assert tracked() <= names
    assert "backout/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    assert "License-Expression: MIT" in said
    with tarfile.open(source) as files:
        top = f"{source.name.removesuffix('.tar.gz')}/"
        there = {name.removeprefix(top) for name in files.getnames()}
    assert {f"src/{name}" for name in tracked()} <= there
    assert {"LICENSE", "README.md", "pyproject.toml", "CHANGELOG.md"} <= there


INSTALLED = {
    "pip": "python3 -m venv venv && venv/bin/pip install -q {wheel} && mkdir -p .local/bin"
    " && ln -s ../../venv/bin/backout .local/bin",
    "pipx": "pipx install {wheel}",
    "uv": "uv tool install {wheel}",
}
"""As docs/upgrading.md says it."""
DOCKER = """\
hosts: {here: {connection: local}}
service: {name: api, backend: docker}
checks: {there: {command: "true", expect: ["exit_code == 0"]}}
"""


@pytest.fixture(scope="module")
def wheels(built: Path) -> Path:
    """Every library that Backout and its extra `docker` need, beside no index at all."""
    folder = built.parent / "wheels"
    wheelhouse.fill(folder, "backout[docker]")
    return folder


@pytest.mark.parametrize(
    "installer", ["pip", *(pytest.param(each, marks=pytest.mark.matrix) for each in ("pipx", "uv"))]
)
def test_the_wheel_is_installed_and_gets_what_is_missing_by_the_line_that_it_says(
    built: Path, wheels: Path, tmp_path: Path, installer: str
) -> None:
    (wheel,) = built.glob("*.whl")
    python, programs = Path(sys.base_prefix) / "bin", Path(sys.executable).parent
    path = f"{tmp_path}/.local/bin:{python}:{programs}:/usr/bin:/bin"
    env = {"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", **wheelhouse.offline(wheels)}
    env["PIP_NO_COMPILE"] = "1"  # what is not run here need not be ready to run
    project = tmp_path / "My project"
    project.mkdir()

    def type_(line: str, *codes: int) -> str:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=390,
        )
        assert done.returncode in (codes or (0,)), done.stdout
        return done.stdout

    type_(f"cd .. && {INSTALLED[installer].format(wheel=wheel)}")
    assert Path(type_("command -v backout").strip()) == tmp_path / ".local/bin/backout"
    type_("backout init --backend systemd")
    prod = project / "inventories" / "prod.yaml"
    prod.write_text(prod.read_text().replace("web1.example.org", "203.0.113.11"))
    assert "no mistake" in type_("backout lint")
    type_("backout plan --target prod --offline")
    assert f"{tmp_path}/" in type_("backout completion bash")

    prod.write_text(DOCKER)
    (row,) = (row for row in doctor(type_("backout doctor --target prod --json", 3)))
    assert row["detail"] == "not installed: docker"
    type_(row["fix"])
    (row,) = (row for row in doctor(type_("backout doctor --target prod --json", 0, 3)))
    assert row["detail"] == "there"


def doctor(told: str) -> list[dict[str, str]]:
    """What it says of extras."""
    findings: list[dict[str, str]] = json.loads(told)["findings"]
    return [row for row in findings if row["name"].startswith("extra ")]
