"""Screens as they were looked at and found good, kept as text: `tests/screens`.

`SCREENS=write` before pytest writes them anew; look at what changed before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backout.reports.plan_text import plan_text
from backout.reports.text import history_text, run_text
from support.terminal import on_a_terminal
from support.wait import eventually

SCREENS = Path(__file__).parents[1] / "screens"
SIZES = ((80, 24), (200, 50))
MANY = [f"web{n:02}" for n in range(1, 41)]
OLD, NEW = {"number": 41, "commit": "aaaaaaa1"}, {"number": 42, "commit": "3f9c2e1d"}
RUN = {
    "run": "20261122-073403-4f1a",
    "verb": "deploy",
    "target": "prod",
    "runbook": "deploy",
    "release": {"from": OLD, "to": NEW},
    "started_at": "2026-11-22T07:34:03.000Z",
    "ended_at": "2026-11-22T07:35:15.000Z",
    "steps": [],
}
ALIVE: dict[str, Any] = {
    "name": "alive",
    "host": None,
    "verdict": "pass",
    "elapsed_ms": 12.3,
    "failed": [],
}


def backed_out() -> str:
    why = "it will not come up: api FATAL Exited too quickly"
    failure = {"name": "Restart", "host": "web1", "phase": "settle", "reason": why, "output": ""}
    hosts = {name: {"release": OLD, "state": "backed out"} for name in ("web1", "web2")}
    told = {"outcome": "backed_out", "exit_code": 4, "reason": f"web1: Restart failed: {why}"}
    log = {"web1": "Traceback (most recent call last):\nKeyError: 'DATABASE_URL'"}
    rest = {"checks": [ALIVE], "hosts": hosts, "failures": [failure], "logs": log}
    return run_text({**RUN, **told, **rest, "next": f"backout show {RUN['run']}"})


def incomplete() -> str:
    why = "No space left on device"
    hosts: dict[str, Any] = {
        name: {"release": None, "state": f"NOT backed out: undo Update failed: {why}"}
        for name in MANY
    }
    hosts["web07"] = {"release": OLD, "state": "backed out"}
    failures = [
        {"name": "Update", "host": name, "phase": "undo", "reason": why, "output": f"tar: {why}"}
        for name in MANY
        if name != "web07"
    ]
    red = {**ALIVE, "verdict": "fail", "reason": "status == 200 (status is 502)"}
    reason = f"web09: Update failed: {why}; and backing out is incomplete: {MANY[0]} and 38 more"
    told = {"outcome": "backout_incomplete", "exit_code": 5, "reason": reason, "hosts": hosts}
    following = "put right what is named above, then backout resume --target prod"
    return run_text({**RUN, **told, "checks": [red], "failures": failures, "next": following})


def planned() -> str:
    update = {
        "name": "Update the code", "does": "git checkout --detach 3f9c2e1d",
        "undo": "git checkout --detach aaaaaaa1",
    }  # fmt: skip
    batches = [
        {"number": n, "hosts": hosts, "actions": [{**update, "host": host} for host in hosts]}
        for n, hosts in enumerate((["web1"], ["web2", "web3"]), 1)
    ]
    drop = {"name": "Drop the old table", "does": "psql -f drop.sql", "irreversible": "rows go"}
    return plan_text(
        {**RUN, "hosts": ["web1", "web2", "web3"], "preflight": [], "checks": [ALIVE],
         "stages": [{"here": [drop]}, {"batches": batches}], "next": "backout deploy --target prod"}
    )  # fmt: skip


def past() -> str:
    outcomes = ("succeeded", "backed_out", "succeeded")
    rows = [
        {**RUN, "outcome": outcome, "seconds": 72, "subject": "Retry when the venue is closed"}
        for outcome in outcomes
    ]
    return history_text({"runs": rows})


AT_WORK = f"""
with screen:
    tell("phase", "batch 2 of 3: 40 hosts")
    for name in {MANY!r}:
        step("Update the code", "running", name)
    for name in {MANY!r}[:30]:
        step("Update the code", "done", name, seconds=1.2)
    step("Update the code", "failed", "web33", detail="No space left on device", seconds=3)
    go_on()
"""


def shown(text: str) -> str:
    return f"with screen:\n    screen.print({text!r})\n"


PROGRAMS = {
    "at-work": AT_WORK,
    "backed-out": shown(backed_out()),
    "incomplete": shown(incomplete()),
    "plan": shown(planned()),
    "history": shown(past()),
}


def folded(lines: list[str], columns: int) -> Iterator[str]:
    """As a terminal breaks lines."""
    for line in lines:
        yield from (line[n : n + columns].rstrip() for n in range(0, max(len(line), 1), columns))


def still(lines: list[str]) -> list[str]:
    """Without what moves: the spinner's dots, and the seconds so far."""
    moved = (re.sub(r"[⠀-⣿]", "*", line) for line in lines)
    return [re.sub(r"(\*.*|hosts) [\d.]+m?s$", r"\1 0s", line) for line in moved]


@pytest.mark.parametrize(("columns", "rows"), SIZES, ids=lambda size: str(size))
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_screen_is_as_it_was_found_good(name: str, columns: int, rows: int) -> None:
    with on_a_terminal(PROGRAMS[name], columns, rows=rows, NO_COLOR="1") as session:
        if name == "at-work":
            eventually(lambda: "web33" in session.screen.seen, saying="it is drawn")
            lines = eventually(lambda: _whole(session.screen.lines), saying="a whole frame")
            session.type("\n")
            session.end()
        else:
            session.end()
            lines = [line.rstrip() for line in session.screen.lines]
    text = "\n".join(still(list(folded(lines, columns)))).strip("\n") + "\n"
    kept = SCREENS / f"{name}-{columns}x{rows}.txt"
    if os.environ.get("SCREENS") == "write":
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text("utf-8")
    assert all(len(line) <= columns for line in text.splitlines())


def _whole(lines: list[str]) -> list[str]:
    """A frame, when it is not being drawn at this moment: the host in trouble is in it."""
    seen = [line.rstrip() for line in lines]
    told = [line for line in seen if line]
    whole = len(told) > 20 and told[-1].startswith("└──")
    return seen if whole and any("✗ web33" in line for line in told) else []
