"""A target's name in a journal of before: it was the stem of the inventory's file.

`inventories/staging/api.yaml` and `inventories/prod/api.yaml` were one `api`. Each run's frozen
plan knows its file, so that every run and every release finds its own target again.
"""

from __future__ import annotations

import json
import posixpath
import sqlite3
from collections.abc import Mapping
from typing import Any

FOLDER = "inventories/"


def by_path(db: sqlite3.Connection) -> None:
    """Give every run, release and number its target's path below `inventories` as the name."""
    rows = db.execute("SELECT id, target, plan FROM run ORDER BY rowid").fetchall()
    names: dict[str, str] = {}
    for run, target, plan in rows:
        names[run] = _named(json.loads(plan), target, names)
    moved = [(run, old, names[run]) for run, old, _ in rows if names[run] != old]
    if not moved:
        return
    triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        db.execute(f"DROP TRIGGER {name}")
    db.execute("PRAGMA defer_foreign_keys = ON")
    _move(db, moved)
    for _, statement in triggers:
        db.execute(statement)


def _move(db: sqlite3.Connection, moved: list[tuple[str, str, str]]) -> None:
    for run, old, new in moved:
        number = "SELECT number FROM ledger WHERE run = ?"
        db.execute(
            f"UPDATE restored SET target = ? WHERE target = ? AND number = ({number})",  # noqa: S608
            (new, old, run),
        )
        db.execute("UPDATE ledger SET target = ? WHERE run = ?", (new, run))
        db.execute("UPDATE run SET target = ? WHERE id = ?", (new, run))
        db.execute(
            "INSERT OR IGNORE INTO number SELECT ?, last FROM number WHERE target = ?", (new, old)
        )


def _named(plan: Mapping[str, Any], target: str, names: Mapping[str, str]) -> str:
    """A rollback has the name of what it undid; any other run, the one of its file."""
    undone = next(iter(plan.get("undoing", ())), "")
    file = (plan.get("target") or {}).get("file", "")
    return names.get(undone, target) if undone else _path_of(file, target)


def _path_of(file: str, stem: str) -> str:
    place, suffix = posixpath.splitext(posixpath.normpath(file))
    if suffix not in (".yaml", ".yml") or posixpath.basename(place) != stem:
        return stem
    if place.startswith(FOLDER):
        return place.removeprefix(FOLDER)
    if f"/{FOLDER}" in place:
        return place.rpartition(f"/{FOLDER}")[2]
    return place if place.startswith("/") else f"./{place}"
