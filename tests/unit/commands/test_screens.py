"""Screens as they were looked at and found good, kept as text: `tests/screens`.

`SCREENS=write` before pytest writes them anew; look at what changed before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from backout.errors import Mistake, Mistakes
from backout.reports.around_text import targets_text
from backout.reports.checks_text import verify_text
from backout.reports.errors_text import error_text
from backout.reports.objects import History, TargetList
from backout.reports.plan_text import plan_text
from backout.reports.plans import PlanReport
from backout.reports.report import Report, VerifyReport
from backout.reports.states import DoctorReport, StatusReport, UnlockReport
from backout.reports.targets_text import doctor_text, status_text, unlock_text
from backout.reports.text import history_text, run_text, show_text
from support import answers
from support.terminal import on_a_terminal
from support.wait import eventually

SCREENS = Path(__file__).parents[2] / "screens"
SIZES = ((80, 24), (200, 50))
MANY = [f"web{n:02}" for n in range(1, 41)]
OLD, NEW = {"number": 41, "commit": "aaaaaaa1"}, {"number": 42, "commit": "3f9c2e1d"}
LONG = "20261122-073403-f1f32fae8defd3e7"
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
    return run_text(Report.read({**RUN, **told, **rest, "next": f"backout show {RUN['run']}"}))


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
    return run_text(
        Report.read({**RUN, **told, "checks": [red], "failures": failures, "next": following})
    )


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
    return plan_text(PlanReport.read(
        {**RUN, "hosts": ["web1", "web2", "web3"], "preflight": [], "checks": [ALIVE],
         "stages": [{"here": [drop]}, {"batches": batches}], "next": "backout deploy --target prod"}
    ))  # fmt: skip


def past() -> str:
    outcomes = ("succeeded", "backed_out", "succeeded")
    subject = "Retry when the venue is closed, and say so to whoever asked"
    rows = [
        {**RUN, "run": LONG, "outcome": outcome, "seconds": 72, "subject": subject}
        for outcome in outcomes
    ]
    return history_text(History.read({"runs": rows}))


def differing() -> str:
    hosts = {
        "web1": {"release": NEW, "state": "up", "uptime": 7500},
        "web2": {"release": OLD, "state": "up", "uptime": 86400},
    }
    at_work = {"step": "Migrate", "run": LONG, "pid": 4711, "since": "2026-11-22T07:34:10Z"}
    hosts["web2"]["at_work"] = [at_work]
    differs = ["web2: it is on release 41 (aaaaaaa), and release 42 (3f9c2e1) is what is recorded"]
    open_run = {"target": "prod", "release": NEW, "hosts": hosts, "differs": differs}
    return status_text(StatusReport.read({**open_run, "next": "backout rollback --target prod"}))


def there_is() -> str:
    last = {"started_at": "2026-11-22T07:34:03Z", "verb": "run", "runbook": "userconcert-fix",
            "run": LONG, "exit_code": 4, "by": "ann@laptop"}  # fmt: skip
    row = {"target": "eu/api", "hosts": ["web1", "web2"], "release": NEW, "known_good": False,
           "checks": ["alive", "signed"], "last_run": {**last, "outcome": "backed_out"},
           "protected": True, "example": False, "problem": "", "file": ""}  # fmt: skip
    broken = {**row, "target": "staging", "hosts": [], "checks": [], "release": None,
              "last_run": None, "problem": "inventories/staging.yaml:3: port: 0"}  # fmt: skip
    return targets_text(TargetList.read({"targets": [row, broken], "next": "invoke lint"}))


def missing() -> str:
    rows = [
        (True, None, "Python", "3.11.7", ""),
        (True, "web1", "reachable", "Linux 6.1.0-28-amd64, Debian GNU/Linux 12 (bookworm)", ""),
        (False, "web2", "git", "git: not found", "apt-get install git"),
        (None, "web1", "supervisor sample", "unix:///run/supervisor.sock no such file", ""),
    ]
    keys = ("ok", "host", "name", "detail", "fix")
    findings = [dict(zip(keys, row, strict=True)) for row in rows]
    return doctor_text(DoctorReport.read({"target": "prod", "findings": findings, "next": ""}))


def held() -> str:
    row = {"host": "web1", "owner": "ann@laptop", "run": LONG, "step": "Update the code",
           "since": "2026-11-22T07:34Z", "expires": "2026-11-22T07:35Z", "alive": None}  # fmt: skip
    why = "the lease may be renewed until 2026-11-22T07:35:03Z: wait for its end"
    return unlock_text(UnlockReport.read(
        {"target": "prod", "held": [row], "freed": False, "reason": why,
         "next": "backout unlock --target prod"}))  # fmt: skip


def unhealthy() -> str:
    failed = ["status == 200 (status is 502)", "body.status == 'ok' (body is not JSON: <html>)"]
    red = {**ALIVE, "name": "read-back", "host": "web2", "verdict": "fail", "failed": failed,
           "reason": "; ".join(failed) + " (tried 30 times in 1m00s)"}  # fmt: skip
    return verify_text(VerifyReport.read(
        {"target": "prod", "verdict": "fail", "checks": [ALIVE, red],
         "next": "backout status --target prod"}))  # fmt: skip


def whole() -> str:
    records = [
        {"at": "2026-11-22T07:34:10.000Z", "host": "web1", "name": "Update the code",
         "state": "failed", "exit_code": 128, "seconds": 2.4, "undo": "git checkout aaaaaaa1",
         "stdout": "", "stderr": "fatal: unable to access 'https://git.example.org/app.git/'",
         "reason": ""},
    ]  # fmt: skip
    hosts = {"web1": {"release": OLD, "state": "backed out"}}
    told = {"outcome": "backed_out", "exit_code": 4, "reason": "web1: Update the code failed"}
    report = {**RUN, **told, "run": LONG, "by": "ann@laptop", "hosts": hosts, "checks": [ALIVE]}
    return show_text(Report.read({**report, "records": records, "next": ""}))


def mistaken() -> str:
    told = [
        ("inventories/prod.yaml", 12, "checks.alive.expect[0]", "`status = 200`: did you mean ==?"),
        ("runbooks/deploy.yaml", 3, "steps[2].on", "no host or group is called webs; is it web?"),
    ]  # fmt: skip
    return error_text(Mistakes(mistakes=[Mistake(*each) for each in told]))


FOLLOWED = """
with screen:
    tell("phase", "batch 1 of 2: web1, web2")
    for name in ("web1", "web2"):
        step("Build it", "running", name)
    tell("output", "added 214 packages in 3s", host="web1")
    tell("saying", "[3/7] " + "compiling the assets of the shop " * 4, host="web1")
    tell("saying", "waiting for the lock of npm", host="web2")
    go_on()
"""

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


STILL: dict[str, Callable[[], str]] = {
    "backed-out": backed_out,
    "incomplete": incomplete,
    "plan": planned,
    "history": past,
    "status": differing,
    "targets": there_is,
    "doctor": missing,
    "unlock": held,
    "verify": unhealthy,
    "show": whole,
    "lint": mistaken,
    **answers.ANSWERS,
}
LIVE = {"at-work": AT_WORK, "followed": FOLLOWED}
IMPORT = "document.import"
"""It fits its columns to the screen by itself."""


DRAWN = {"at-work": "web33", "followed": "waiting"}
"""What is live, and by what it is known to be drawn."""
LINES = {"at-work": 21, "followed": 8}


def folded(lines: list[str], columns: int) -> Iterator[str]:
    """As a terminal breaks lines."""
    for line in lines:
        yield from (line[n : n + columns].rstrip() for n in range(0, max(len(line), 1), columns))


def still(lines: list[str]) -> list[str]:
    """Without what moves: the spinner's dots, and the seconds so far."""
    moved = (re.sub(r"[⠀-⣿]", "*", line) for line in lines)
    moved = (re.sub(r"^\d\d:\d\d:\d\dZ", "12:00:00Z", line) for line in moved)
    return [re.sub(r"(\*.*|hosts|web2) [\d.]+m?s$", r"\1 0s", line) for line in moved]


@cache
def printed(columns: int, rows: int) -> dict[str, list[str]]:
    """What is shown at once and stays, on one terminal: by name, its lines."""
    texts = {name: make() for name, make in STILL.items()}
    texts[IMPORT] = answers.imported(columns)
    said = [
        f"    screen.print({text!r})\n    screen.print('=== {n}')\n" for n, text in texts.items()
    ]
    found: dict[str, list[str]] = {}
    with on_a_terminal(
        "with screen:\n" + "".join(said), columns, rows=rows, NO_COLOR="1"
    ) as session:
        session.end()
        lines: list[str] = []
        for line in session.screen.lines:
            if line.startswith("=== "):
                found[line.rstrip()[4:]], lines = lines, []
            else:
                lines.append(line.rstrip())
    return found


def drawn(name: str, columns: int, rows: int) -> list[str]:
    """What moves, at one moment."""
    with on_a_terminal(LIVE[name], columns, rows=rows, NO_COLOR="1") as session:
        eventually(lambda: DRAWN[name] in session.screen.seen, saying="it is drawn")
        lines = eventually(lambda: _whole(name, session.screen.lines), saying="a whole frame")
        session.type("\n")
        session.end()
    return lines


@pytest.mark.parametrize(("columns", "rows"), SIZES, ids=lambda size: str(size))
@pytest.mark.parametrize("name", [*STILL, IMPORT, *LIVE])
def test_a_screen_is_as_it_was_found_good(name: str, columns: int, rows: int) -> None:
    lines = drawn(name, columns, rows) if name in LIVE else printed(columns, rows)[name]
    text = "\n".join(still(list(folded(lines, columns)))).strip("\n") + "\n"
    kept = SCREENS / f"{name}-{columns}x{rows}.txt"
    if os.environ.get("SCREENS") == "write":
        kept.write_text(text, encoding="utf-8")
    assert text == kept.read_text("utf-8")
    assert all(len(line) <= columns for line in text.splitlines())


def _whole(name: str, lines: list[str]) -> list[str]:
    """A frame, when it is not being drawn at this moment: all that is awaited is in it."""
    seen = [line.rstrip() for line in lines]
    told = [line for line in seen if line]
    whole = len(told) >= LINES[name] and told[-1].lstrip().startswith("└──")
    awaited = {"at-work": "✗ web33", "followed": "waiting"}[name]
    return seen if whole and awaited in "\n".join(told) else []
