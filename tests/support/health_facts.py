"""What a status page may have to show: months of looks, releases, incidents, and a run."""

from __future__ import annotations

import random
from collections.abc import Sequence

from backout.model import CheckKey, Incident, Sample, Verdict
from backout.reports.report import Report
from backout.status_page.facts import DAY, HOUR, Deployed, Fact, History, Ran, Watched
from backout.watch.rollups import Tally, bucket_of

NOW = 1_780_000_000.0
"""Thursday, 28 May 2026, 20:26:40 UTC."""


def tally(passed: int, failed: int = 0, untold: int = 0, latency: float = 40.0) -> Tally:
    looks = passed + failed + untold
    return Tally((passed, failed, untold, 0), ((bucket_of(latency), looks),) if looks else ())


def history(
    name: str,
    host: str = "",
    *,
    target: str = "prod",
    verdict: Verdict = Verdict.PASS,
    reason: str = "",
    days: int = 90,
    bad: Sequence[int] = (),
    now: float = NOW,
    latency: float = 42.0,
) -> History:
    """A check with so many days behind it; `bad` are days ago on which something failed."""
    check_key = CheckKey(target, name, host)
    dice = random.Random(f"{name}{host}")
    today, hour = int(now // DAY), int(now // HOUR)
    hours = {}
    for ago in range(min(days * 24, 168)):
        slow = latency * (2.1 if 30 < ago < 44 else 1) * dice.uniform(0.85, 1.2)
        hours[hour - ago] = (slow, slow * dice.uniform(1.25, 1.9))
    return History(
        check_key,
        Sample(check_key, now - 12, verdict, latency, 0.2, reason),
        {today - ago: tally(1440 - 90 * (ago in bad), 90 * (ago in bad)) for ago in range(days)},
        hours,
        rhythm="every 1m00s",
        expect=("status == 200", "body.status == 'ok'"),
    )


RELEASES = (
    Deployed(43, "8d1f0aa91c", "20260528-180102-1b2c", NOW - 2.4 * HOUR, current=True),
    Deployed(42, "3f9c2e1bb0", "20260526-120102-aa01", NOW - 2.3 * DAY, undone=NOW - 2.2 * DAY),
    Deployed(41, "91ab2e0cd2", "20260522-120102-aa00", NOW - 6 * DAY),
)
RUNS = (
    Ran(
        "20260528-180102-1b2c",
        "deploy",
        "deploy",
        "anna@laptop",
        NOW - 2.4 * HOUR,
        NOW - 2.38 * HOUR,
        "succeeded",
        "43 (8d1f0aa)",
    ),
    Ran(
        "20260527-090102-77aa",
        "rollback",
        "deploy",
        "watcher@ops",
        NOW - 1.4 * DAY,
        NOW - 1.399 * DAY,
        "succeeded",
        "41 (91ab2e0)",
    ),
    Ran(
        "20260526-120102-aa01",
        "deploy",
        "deploy",
        "ben@laptop",
        NOW - 2.3 * DAY,
        NOW - 2.29 * DAY,
        "backed_out",
        "42 (3f9c2e1)",
    ),
)
FAILING = Incident(
    CheckKey("prod", "add-concert", "web2"),
    "fail",
    NOW - 490,
    NOW - 370,
    {
        "verdict": "fail",
        "expected": ["status == 200", "has(body.result.objectId)"],
        "came": "status == 200 (status is 400); has(body.result.objectId) (body.result is missing)",
        "excerpt": '400 {"code":142,"error":"user is required"}',
        "looks": 3,
    },
    7,
    NOW - 370,
    "anna",
)
PAST = Incident(
    CheckKey("prod", "alive", "web1"),
    "unknown",
    NOW - 3 * DAY,
    NOW - 3 * DAY + 60,
    {
        "verdict": "error",
        "expected": ["status == 200"],
        "came": "connection refused by 10.0.0.1:443",
    },
    5,
    NOW - 3 * DAY,
    "",
    NOW - 3 * DAY + 900,
)


def watched(*, now: float = NOW) -> tuple[Watched, ...]:
    """Two targets on a bad day."""
    prod = Watched(
        "prod",
        (
            history("alive", "web1", bad=(3,)),
            history("alive", "web2", bad=(3, 40, 41), latency=48),
            history(
                "add-concert",
                "web2",
                verdict=Verdict.FAIL,
                reason=str(FAILING.evidence["came"]),
                bad=(0, 12),
                latency=310,
            ),
            history("certificate", days=34, latency=88),
            history("schema", verdict=Verdict.ERROR, reason="could not connect", days=3, latency=9),
        ),
        (FAILING, PAST),
        RELEASES,
        RUNS,
    )
    staging = Watched("staging", (history("alive", target="staging", days=2),))
    return prod, staging


def run_facts(start: float = NOW) -> tuple[Fact, ...]:
    """A deploy to two hosts that fails on the second and is backed out."""
    facts: list[Fact] = []

    def act(
        key: str,
        step: str,
        host: str,
        phase: str,
        at: float,
        took: float,
        state: str = "done",
        **more: object,
    ) -> None:
        about = {"step": step, "host": host, "phase": phase}
        undo = {"text": f"git -C /srv/gigz checkout --detach 91ab2e0 # {step}", "data": {}}
        facts.append(Fact("begin", key, start + at, {**about, "undo": undo}))
        body = {
            **about,
            "state": state,
            "seconds": took,
            "exit_code": 0,
            "stdout": "",
            "stderr": "",
            "reason": "",
            **more,
        }
        facts.append(Fact("end", key, start + at + took, body))

    act("c", "Commit the fix", "", "do", 0.2, 0.4, stdout="[main 8d1f0aa] Fix user concerts")
    act("p", "Push", "", "do", 0.7, 1.9, stderr="To origin\n   91ab2e0..8d1f0aa  main -> main")
    act("u1", "Update the code", "web1", "do", 2.7, 3.1, stdout="HEAD is now at 8d1f0aa")
    act("r1", "Restart", "web1", "settle", 5.9, 4.2)
    act("v1", "Prove it", "web1", "settle", 10.2, 1.1)
    act("u2", "Update the code", "web2", "do", 11.5, 2.6)
    act(
        "r2",
        "Restart",
        "web2",
        "settle",
        14.2,
        8.0,
        "failed",
        exit_code=1,
        reason="it restarted 3 times within 5 s",
        stderr="Error: Cannot find module './lib/concerts'\n    at Module._resolveFilename",
    )
    facts.append(Fact("back_out", "", start + 22.3, {"reason": "web2 failed at Restart"}))
    act("u2/undo", "Update the code", "web2", "undo", 22.4, 1.2)
    act("u1/undo", "Update the code", "web1", "undo", 22.4, 1.4)
    act("r2/back", "Restart", "web2", "back", 24.0, 3.8)
    act("r1/back", "Restart", "web1", "back", 24.0, 3.6)
    facts.append(Fact("decided", "", start + 28.0, {"outcome": "backed_out"}))
    return tuple(sorted(facts, key=lambda fact: fact.at))


REPORT = Report.read(
    {
        "run": "20260528-180102-1b2c",
        "verb": "deploy",
        "target": "prod",
        "runbook": "deploy",
        "outcome": "backed_out",
        "exit_code": 4,
        "reason": "web2 failed at Restart",
        "started_at": "2026-05-28T20:26:40.000Z",
        "ended_at": "2026-05-28T20:27:08.100Z",
        "release": {"from": "41 (91ab2e0)", "to": "43 (8d1f0aa)"},
        "hosts": {
            "web1": {"release": "41 (91ab2e0)", "state": "backed out"},
            "web2": {"release": "41 (91ab2e0)", "state": "backed out"},
        },
        "checks": [
            {
                "name": "alive",
                "host": "web1",
                "verdict": "pass",
                "elapsed_ms": 41.2,
                "failed": [],
                "reason": "",
                "excerpt": "",
            },
            {
                "name": "alive",
                "host": "web2",
                "verdict": "fail",
                "elapsed_ms": 43.9,
                "failed": ["status == 200"],
                "reason": "status == 200 (status is 502)",
                "excerpt": "502 Bad Gateway",
            },
        ],
        "advice": "",
        "next": "invoke show 20260528-180102-1b2c",
        "by": "anna@laptop",
    }
)
