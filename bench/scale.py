"""What a host costs among a hundred and among a thousand: processor and memory of one run of a
few reading commands, beside a bare Paramiko loop that does the same. Or how a deploy grows: time,
processor, memory and journal over more and more hosts.

    python bench/scale.py [--hosts 100 1000] [--commands 3]   exit 1 when over its budgets
    python bench/scale.py --grow 1 10 30 100 300 1000 --plot docs/img

In a network of its own one sshd listens on every loopback address, and each login has a home by
the address that it came to: to Backout these are so many machines. A host's cost is what a run
takes more than one of a single host, divided by the number of hosts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from plots import draw

from support.machine import Machine
from support.ports import free_port
from support.project import Project
from support.ssh_bed import make_key
from support.sshd import SshdHost

HERE = Path(__file__).parent
MORE = 1.3
"""How much more processor a host may take among many than among few."""
MEMORY = 150
"""Megabytes that a run of the most hosts may take."""
ENOUGH = 300
"""Of more hosts a bare loop takes minutes: each idle connection wakes ten times a second."""
ALONE = "BACKOUT_BENCH_ALONE"
"""Set where the network is this program's own."""
LOGIN = """\
#!/bin/sh
set -- $SSH_CONNECTION
HOME=HOMES/$3; export HOME
[ -d "$HOME" ] || mkdir -p "$HOME"
cd "$HOME" && exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
"""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    processor: float
    megabytes: float
    seconds: float


class Fleet:
    """So many addresses of one sshd."""

    def __init__(self, place: Path, port: int) -> None:
        self.place = place
        self.port = port
        self.identity = place / "identity"
        keys = place / "authorized_keys"
        make_key(self.identity, "bench")
        keys.write_text(self.identity.with_suffix(".pub").read_text())
        login = place / "login"
        login.write_text(LOGIN.replace("HOMES", str(place / "homes")))
        login.chmod(0o755)
        everywhere = "0.0.0.0"  # noqa: S104 - of a network that has nothing but its loopback
        self.host = SshdHost(Machine("fleet", place / "machine"), everywhere, port, keys)
        self.options = {"ForceCommand": str(login), "MaxStartups": "3000"}

    def addresses(self, count: int) -> list[str]:
        return [f"127.1.{n // 250}.{n % 250 + 1}" for n in range(count)]

    def known_hosts(self, count: int) -> Path:
        kind, key = self.host.public_key.split()[:2]
        file = self.place / "known_hosts"
        lines = (f"[{a}]:{self.port} {kind} {key}\n" for a in self.addresses(count))
        file.write_text("".join(lines))
        return file


def backout(
    fleet: Fleet, count: int, commands: int, *, changing: bool = False
) -> tuple[list[str], Path]:
    project = Project(fleet.place / f"project-{count}-{time.monotonic_ns()}")
    hosts = {
        f"h{n}": {"address": address, "port": fleet.port}
        for n, address in enumerate(fleet.addresses(count))
    }
    ssh = {"identity": str(fleet.identity), "known_hosts": str(fleet.known_hosts(count))}
    project.inventory(
        "fleet",
        {
            "hosts": hosts,
            "ssh": {"user": "root", "connect_timeout": "60s", **ssh},
            "rollout": {"batches": ["100%"]},
            "checks": {"here": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    kind = {"undo": "true"} if changing else {"readonly": True}
    steps = [{"name": f"Command {n}", "run": "true", "on": "all", **kind} for n in range(commands)]
    project.runbook("read", {"summary": "Reading.", "steps": steps})
    words = ["run", "--target", "fleet", "--runbook", "read", "--json"]
    return [sys.executable, "-m", "backout", *words], project.directory


def bare(fleet: Fleet, count: int, commands: int) -> tuple[list[str], Path]:
    known = str(fleet.known_hosts(count))
    rows = [
        {
            "address": address,
            "port": fleet.port,
            "identity": str(fleet.identity),
            "known_hosts": known,
            "command": "true",
        }
        for address in fleet.addresses(count)
    ]
    file = fleet.place / "hosts.json"
    file.write_text(json.dumps(rows))
    program = str(HERE / "contenders/bare_paramiko.py")
    return [sys.executable, program, str(file), str(commands)], fleet.place


def cost(argv: list[str], directory: Path) -> Cost:
    started = time.perf_counter()
    with (directory / "said").open("w") as said:
        process = subprocess.Popen(
            argv,
            cwd=directory,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{argv}: {(directory / 'said').read_text()[-2000:]}")
    took = time.perf_counter() - started
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, took)


def grow(fleet: Fleet, counts: Sequence[int], commands: int, plot: Path | None) -> int:
    """A run of commands that change something, over more and more hosts."""
    curves: dict[str, list[tuple[float, float]]] = {}
    alone = 0
    for count in counts:
        argv, directory = backout(fleet, count, commands, changing=True)
        took = cost(argv, directory)
        journal = (directory / ".backout" / "journal.db").stat().st_size
        alone = alone or journal
        kept = (journal - alone) / count
        print(
            f"  {count:5} hosts: {took.seconds:6.1f} s; {took.processor:6.1f} s of a processor,"
            f" {took.processor / count * 1000:6.0f} ms a host; {took.megabytes:4.0f} MB;"
            f" {kept / 1024:5.1f} KB of journal a host",
            flush=True,
        )
        for name, value in (
            ("seconds", took.seconds),
            ("seconds of a processor", took.processor),
            ("megabytes of memory", took.megabytes),
            ("megabytes of journal", journal / 2**20),
        ):
            curves.setdefault(name, []).append((count, value))
    if plot:
        title = f"A run of {commands} changing commands on each of more and more hosts"
        draw(plot / "scale.svg", title, ("hosts", ""), curves, log="xy")
    return 0


def apart() -> None:
    """From now on this program has a network of its own; it begins again in it."""
    if not os.environ.get(ALONE):
        inside = 'ip link set lo up && exec "$@"'
        os.execvpe(  # noqa: S606 - the program and its words are our own
            "unshare",
            ["unshare", "-n", "sh", "-c", inside, "sh", sys.executable, *sys.argv],
            {**os.environ, ALONE: "1"},
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs=2, default=[100, 1000])
    parser.add_argument("--commands", type=int, default=3)
    parser.add_argument("--grow", type=int, nargs="+", help="how it grows over so many hosts")
    parser.add_argument("--plot", type=Path, help="the folder that gets the figure of that")
    words = parser.parse_args()
    apart()
    few, many = words.hosts
    with tempfile.TemporaryDirectory(prefix="scale-", dir="/tmp") as name:
        fleet = Fleet(Path(name), free_port())
        fleet.host.start()
        fleet.host.configure(**fleet.options)
        try:
            if words.grow:
                return grow(fleet, words.grow, words.commands, words.plot)
            return contest(fleet, few, many, words.commands)
        finally:
            fleet.host.end()


def contest(fleet: Fleet, few: int, many: int, commands: int) -> int:
    print(f"{few} and {many} hosts, {commands} reading commands each")
    both = (("bare Paramiko", bare, min(many, ENOUGH)), ("Backout", backout, many))
    for name, contender, many in both:
        one, some, all_ = (cost(*contender(fleet, count, commands)) for count in (1, few, many))
        a_host = [(c.processor - one.processor) / n for c, n in ((some, few), (all_, many))]
        more = a_host[1] / a_host[0]
        print(
            f"  {name:14} {a_host[0] * 1000:6.1f} ms of a processor a host among {few},"
            f" {a_host[1] * 1000:6.1f} among {many}: {more:.2f} x;"
            f" {all_.megabytes:.0f} MB; {all_.seconds:.0f} s"
        )
    return int(more > MORE or all_.megabytes > MEMORY)


if __name__ == "__main__":
    sys.exit(main())
