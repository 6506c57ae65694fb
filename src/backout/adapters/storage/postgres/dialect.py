"""The words of the journal's SQL as PostgreSQL understands them."""

from __future__ import annotations

import re
from functools import lru_cache

TABLES = (
    *("run", "record", "number", "ledger", "restored", "undone", "settled", "version"),
    *("request", "answer", "spent", "waiter", "told", "pulse", "wish", "token", "spoken"),
    "letter",
)
"""Ours, which lie in a schema of their own: no `search_path` is relied on, for a pooler may give
each transaction another session."""
HEALTH = (
    *("spot", "look", "hour", "day", "incident", "letter", "silence", "snapshot", "revert", "meta"),
    "post",
)
"""Of the history of checks: `watch_spot` and so on, for there are letters of runs too."""
_TABLE = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)(\s+)({'|'.join(TABLES)})\b")
_OF_HEALTH = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)(\s+)({'|'.join(HEALTH)})\b(?!\s+AS\b)")
_RENAMED = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)(\s+)({'|'.join(HEALTH)})\b(?=\s+AS\b)")
_NAMED = re.compile(r"(?<![:\w]):(\w+)")
_OTHERS = (
    ("INDEXED BY run_with_update ", ""),
    ("instr(", "strpos("),
    ("json_group_array(run)", "coalesce(json_agg(run), '[]')::text"),
)


@lru_cache(maxsize=512)
def translated(words: str, *, named: bool = False, health: bool = False) -> str:
    """A statement with SQLite's places (`?`, or `:name`), with psycopg's. A table of the history of
    checks (`health`) goes by its short name within the statement."""
    text = words.replace("%", "%%")
    for ours, theirs in _OTHERS:
        text = text.replace(ours, theirs)
    if health:
        text = _RENAMED.sub(r"\1\2backout.watch_\3", text)
        text = _OF_HEALTH.sub(r"\1\2backout.watch_\3 AS \3", text)
    else:
        text = _TABLE.sub(r"\1\2backout.\3", text)
    return _NAMED.sub(r"%(\1)s", text) if named else text.replace("?", "%s")
