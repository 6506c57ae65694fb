"""What a ledger in PostgreSQL costs beside a journal in a file: records a second, beside a bare
insert and commit, by one writer and by eight at once; and a whole deploy over SSH hosts.

python bench/ledger.py [--hosts 50] [--records 2000]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from backout.adapters.storage.journal import RunJournal, SqliteJournal
from backout.adapters.storage.postgres.address import Address
from backout.adapters.storage.postgres.journal import PostgresJournal
from support.journals import empty_ledger
from support.postgres import Postgres
from support.project import Project
from support.runs import opened
from support.sshd import SshdBed

BODY = {"state": "done", "stdout": "x" * 300, "reason": "", "saved": {}}
ROUNDS = 5
STEPS = 4


def rate(records: int, write: Callable[[int], object], writers: int = 1) -> float:
    begun = time.perf_counter()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(records)))
    return round(records / (time.perf_counter() - begun))


def journal_rates(journal: RunJournal, records: int) -> dict[str, float]:
    opened(journal, "r1")
    write = partial(_end, journal)
    return {"one": rate(records, write), "eight at once": rate(records, write, 8)}


def _end(journal: RunJournal, number: int) -> None:
    journal.end("r1", f"web{number}", BODY)


def bare(dsn: str, records: int) -> float:
    """The same text, inserted and committed by psycopg alone."""
    text = json.dumps(BODY)
    with psycopg.connect(dsn, autocommit=True) as db:
        db.execute("CREATE TABLE bare (n int, body text)")
        return rate(records, lambda n: db.execute("INSERT INTO bare VALUES (%s, %s)", (n, text)))


def project_of(directory: Path, hosts: SshdBed, ledger: str) -> Project:
    """One that deploys some steps to all of the hosts."""
    project = Project(directory)
    project.inventory(
        "prod",
        {
            "hosts": hosts.inventory_hosts(),
            "ssh": hosts.inventory_ssh(),
            "rollout": {"batches": ["100%"], "soak": "0s"},
            "checks": {"there": {"command": "true", "expect": ["exit_code == 0"]}},
            "state": f".backout-{directory.name}",
        },
    )
    step = {"run": "true", "undo": "true", "on": "web"}
    steps = [{"name": f"Step {n}", **step} for n in range(STEPS)]
    settle = [{"name": "Prove it", "verify": "all"}]
    project.runbook("deploy", {"summary": "Steps.", "steps": steps, "settle": settle})
    if ledger:
        project.env["BACKOUT_LEDGER"] = ledger
    return project


def seconds_of_deploys(projects: Sequence[Project]) -> list[float]:
    """Seconds of a deploy of each, in turn, the median of several; the first ones do not count."""
    took: list[list[float]] = [[] for _ in projects]
    for _ in range(ROUNDS + 1):
        for times, project in zip(took, projects, strict=True):
            begun = time.perf_counter()
            said = project.say("deploy", "--target", "prod", "--json", alone=True)
            times.append(time.perf_counter() - begun)
            assert said.code == 0, said.out + said.err
    return [round(statistics.median(times[1:]), 2) for times in took]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--records", type=int, default=2000)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ledger-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        kept = ("shared_buffers=128MB",)
        with Postgres(Path(name) / "postgres", kept) as server:
            with SqliteJournal(Path(name) / "file" / "journal.db", str) as journal:
                print("file, records a second:", journal_rates(journal, words.records), flush=True)
            with PostgresJournal(Address(empty_ledger(server)), str) as journal:
                found = journal_rates(journal, words.records)
                print("PostgreSQL, records a second:", found, flush=True)
            print("bare psycopg, one:", bare(empty_ledger(server), words.records), flush=True)
            names = tuple(f"web{n}" for n in range(words.hosts))
            with SshdBed(Path(name) / "bed", names) as hosts:
                addresses = {"a": "", "b": empty_ledger(server)}
                file, shared = seconds_of_deploys(
                    [project_of(Path(name) / each, hosts, dsn) for each, dsn in addresses.items()]
                )
            times = f"{file} s and {shared} s, {shared / file:.2f} times"
            print(f"a deploy over {words.hosts} hosts, file and PostgreSQL: {times}")


if __name__ == "__main__":
    main()
