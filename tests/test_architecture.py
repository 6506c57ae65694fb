"""Imports point down, and what is heavy is imported late."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "backout"
SEAMS = {"ports", "model", "errors"}
PLUGINS = ("steps", "restarters", "probes")
ROOMS = (*PLUGINS, "adapters")
SMALL = {"tables", "heroku", "addresses"}
"""Leaves below the plug-ins: they import nothing of ours but the nouns."""
COMPOSITION = {"app", "workplace", "operations", "inspections", "beginnings", "example"}
COMPOSITION |= {"publishing"}
COMPOSITION |= {"installing", "wards", "watching"}
"""The rooms that put things together; the only ones that know concrete adapters."""
HEAVY = {"fabric", "paramiko", "docker", "cel", "psycopg", "jinja2", "rich", "pycurl", "pydantic"}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "__main__.py")


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, *, late: bool = True) -> Iterator[str]:
    """What a module imports; without `late` only what importing it imports at once."""
    tree = ast.parse(path.read_text())
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


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_the_model_and_the_seams_import_nothing_above_them(path: Path) -> None:
    allowed = {"errors": set(), "model": {"errors"}, "ports": {"model", "errors"}}
    name = name_of(path)
    if name in allowed:
        assert ours(path) <= allowed[name]
    else:
        assert "tasks" not in ours(path) or name in ("", "example"), "words come first"


@pytest.mark.parametrize(
    "path", [path for path in modules() if name_of(path).split(".")[0] in ROOMS], ids=name_of
)
def test_plug_ins_and_adapters_know_only_the_seams_and_their_own_room(path: Path) -> None:
    room = name_of(path).split(".")[0]
    strangers = {
        name
        for name in ours(path)
        if name.split(".")[0] not in SEAMS | SMALL and name.split(".")[0] != room
    }
    assert not strangers


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in modules()
        if name_of(path).split(".")[0] not in (*ROOMS, *COMPOSITION) and "." not in name_of(path)
    ],
    ids=name_of,
)
def test_the_core_knows_no_concrete_adapter_or_plug_in(path: Path) -> None:
    known = {name for name in ours(path) if name.split(".")[0] in ROOMS}
    assert not known


def test_no_two_modules_import_each_other_at_once() -> None:
    graph = {name_of(path): ours(path, late=False) for path in modules()}
    cycles = {
        (one, other)
        for one, others in graph.items()
        for other in others
        if one in graph.get(other, set()) and one < other
    }
    assert not cycles


def test_listing_the_verbs_loads_none_of_the_heavy_libraries() -> None:
    script = "import sys, backout.tasks; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & {name.split(".")[0] for name in loaded}


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
