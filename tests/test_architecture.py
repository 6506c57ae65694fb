"""Imports point down, and what is heavy is imported late."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.measured import unmeasured

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "backout"
NOUNS = {"errors", "model", "ports", "registry"}
ALLOWED: dict[str, set[str]] = {
    "api": {"commands", "project", "reports", *NOUNS},
    "tasks": {"commands"},
    "testing": {"tasks", "model", "errors"},
    "commands": {
        *("status_page", "watch", "project", "reports", "runs", "checks", "config", "starter"),
        *("restarters", "adapters", "documents", *NOUNS),
    },
    "documents": {"config", *NOUNS},
    "status_page": {"watch", "project", "reports", "adapters", *NOUNS},
    "watch": {
        *("project", "reports", "runs", "checks", "config", "language", "adapters"),
        *NOUNS,
    },
    "project": {
        *("runs", "checks", "config", "language", "starter", "adapters"),
        *("steps", "restarters", "balancers", "probes", *NOUNS),
    },
    "reports": {"runs", *NOUNS},
    "runs": {"checks", "language", *NOUNS},
    "checks": {"language", *NOUNS},
    "config": {"language", *NOUNS},
    "language": {*NOUNS},
    "steps": {"heroku", "postgres", *NOUNS},
    "restarters": {"heroku", *NOUNS},
    "balancers": {*NOUNS},
    "probes": {"postgres", *NOUNS},
    "adapters": {"postgres", *NOUNS},
    "schemas": {*NOUNS},
    "starter": {*NOUNS},
    "heroku": {*NOUNS},
    "postgres": {*NOUNS},
    "ports": {"model", "errors"},
    "model": {"errors"},
    "errors": set(),
    "registry": {"errors"},
}
"""Which rooms each room may import, now or later: every arrow points down."""


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "__main__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path, *, late: bool = True) -> Iterator[str]:
    """What a module imports; without `late` only what importing it imports at once."""
    tree = _parsed(path)
    nodes = ast.walk(tree) if late else _at_once(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "backout":
                yield from (f"backout.{alias.name}" for alias in node.names)


def _at_once(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        late = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, ast.ClassDef | ast.If) and not late:
            waiting += node.body


def ours(path: Path, *, late: bool = True) -> set[str]:
    """The rooms and modules of ours that a module imports."""
    return {
        name.removeprefix("backout.") for name in imports(path, late=late) if "backout." in name
    }


def room_of(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    room = room_of(name_of(path))
    if room == "":
        return  # the package itself: its imports are the typed API
    strangers = {room_of(name) for name in ours(path)} - {room, "__version__", ""}
    assert strangers <= ALLOWED[room]


def test_the_table_of_rooms_has_no_circle() -> None:
    below: set[str] = set()
    waiting = dict(ALLOWED)
    while waiting:
        free = {room for room, others in waiting.items() if others <= below}
        assert free, f"these rooms stand in a circle: {sorted(waiting)}"
        below |= free
        waiting = {room: others for room, others in waiting.items() if room not in free}


@pytest.mark.usefixtures("unhurried")
def test_no_two_modules_import_each_other_at_once() -> None:
    graph = {name_of(path): ours(path, late=False) for path in modules()}
    cycles = {
        (one, other)
        for one, others in graph.items()
        for other in others
        if one in graph.get(other, set()) and one < other
    }
    assert not cycles


def test_the_console_script_reads_neither_asyncio_nor_a_second_yaml_and_both_work() -> None:
    program = """
import sys
from contextlib import suppress
from backout.__main__ import main
sys.argv = ["backout", "--version"]
with suppress(SystemExit):
    main()
assert "asyncio" not in sys.modules
assert "invoke.vendor.yaml.reader" not in sys.modules
from invoke.util import yaml
assert yaml.safe_load("a: 1") == {"a": 1}
from invoke import MockContext, Result
context = MockContext(run=Result("said"))
assert context.run("say it").stdout == "said"
context.run.assert_called_once_with("say it")
import unittest.mock
assert isinstance(context.run, unittest.mock.Mock)
"""
    subprocess.run([sys.executable, "-c", program], env=unmeasured(os.environ), check=True)


def test_no_module_names_a_path_of_one_machine() -> None:
    root = SOURCE.parent.parent
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    guilty = [
        name
        for name in tracked
        if name and name.endswith((".py", ".md", ".yaml", ".toml")) and "test_arch" not in name
        if "/work/" in (root / name).read_text(errors="replace")
        and "/sample/work/" not in (root / name).read_text(errors="replace")
    ]
    assert not guilty


def test_the_document_of_the_architecture_names_every_room() -> None:
    told = (SOURCE.parent.parent / "docs" / "architecture.md").read_text()
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")}
    assert {room for room in rooms if f"`{room}/`" not in told} == set()
    assert {name for name in modules if f"`{name}`" not in told} == set()


def test_each_folder_of_unit_tests_is_named_after_the_package_that_it_shows() -> None:
    packages = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()}
    entries = [path for path in (TESTS / "unit").iterdir() if path.name != "__pycache__"]
    assert [path.name for path in entries if path.name not in packages] == []


def test_no_two_files_of_tests_have_one_name() -> None:
    """The second one would not be collected."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_the_root_of_the_package_holds_at_most_ten_files() -> None:
    assert len(list(SOURCE.glob("*.py"))) <= 10


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {name_of(path): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
