"""Words of a file that become arguments: none is taken for an option or a program."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from backout.config import loading
from backout.errors import Mistakes
from backout.model import Service, Source
from backout.model.operands import branch, reached, variable
from backout.project.project import TABLES

FINE = {
    "hosts": {"web1": {"address": "203.0.113.11"}},
    "service": {"name": "api", "backend": "pm2", "directory": "/srv/api"},
    "source": {"directory": "/srv/api"},
}


def mistakes(tmp_path: Path, path: str, value: object) -> list[str]:
    """What is said of an inventory that has this value at that path."""
    data = yaml.safe_load(yaml.safe_dump(FINE))
    *outer, last = path.split(".")
    place = data
    for key in outer:
        place = place.setdefault(key, {})
    place[last] = value
    file = tmp_path / "prod.yaml"
    file.write_text(yaml.safe_dump(data))
    try:
        loading.load_target(file, TABLES)
    except Mistakes as error:
        return [str(mistake) for mistake in error.mistakes]
    return []


@pytest.mark.parametrize(
    "path",
    [
        "source.remote",
        "source.branch",
        "source.directory",
        "source.repository",
        "source.image",
        "source.app",
        "service.name",
        "service.directory",
        "service.ecosystem",
        "hosts.web1.address",
        "hosts.web1.user",
        "ssh.user",
    ],
)
def test_a_word_that_a_program_would_take_for_an_option_is_a_mistake_with_its_place(
    tmp_path: Path, path: str
) -> None:
    (said,) = mistakes(tmp_path, path, "--upload-pack=touch X")
    assert f" {path}: " in said
    assert "would be taken for an option" in said
    assert "prod.yaml:" in said


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("source.remote", "ext::sh -c 'touch X'"),
        ("source.remote", "fd::17"),
        ("source.branch", "main --force"),
        ("source.branch", "a..b"),
        ("source.branch", "main:refs/heads/other"),
        ("hosts.web1.address", "$(touch X)"),
        ("hosts.web1.address", "a b"),
        ("hosts.web1.user", "deploy;touch X"),
        ("ssh.user", "`id`"),
        ("service.name", "api\n--force"),
    ],
)
def test_a_word_that_means_more_than_a_name_is_a_mistake(
    tmp_path: Path, path: str, value: str
) -> None:
    (said,) = mistakes(tmp_path, path, value)
    assert f" {path}: " in said


def test_ordinary_names_are_names() -> None:
    for name in ("main", "feature/x-1", "release_2.0", "übung", "a@b"):
        assert branch(name) == name
    for name in ("203.0.113.11", "::1", "fe80::1%eth0", "web-1.example.org", "CORP\\deploy", "a@b"):
        assert reached(name) == name
    Source(remote="git@example.org:team/api.git", branch="main", image="registry:5000/a/b:1")
    Service(name="worker@*", backend="systemd")


def test_a_variable_that_no_shell_can_have_is_a_mistake_before_anything_changes(
    tmp_path: Path,
) -> None:
    file = tmp_path / "deploy.yaml"
    for name in ("NODE-ENV", "1ST", "A B", "", "Ä", "x=y"):
        step = {"name": "Build", "run": "make", "undo": ":", "env": {name: "x"}}
        file.write_text(yaml.safe_dump({"summary": "x", "steps": [step]}, allow_unicode=True))
        with pytest.raises(Mistakes, match="is not a variable's name"):
            loading.load_runbook(file, TABLES)
        assert not variable(name)
    assert variable("NODE_ENV")
