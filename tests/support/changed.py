"""Which test files a change can reach: by what they import, directly or through others."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
STARTS_ALL = "support.warm"
"""It starts the command line, which may import any module of the product."""


def changed(root: Path = ROOT) -> frozenset[Path]:
    """The files that differ from the last commit, and the new ones that git does not ignore."""
    words = (["diff", "--name-only", "HEAD"], ["ls-files", "--others", "--exclude-standard"])
    listed = (
        subprocess.run(["git", *w], cwd=root, capture_output=True, text=True, check=True).stdout
        for w in words
    )
    return frozenset(root / name for text in listed for name in text.splitlines())


def reached(files: frozenset[Path], root: Path = ROOT) -> frozenset[Path]:
    """Those of the test files that import one of `files`, or are one."""
    modules = _modules(root)
    graph = {path: frozenset(_imports(path, modules)) for path in modules.values()}
    tests = (path for path in graph if path.name.startswith("test_"))
    return frozenset(path for path in tests if _closure(path, graph) & files)


def _closure(start: Path, graph: Mapping[Path, frozenset[Path]]) -> frozenset[Path]:
    seen, waiting = {start}, [start]
    while waiting:
        fresh = graph.get(waiting.pop(), frozenset()) - seen
        seen |= fresh
        waiting += fresh
    return frozenset(seen)


def _modules(root: Path) -> dict[str, Path]:
    """Every module of the product and of the tests, by the name that it is imported by."""
    found = {}
    for top in (root / "src", root / "tests"):
        for path in top.rglob("*.py"):
            parts = path.relative_to(top).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def _imports(path: Path, modules: Mapping[str, Path]) -> Iterator[Path]:
    names = _names(path)
    if any(f".{name}".endswith(f".{STARTS_ALL}") for name in names):
        yield from (file for name, file in modules.items() if name.startswith("backout"))
    for name in names:
        while name:
            if name in modules:
                yield modules[name]
            name = name.rpartition(".")[0]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement in it but what is there for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield node
            yield from _statements(node)


@cache
def _names(path: Path) -> frozenset[str]:
    return frozenset(_named(path))


def _named(path: Path) -> Iterator[str]:
    for node in _statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "support" if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
