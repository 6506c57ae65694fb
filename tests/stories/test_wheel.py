"""What is published works where it is installed: the wheel, and the source that makes it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

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
        timeout=150,
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


def test_the_installed_wheel_scaffolds_lints_and_plans(built: Path, tmp_path: Path) -> None:
    """In an environment that has the libraries from here, and Backout from the wheel alone."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    (site,) = home.glob("lib/python*/site-packages")
    (wheel,) = built.glob("*.whl")
    quiet = ("-q", "--disable-pip-version-check", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "--python", python, "install", *quiet, wheel, cwd=tmp_path)
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (site / "libraries.pth").write_text("\n".join(libraries))

    project = tmp_path / "My project"
    project.mkdir()
    backout = home / "bin" / "backout"
    where = run(python, "-c", "import backout; print(backout.__file__)", cwd=project)
    assert where.startswith(str(home))
    run(backout, "init", "--backend", "systemd", cwd=project)
    prod = project / "inventories" / "prod.yaml"
    prod.write_text(prod.read_text().replace("web1.example.org", "203.0.113.11"))
    assert "no mistake" in run(backout, "lint", cwd=project)
    run(backout, "plan", "--target", "prod", "--offline", cwd=project)
    assert "prod" in run(backout, "targets", cwd=project)
    script = run(backout, "completion", "bash", cwd=project)
    assert str(site / "backout" / "project" / "completing.py") in script
