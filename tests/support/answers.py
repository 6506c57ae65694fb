"""Answers of the verbs that look around, write and keep, as they are on an ordinary day: what their
screens are made of."""

from __future__ import annotations

from typing import Any

from backout.reports.around_text import logs_text, looked_text
from backout.reports.document_text import import_text
from backout.reports.keeping_text import moved_text, pruned_text, uninstalled_text
from backout.reports.notes import Imported
from backout.reports.objects import Logs, Looked, Moved, Pruned, Uninstalled, Written
from backout.reports.plans import Difference
from backout.reports.rehearsal_text import rehearsed_text
from backout.reports.report import Rehearsed
from backout.reports.ships_text import diff_text
from backout.reports.text import init_text
from backout.reports.watch_text import alerts_text, schedule_text, watch_text
from backout.reports.watched import Alerts, Installed, Watched

RUN = "20261122-073403-f1f32fae8defd3e7"
ALIVE: dict[str, Any] = {"name": "alive", "host": None, "verdict": "pass", "elapsed_ms": 12.3,
                         "failed": []}  # fmt: skip


def shipping() -> str:
    subjects = ("Retry when the venue is closed, and say so to whoever asked for it meanwhile",
                "Größe und Maß: the list of venues is no longer cut at a hundred")  # fmt: skip
    commits = [
        {"commit": f"{n}f9c2e1d0", "subject": subject, "author": "Änne Müller", "at": ""}
        for n, subject in enumerate(subjects, 3)
    ]
    files = [{"status": "M", "path": "cloud/main.js"}, {"status": "A", "path": "test/venue.js"}]
    return diff_text(Difference.read(
        {"target": "prod", "from": "aaaaaaa1", "to": "3f9c2e1d0", "commits": commits,
         "files": files, "uncommitted": ["README.md"]}))  # fmt: skip


def logged() -> str:
    lines = ("GET /health 200 4ms", "Traceback (most recent call last):",
             "KeyError: 'DATABASE_URL': what names the database is not set")  # fmt: skip
    why = "journalctl: no permission to read the journal of gigz-api"
    return logs_text(Logs.read({"target": "prod", "next": "", "logs": [
        {"host": "web1", "lines": lines}, {"host": "web2", "lines": (), "reason": ""},
        {"host": "web3", "lines": (), "reason": why}]}))  # fmt: skip


def looked() -> str:
    def row(host: str, code: int | None, out: str, state: str = "done", why: str = "") -> Any:
        return {"host": host, "state": state, "exit_code": code, "seconds": 0.2, "stdout": out,
                "stderr": "", "reason": why}  # fmt: skip

    disk = (
        "Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda1        40G   39G  0.4G  99% /"
    )
    full = disk.replace("39G  0.4G  99%", "12G   28G  30%")
    rows = [row(f"web{n:02}", 0, full) for n in range(1, 13)]
    rows += [row("web13", 0, disk), row("web14", None, "", "unreachable", "connection refused")]
    return looked_text(Looked.read(
        {"run": RUN, "target": "prod", "command": "df -h /", "exit_code": 3, "outputs": rows,
         "next": "backout doctor --target prod"}))  # fmt: skip


def begun() -> str:
    return init_text(Written.read(
        {"written": ["runbooks/deploy.yaml", "inventories/prod.yaml"], "kept": ["tasks.py"],
         "backend": "pm2", "notes": ["backend: pm2 (told by ecosystem.config.js)",
                                     "ships main of origin"],
         "next": "fill in inventories/prod.yaml, then: backout lint"}))  # fmt: skip


def imported(columns: int) -> str:
    found = [
        (3, "cd /srv/gigz-api", "setup", None, ("cwd",)),
        (4, "git pull origin main", "update", "steps[2]", ()),
        (5, "docker compose up -d --build gigz-api", "restart", "settle[0]", ()),
        (9, 'curl -X POST "$URL/functions/addConcert" -H "X-Parse-App-Id: $APP_ID" -d @c.json',
         "verify", "checks.add-concert", ()),
        (14, "git revert HEAD && git push", "rollback", None, ()),
    ]  # fmt: skip
    rows = [
        {"line": line, "text": text, "phase": phase, "into": into, "flags": flags,
         "alternative": None}
        for line, text, phase, into, flags in found
    ]  # fmt: skip
    return import_text(Imported.read({
        "source": "note.md", "runbook": {}, "inventory": {}, "found": rows, "probes": [],
        "backends": ["docker-compose"], "written": ["runbooks/note.yaml"], "kept": [],
        "placeholders": [{"line": 9, "text": "$APP_ID", "name": "secrets.app_id"}],
        "rejected": [{"line": 20, "text": "HTTP/1.1 200 OK", "reason": "it is an answer"}],
        "questions": [{"line": 9, "ask": "what must the answer hold, besides status 200?"}],
        "next": "fill in the blanks, then: backout lint"}), columns)  # fmt: skip


def watched() -> str:
    why = "status == 200 (status is 502) (tried 3 times in 6.0s)"
    red = {**ALIVE, "name": "read-back", "host": "web2", "verdict": "fail", "reason": why,
           "failed": ["status == 200 (status is 502)"]}  # fmt: skip
    targets = [
        {"target": "prod", "verdict": "fail", "checks": [ALIVE, red],
         "next": "backout status --target prod"},
        {"target": "eu/api", "verdict": "pass", "checks": [], "held": f"run {RUN}"},
    ]  # fmt: skip
    broken = {"staging": "inventories/staging.yaml:3 port: must be a port, 1 to 65535"}
    return watch_text(Watched.read({"verdict": "fail", "targets": targets, "broken": broken}))


def alerted() -> str:
    row = {"target": "prod", "check": "read-back", "host": "web2", "severity": "critical",
           "title": "prod/read-back@web2 fails", "since": "2026-11-22T07:34:10Z", "seconds": 754,
           "told": True, "acknowledged": None,
           "acknowledge": "backout alert.ack --target prod --check read-back@web2"}  # fmt: skip
    known = {**row, "title": "eu/api/alive cannot be told", "acknowledged": "ann: on it"}
    quiet = {"target": "staging", "check": None, "until": "2026-11-22T09:00:00Z", "by": "ben"}
    return alerts_text(Alerts.read({"alerts": [row, known], "silences": [quiet]}))


def installed() -> str:
    names = ("backout-watch-gigz.service", "backout-verify-prod.timer")
    rows = [{"name": name, "state": "installed and active", "text": ""} for name in names]
    return schedule_text(Installed.read({"entries": rows}))


def moved() -> str:
    return moved_text(Moved.read(
        {"file": "/home/ann/prod.history", "targets": ["prod", "eu/api"], "runs": 41,
         "next": "backout history --target prod"}))  # fmt: skip


def pruned() -> str:
    told = {"before": "2026-08-24T07:34:03Z", "runs": [RUN, RUN], "outputs": 318}
    return pruned_text(Pruned.read({**told, "bytes": 5 << 20}))


def uninstalled() -> str:
    hosts = [
        {"host": "web1", "directory": "~/.backout/prod", "kib": 120, "left": []},
        {"host": "web2", "directory": "~/.backout/prod", "kib": 80, "left": ["mine", "notes.txt"]},
        {"host": "web3", "directory": "~/.backout/prod", "kib": None, "left": []},
    ]
    told = {"target": "prod", "hosts": hosts, "runs": 41}
    return uninstalled_text(Uninstalled.read({**told, "next": "rm inventories/prod.yaml"}))


def rehearsed() -> str:
    release = {"number": 41, "commit": "aaaaaaa1"}
    good = {"run": RUN, "returned": True, "release": release, "proof": ["alive"], "seconds": 14.2}
    why = "undo Migrate failed: relation concert does not exist"
    steps = [
        {"name": "Update the code", **good},
        {"name": "Migrate", **good, "returned": False, "reason": why, "proof": []},
        {"name": "Restart", "reason": "not tried: the target had not returned"},
    ]
    return rehearsed_text(Rehearsed.read(
        {"rehearsal": RUN, "target": "staging", "runbook": "deploy", "digest": "0" * 64,
         "version": "0.1.0", "outcome": "backout_incomplete", "exit_code": 5, "reason": why,
         "release": release, "started_at": "2026-11-22T07:34:03Z",
         "ended_at": "2026-11-22T07:35:15Z", "steps": steps,
         "next": "backout resume --target staging"}))  # fmt: skip


ANSWERS = {
    "diff": shipping, "logs": logged, "exec": looked, "init": begun, "watch-once": watched,
    "alert.list": alerted, "schedule.show": installed, "history.import": moved, "prune": pruned,
    "uninstall": uninstalled, "rehearse": rehearsed,
}  # fmt: skip
"""By the verb; `imported` beside them is made for a width."""
