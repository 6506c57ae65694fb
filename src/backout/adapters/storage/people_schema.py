"""The tables in which people wait for each other, as SQLite has them."""

from __future__ import annotations

from backout.adapters.storage.append_only import append_only

PEOPLE = (
    """CREATE TABLE request (
        id TEXT NOT NULL, step TEXT NOT NULL, target TEXT NOT NULL, digest TEXT NOT NULL,
        needed INTEGER NOT NULL, asker TEXT NOT NULL, asked_by TEXT NOT NULL, asked TEXT NOT NULL,
        expires TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (id, step))""",
    "CREATE INDEX request_of_target ON request (target, asked)",
    """CREATE TABLE answer (
        request TEXT NOT NULL, step TEXT NOT NULL, asked_by TEXT NOT NULL,
        answered_by TEXT NOT NULL CHECK (answered_by <> asked_by), who TEXT NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN ('yes', 'no')), reason TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (request, step, answered_by),
        FOREIGN KEY (request, step) REFERENCES request)""",
    """CREATE TABLE spent (
        request TEXT NOT NULL, step TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (request, step), FOREIGN KEY (request, step) REFERENCES request)""",
    """CREATE TABLE waiter (
        id TEXT PRIMARY KEY, target TEXT NOT NULL, ticket INTEGER NOT NULL, beat INTEGER NOT NULL,
        person TEXT NOT NULL, machine TEXT NOT NULL, pid INTEGER NOT NULL,
        waits_for TEXT NOT NULL, since TEXT NOT NULL, UNIQUE (target, ticket))""",
    *append_only("request", "answer", "spent"),
)
"""What leads to them from a journal without."""

SPOKEN = (
    """CREATE TABLE spoken (
        run TEXT NOT NULL, key TEXT NOT NULL, asked INTEGER NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN ('again', 'done', 'back-out')), who TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (run, key, asked))""",
    *append_only("spoken"),
)
"""What was said to runs that are held."""

TAKEN_BACK = (
    """CREATE TABLE answer_anew (
        request TEXT NOT NULL, step TEXT NOT NULL, asked_by TEXT NOT NULL,
        answered_by TEXT NOT NULL CHECK (answered_by <> asked_by), who TEXT NOT NULL,
        answer TEXT NOT NULL CHECK (answer IN ('yes', 'no')), reason TEXT NOT NULL,
        at TEXT NOT NULL, PRIMARY KEY (request, step, answered_by, answer),
        FOREIGN KEY (request, step) REFERENCES request)""",
    "INSERT INTO answer_anew SELECT * FROM answer",
    "DROP TABLE answer",
    "ALTER TABLE answer_anew RENAME TO answer",
    *append_only("answer"),
)
"""Whoever has said yes can say no."""
