"""What `init` writes: a tasks.py, a runbook and an inventory to start from, all explained."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import backout
from backout.errors import Refused
from backout.starter.scaffold.detected import Detected

HERE = Path(__file__).parent
FILES = {
    "tasks.py": "tasks.py.txt",
    "runbooks/deploy.yaml": "deploy.yaml",
    "inventories/prod.yaml": "prod.yaml",
}
SAMPLE_PORT = "48080"


SCHEMAS = {"runbooks": "runbook.schema.json", "inventories": "inventory.schema.json"}


def write(directory: Path, found: Detected) -> tuple[list[str], list[str]]:
    """Write what is missing; nothing is overwritten. Returns what was written and what stays."""
    texts = {name: (HERE / source).read_text() for name, source in FILES.items()}
    prod = texts["inventories/prod.yaml"]
    for before, after in (
        ("my-app", found.name),
        ("backend: systemd", f"backend: {found.backend}"),
        ("remote: origin", f"remote: {found.remote}"),
        ("branch: main", f"branch: {found.branch}"),
    ):
        prod = prod.replace(before, after)
    texts["inventories/prod.yaml"] = prod
    return _write(directory, {name: _schema(directory, name) + texts[name] for name in texts})


def _schema(directory: Path, name: str) -> str:
    """The line by which an editor's YAML language server finds the schema of the file."""
    folder, _, file = name.partition("/")
    if not file:
        return ""
    there = Path(backout.__file__).parent / "schemas" / SCHEMAS[folder]
    inside = there.is_relative_to(directory)
    path = os.path.relpath(there, directory / folder) if inside else there
    return f"# yaml-language-server: $schema={path}\n"


def write_local(directory: Path, port: int) -> tuple[list[str], list[str]]:
    """Write what a deploy of the sample application on this machine needs."""
    local = (HERE / "local.yaml").read_text().replace(SAMPLE_PORT, str(port))
    deploy = (HERE / "deploy.yaml").read_text()
    return _write(directory, {"runbooks/deploy.yaml": deploy, "inventories/local.yaml": local})


def _write(directory: Path, texts: dict[str, str]) -> tuple[list[str], list[str]]:
    """Raises Refused where a file cannot be written."""
    written: list[str] = []
    kept: list[str] = []
    for name, text in texts.items():
        try:
            _new(directory / name, text)
        except FileExistsError:
            kept.append(name)
        except OSError as error:
            raise Refused(
                f"{name} cannot be written: {error.strerror}",
                where=str(directory),
                state=f"written: {', '.join(written)}" if written else "nothing was written",
                next="make room for it, or the same command in a directory of your own",
            ) from error
        else:
            written.append(name)
    return written, kept


def _new(path: Path, text: str) -> None:
    """Whole or not at all. Raises FileExistsError when it is there, and OSError."""
    if path.parent.is_dir() or not os.path.lexists(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        raise NotADirectoryError(errno.ENOTDIR, f"{path.parent.name} is there and no directory")
    with path.open("x") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise
