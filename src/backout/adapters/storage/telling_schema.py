"""The tables of what runs tell while they are under way, as SQLite has them."""

from __future__ import annotations

from backout.adapters.storage.append_only import append_only

TELLING = (
    """CREATE TABLE told (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX told_of_run ON told (run, seq)",
    "CREATE TABLE pulse (run TEXT PRIMARY KEY, beat INTEGER NOT NULL)",
    """CREATE TABLE wish (
        id TEXT PRIMARY KEY, run TEXT NOT NULL, what TEXT NOT NULL, who TEXT NOT NULL,
        at TEXT NOT NULL)""",
    "CREATE INDEX wish_of_run ON wish (run)",
    *append_only("wish"),
)
"""What leads to them from a journal without."""

TOKENS = (
    """CREATE TABLE token (
        name TEXT PRIMARY KEY,
        role TEXT NOT NULL CHECK (role IN ('look', 'acknowledge', 'approve', 'deploy')),
        digest TEXT NOT NULL UNIQUE, at TEXT NOT NULL, made_by TEXT NOT NULL)""",
)
"""Who may use the web view."""
