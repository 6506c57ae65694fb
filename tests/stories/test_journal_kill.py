"""The journal under `kill -9`: what was acknowledged is there, once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

from backout.adapters.storage.journal import SqliteJournal
from backout.model import Record

TRIALS = 10
HOSTS = 4

DEPLOYER = """
import sys, threading
from datetime import UTC, datetime
from backout.adapters.storage.journal import SqliteJournal
from backout.model import Release

path, run = sys.argv[1:]
journal = SqliteJournal(path, str)
journal.open_run(run, run, "deploy", "deploy", {}, "ann", datetime.now(UTC), {})

def acknowledge(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

def host(name):
    n = 0
    while True:
        journal.begin(run, f"{name}/{n}", {"undo": n})
        acknowledge(f"begin {name}/{n}")
        journal.end(run, f"{name}/{n}", {"output": "x" * 500})
        acknowledge(f"end {name}/{n}")
        n += 1

def ledger():
    while True:
        number = journal.next_number(run)
        acknowledge(f"given {number}")
        journal.finish(run, "succeeded", {"number": number}, release=Release(number, "abc"))
        acknowledge(f"decided {number}")

for name in ("web0", "web1", "web2", "web3"):
    threading.Thread(target=host, args=(name,)).start()
ledger()
"""


def deploy_and_kill(path: Path, run: str, after: int) -> list[str]:
    """What a deployer was told to be durable, when it was killed after so many answers."""
    with subprocess.Popen(
        [sys.executable, "-c", DEPLOYER, str(path), run], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(after)]
        child.kill()
        told += child.stdout.readlines()
    assert child.returncode == -9
    return [line.strip() for line in told if line.endswith("\n")]


def name_of(record: Record) -> str:
    return f"{record.kind} {record.key or record.body['number']}"


def test_no_acknowledged_record_is_lost_or_doubled_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(20240130)
    for trial in range(TRIALS):
        run = f"run-{trial}"
        told = deploy_and_kill(path, run, after=chance.randrange(1, 250))
        with SqliteJournal(path, str) as journal:
            records = Counter(map(name_of, journal.recall(run)))
            numbers = [row.number for row in journal.releases(run)]
            next_number = journal.peek_number(run)
            unfinished = journal.open_run_of(run)

        acknowledged = {line for line in told if not line.startswith("given")}
        assert acknowledged <= set(records)
        assert set(records.values()) <= {1}
        assert all(f"begin {key[4:]}" in records for key in records if key.startswith("end "))
        assert unfinished is not None
        assert unfinished.id == run
        assert len(records - Counter(acknowledged)) <= HOSTS + 1  # those that were under way

        decided = {int(name.split()[1]) for name in records if name.startswith("decided")}
        assert decided == set(numbers)
        given = {int(line.split()[1]) for line in told if line.startswith("given")}
        assert max(given | decided, default=0) < next_number
