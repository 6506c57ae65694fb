"""50 SSH hosts x 10 commands, as whole processes: Backout with its durable journal, its leases
and its notes on the hosts, against a bare Paramiko loop, Fabric's group, pyinfra and Ansible.

    python bench/fanout.py [--hosts 50] [--commands 10] [--rounds 5] [--delay MS] [--peers]

Contenders take turns; the figures are ratios of each round's wall time to that round's bare loop.
`--delay 40` makes the links to the hosts longer, by so many milliseconds of each round trip.
`--peers` also runs pyinfra and Ansible, from a virtual environment of their own.

The journal is on this machine's disk. What the hosts write is in memory where there is a /dev/shm:
on that same disk, each flush of the journal would carry the files of fifty other machines.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from delayed import proxies  # noqa: E402 - it is beside this file

from support.ports import free_port, release  # noqa: E402 - the path comes first
from support.project import Project  # noqa: E402 - the path comes first
from support.sshd import SshdBed  # noqa: E402

COMMAND = "echo hello >/dev/null"
Contender = Callable[[], list[str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--commands", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--peers", action="store_true")
    words = parser.parse_args()
    names = [f"h{number}" for number in range(words.hosts)]
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(prefix="fanout-", dir="/tmp") as name,
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else name) as disks,
        SshdBed(Path(disks) / "bed", names) as bed,
        longer(bed, words.delay),
    ):
        contest(Path(name), bed, words)
    return 0


@contextmanager
def longer(bed: SshdBed, delay: float) -> Iterator[None]:
    """Reach every host through a proxy that makes a round trip so many milliseconds longer."""
    if not delay:
        yield
        return
    port = free_port([host.address for host in bed])
    pairs = [((host.address, port), (host.address, host.port)) for host in bed]
    with proxies(delay / 2000, pairs):
        for host in bed:
            host.port = port
        bed.pin_keys()
        yield
    release(port)


def contest(place: Path, bed: SshdBed, words: argparse.Namespace) -> None:
    project = prepare(place, bed, words.commands)
    hosts = str(place / "hosts.json")
    backout = [sys.executable, "-m", "backout", "run", "--target", "fleet", "--json"]
    count = str(words.commands)
    contenders: dict[str, list[str]] = {
        "bare Paramiko": [sys.executable, str(HERE / "contenders/bare_paramiko.py"), hosts, count],
        "Backout, commands that change": [*backout, "--runbook", "change"],
        "Backout, commands that read": [*backout, "--runbook", "read"],
        "Fabric group": [sys.executable, str(HERE / "contenders/fabric_group.py"), hosts, count],
    }
    if words.peers:
        contenders |= peers(place, bed, words.commands)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(words.rounds + 1):
        for name, command in contenders.items():
            took = run(command, project.directory)
            if turn:  # the first round only warms up
                seconds[name].append(took)
    tell(seconds, words)


def prepare(place: Path, bed: SshdBed, commands: int) -> Project:
    project = Project(place / "project")
    project.inventory(
        "fleet",
        {
            "hosts": bed.inventory_hosts(),
            "ssh": bed.inventory_ssh(),
            "rollout": {"batches": ["100%"]},
            "checks": {"here": {"command": "true", "expect": ["exit_code == 0"]}},
        },
    )
    for name, extra in (("change", {"undo": "true"}), ("read", {"readonly": True})):
        steps = [
            {"name": f"Command {n}", "run": COMMAND, "on": "all", **extra} for n in range(commands)
        ]
        settle = [{"name": "Prove it", "verify": "all"}]
        project.runbook(name, {"summary": "Ten commands.", "steps": steps, "settle": settle})
    rows = [
        {
            "address": host.address,
            "port": host.port,
            "identity": str(bed.identity),
            "known_hosts": str(bed.known_hosts),
            "command": COMMAND,
        }
        for host in bed
    ]
    (place / "hosts.json").write_text(json.dumps(rows))
    return project


def peers(place: Path, bed: SshdBed, commands: int) -> dict[str, list[str]]:
    """pyinfra and Ansible, installed for the occasion."""
    home = Path(os.environ.get("BACKOUT_BENCH_CACHE") or Path.home() / ".cache" / "backout-bench")
    if not (home / "bin" / "ansible-playbook").exists():
        venv.create(home, with_pip=True)
        packages = ["pyinfra>=3,<4", "ansible-core>=2.16,<3"]
        subprocess.run([home / "bin" / "pip", "install", "-q", *packages], check=True)
    hosts = "".join(
        f"    ({host.address!r}, {{'ssh_port': {host.port}, 'ssh_user': 'root',"
        f" 'ssh_key': {str(bed.identity)!r}, 'ssh_known_hosts_file': {str(bed.known_hosts)!r}}}),\n"
        for host in bed
    )
    (place / "inventory.py").write_text(f"hosts = [\n{hosts}]\n")
    operations = "\n".join(f"server.shell(commands=[{COMMAND!r}])" for _ in range(commands))
    (place / "operations.py").write_text(f"from pyinfra.operations import server\n{operations}\n")
    lines = [
        f"{host.name} ansible_host={host.address} ansible_port={host.port} ansible_user=root"
        f" ansible_ssh_private_key_file={bed.identity}"
        f" ansible_ssh_common_args='-o UserKnownHostsFile={bed.known_hosts}'"
        for host in bed
    ]
    (place / "hosts.ini").write_text("\n".join(lines) + "\n")
    tasks = [{"raw": COMMAND} for _ in range(commands)]
    (place / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}])
    )
    pyinfra = [str(home / "bin" / "pyinfra"), "-y", str(place / "inventory.py")]
    ansible = [str(home / "bin" / "ansible-playbook"), "-i", str(place / "hosts.ini")]
    return {
        "pyinfra": [*pyinfra, str(place / "operations.py")],
        "Ansible": [*ansible, "-f", "64", str(place / "play.yml")],
    }


def run(command: list[str], directory: Path) -> float:
    compiled = {"PYTHONDONTWRITEBYTECODE": ""}  # nobody's source is compiled in every round
    env = {**os.environ, **compiled, "ANSIBLE_PIPELINING": "1", "NO_COLOR": "1"}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=directory, env=env, capture_output=True, text=True, check=False
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{shutil.which(command[0])}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return took


def tell(seconds: Mapping[str, list[float]], words: Any) -> None:
    bare = seconds["bare Paramiko"]
    link = f", {words.delay:g} ms a round trip" if words.delay else ""
    print(f"{words.hosts} hosts x {words.commands} commands, {words.rounds} rounds{link}")
    for name, took in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(took, bare, strict=True)]
        print(
            f"  {name:32} {statistics.median(ratios):5.2f} x bare"
            f"  ({min(ratios):.2f} to {max(ratios):.2f}; median {statistics.median(took):.2f} s)"
        )


if __name__ == "__main__":
    sys.exit(main())
