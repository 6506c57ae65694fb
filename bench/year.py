"""A year of 1,000 checks a minute, each from three zones, in one PostgreSQL: what each table comes
to month by month, what a look costs after the year beside one in the first week, and how many looks
a second the database takes beside the 16.7 that are needed.

    python bench/year.py [--days 365] [--brief] [--plot docs/img]       exit 1 when over a bound

The clock is pretended, the code and the server are not. What is played how:

- Looks: at the beginning and at the end the 2,880,000 of the two days for which they are kept are
  laid down, an hour by a statement; then some hours (`--full`) in full: 60,000 looks each with what
  three zones said, rolled up, and as many forgotten. So their table stands at its ceiling twice.
- All days between are thin: each hour and each day of each check as it is rolled up (24,000 and
  1,000 rows a day, of the bytes that sixty looks make), no looks. With `--brief` there are hours,
  which are kept for 35 days, in the first 40 days and in the last 38 alone.
- In full: incidents (each check is ill once a month), four messages of each, silences, snapshots,
  automatic reverts, hosts that are replaced, restarts of the watcher.
- What zones are asked (three questions a look, each asked, taken and answered) in full for
  `--asked` minutes a month: a question takes the place of the one before, so that only dead rows
  could pile up. The database's own clock cannot be pretended: what goes by it is made older daily.

The server is quick and forgetful (fsync off) while it grows, with an autovacuum that looks each
second, which are minutes here; how many looks a second it takes is measured with a durable one.
What a look costs is the processor of the watcher and of its session with the database, for an hour
of looks written as a watcher does (17 at once) and rolled up, young and old in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.journals import empty_ledger
from support.postgres import Postgres
from support.year import ABOUT, BEGIN, ZONES, Size, Year, inventory

BRIEF = (40, 38)
"""The first days and the last ones of which hours are played, when it is to be over soon."""
DEARER = 1.1
"""How much more a look may cost after the year."""
FLAT = 1.25
"""How much larger a table may be at the end than when it came to its window for the first time:
autovacuum lets a fifth of a table die before it comes."""
WINDOWS = {"look": 2, "hour": 35, "letter": 30, "question": 35, "settled": 7, "silence": 30}
"""Days after which a table cannot grow further. What is not named keeps a row a check, target or
process; `day`, `incident`, `revert` and what hangs on them are kept for 800 days."""
QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum_naptime=1s")
MEMORY = ("shared_buffers=256MB", "max_wal_size=2GB")
A_TURN = 17
"""Looks that a watcher writes at once when it has a thousand to write each minute."""
ROUNDS = 3


def grow(
    year: Year, days: int, asked: int, brief: tuple[int, int] | None
) -> list[tuple[float, Mapping[str, Size]]]:
    """Days that are played thin; what the tables came to at the end of each month."""
    found = []
    for day in range(1, days + 1):
        year.day(hours=brief is None or not brief[0] < day <= days - brief[1])
        if day % 30 == 0 or day == days:
            for _ in range(asked):
                year.questions(year.keys)
            found.append((tell(year), year.sizes()))
    return found


def tell(year: Year) -> float:
    """Prints what the tables come to; which day it is."""
    sizes, day = year.sizes(), year.age
    total = sum(each.bytes for each in sizes.values()) / 1e6
    several = (f"{n} {s.rows:,} ({s.bytes / 1e6:.1f})" for n, s in sizes.items() if s.rows)
    print(f"day {day:5.1f}: {total:6.0f} MB: {', '.join(several)}", flush=True)
    return day


def over(months: list[tuple[float, Mapping[str, Size]]]) -> list[str]:
    """The tables that are larger at the end than when they came to their windows."""
    found, (_, last) = [], months[-1]
    for name, window in WINDOWS.items():
        first = next((sizes[name].bytes for day, sizes in months if day >= window), 0)
        if first:
            print(
                f"  {name:9} {last[name].bytes / first:5.2f} x of what it was after {window} days"
            )
        if last[name].bytes > max(FLAT * first, 1e6):
            found.append(name)
    return found


# --- what a look costs -----------------------------------------------------------------------


def cost(young: Year, old: Year, rounds: int) -> float:
    """Processor of an hour of looks, rolled up, after the year beside after two days."""
    ratios = []
    for _ in range(rounds):
        (here, took), (there, longer) = an_hour(young), an_hour(old)
        ratios.append(there / here)
        print(
            f"  an hour of looks: {here:.1f} s of a processor young, {there:.1f} s old:"
            f" {there / here:.2f} x ({took:.0f} s and {longer:.0f} s by the clock)",
            flush=True,
        )
    return statistics.median(ratios)


def an_hour(year: Year) -> tuple[float, float]:
    """What it takes of the watcher's and the server's processor, and by the clock."""
    words = "SELECT pg_backend_pid()"
    pid = year.store.change(lambda db: db.execute(words).fetchone()[0])
    begun = time.process_time() + processor(pid)
    at = time.perf_counter()
    year.minutes(60)
    return time.process_time() + processor(pid) - begun, time.perf_counter() - at


def processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- how many it takes -----------------------------------------------------------------------


def rate(year: Year) -> float:
    """Looks a second that three zones are asked for, answer, and that are written."""
    over = Event()

    def work(zone: str) -> None:
        while not over.is_set():
            if not year.answer(zone):
                over.wait(0.1)

    with ThreadPoolExecutor(len(ZONES)) as workers, ThreadPoolExecutor(100) as askers:
        asking = year.asking()
        working = [workers.submit(work, zone) for zone in ZONES]
        begun = time.perf_counter()
        try:
            looked = [
                askers.submit(asking.ask, key, ZONES, inventory(key), ABOUT, 30.0)
                for key in year.keys
            ]
            for start in range(0, len(looked), A_TURN):
                said = [each.result() for each in looked[start : start + A_TURN]]
                assert all(each.answered for zones in said for each in zones.values())
                year.looks(year.keys[start : start + A_TURN])
            took = time.perf_counter() - begun
        finally:
            over.set()
            asking.close()
        for each in working:
            each.result()
    return len(year.keys) / took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--asked", type=int, default=3)
    parser.add_argument("--full", type=int, default=24, help="hours in full, twice")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--plot", type=Path)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="year-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        return play(Path(name) / "postgres", words)


def play(place: Path, words: argparse.Namespace) -> int:
    with Postgres(place, (*QUICK, *MEMORY)) as server:
        dsn = empty_ledger(server)
        old = Year(dsn, words.checks, together=min(250, words.checks))
        old.lay(2)
        old.minutes(words.full * 60)
        months = [(tell(old), old.sizes())]
        old.close()
        base = dsn.rpartition("/")[2]
        server.sql(f"CREATE DATABASE young TEMPLATE {base} STRATEGY file_copy")
        old.open()
        months += grow(old, words.days - 5, words.asked, BRIEF if words.brief else None)
        old.lay(2)
        old.minutes(words.full * 60)
        months.append((tell(old), old.sizes()))
        young = Year(server.dsn("young"), words.checks, now=BEGIN + months[0][0] * 86400)
        young.together = old.together = A_TURN
        dearer = cost(young, old, words.rounds)
        young.close()
        old.close()
    with Postgres(place, MEMORY) as server:
        durable = Year(server.dsn(base), words.checks, now=old.now)
        takes = statistics.median(rate(durable) for _ in range(words.rounds))
        durable.close()
    return judge(months, dearer, takes, words)


def judge(
    months: list[tuple[float, Mapping[str, Size]]],
    dearer: float,
    takes: float,
    words: argparse.Namespace,
) -> int:
    needed = words.checks / 60
    grown = over(months)
    print(f"after {words.days} days a look costs {dearer:.2f} x (asked: at most {DEARER} x)")
    print(f"{takes:.0f} looks a second, {takes / needed:.1f} x of what is needed ({needed:.1f})")
    print(f"tables that grew beyond {FLAT} x: {', '.join(grown) or 'none'}")
    if words.plot:
        picture(months, words.plot)
    return int(bool(grown) or dearer > DEARER or takes < needed)


def picture(months: list[tuple[float, Mapping[str, Size]]], place: Path) -> None:
    from plots import draw

    place.mkdir(exist_ok=True)
    (place / "year.json").write_text(
        json.dumps([[day, {n: [s.rows, s.bytes] for n, s in z.items()}] for day, z in months])
    )
    names = [name for name in months[-1][1] if months[-1][1][name].bytes > 1e5]
    curves = {name: [(day, sizes[name].bytes / 1e6) for day, sizes in months] for name in names}
    draw(
        place / "year.svg",
        "A year of 1,000 checks a minute from three zones",
        ("day", "megabytes, with indices"),
        curves,
        log="y",
    )


if __name__ == "__main__":
    sys.exit(main())
