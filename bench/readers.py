"""What it costs a deploy that many read it meanwhile in the web view: the median of paired runs,
with and without readers, each of whom follows the run by server-sent events. Readers are elsewhere:
what they need themselves gives way here.

python bench/readers.py [readers] [pairs]      exit 1 when it costs more than its budget
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

BUDGET = 1.05
STEPS = 12
PROGRAM = [sys.executable, "-m", "backout"]


def project(directory: Path) -> None:
    """A deploy as long as a short one of somebody's: each step takes a third of a second."""
    (directory / "tasks.py").write_text("from backout.tasks import ns\n")
    for folder in ("inventories", "runbooks"):
        (directory / folder).mkdir()
    well = {"command": "true", "expect": ["exit_code == 0"]}
    inventory = {
        "hosts": {"here": {"connection": "local", "groups": ["web"]}},
        "rollout": {"batches": ["100%"], "soak": 0},
        "checks": {"well": well},
    }
    steps = [
        {"name": f"Step {n}", "run": "sleep 0.3; seq 20", "undo": "true", "on": "web"}
        for n in range(STEPS)
    ]
    runbook = {"summary": "Steps.", "steps": steps, "settle": [{"name": "Prove", "verify": "all"}]}
    (directory / "inventories" / "prod.yaml").write_text(yaml.safe_dump(inventory))
    (directory / "runbooks" / "deploy.yaml").write_text(yaml.safe_dump(runbook))


def deploy(directory: Path) -> float:
    """One deploy, start to end."""
    start = time.perf_counter()
    argv = [*PROGRAM, "deploy", "--target", "prod", "--yes"]
    subprocess.run(argv, cwd=directory, capture_output=True, check=True)
    return time.perf_counter() - start


def processor(pid: int) -> float:
    """Seconds of a processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def reader(port: int, path: str) -> int:
    """Follows until the server or the deploy is done; how many parts came."""
    got = 0
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    try:
        writing.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        while chunk := await reading.read(1 << 16):
            got += chunk.count(b"event: ")
    finally:
        writing.close()
    return got


READ = (
    "import asyncio, sys; sys.path.insert(0, sys.argv[1]); import readers;"
    " asyncio.run(readers.crowd(int(sys.argv[2]), int(sys.argv[3])))"
)


async def crowd(port: int, readers: int) -> None:
    """All of them: half on the page of now, half on the run, as soon as there is one."""
    asked = [asyncio.create_task(reader(port, "/live/")) for _ in range(readers // 2)]
    while "not finished" not in (page := await runs(port)):
        await asyncio.sleep(0.2)
    run = page.partition('href="/runs/')[2].partition('"')[0]
    asked += [asyncio.create_task(reader(port, f"/live/runs/{run}")) for _ in range(readers // 2)]
    await asyncio.sleep(1)
    following = sum(not each.done() for each in asked)
    print(f"  {following} of {len(asked)} follow run {run}", flush=True)
    await asyncio.gather(*asked, return_exceptions=True)


async def runs(port: int) -> str:
    """The page of past runs."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    writing.write(f"GET /runs HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    page = await reading.read()
    writing.close()
    return page.decode()


def read_deploy(directory: Path, port: int, readers: int) -> float:
    """The same, while they read."""
    argv = [
        "nice",
        "-n",
        "19",
        sys.executable,
        "-c",
        READ,
        str(Path(__file__).parent),
        str(port),
        str(readers),
    ]
    with subprocess.Popen(argv) as reading:
        try:
            return deploy(directory)
        finally:
            reading.terminate()


def main() -> int:
    readers = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    pairs = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        project(directory)
        deploy(directory)
        serve = [*PROGRAM, "serve", "--listen", "0"]
        with subprocess.Popen(serve, cwd=directory, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
            try:
                ratios = []
                for _ in range(pairs):
                    alone, before = deploy(directory), processor(server.pid)
                    read = read_deploy(directory, port, readers)
                    ratios.append(read / alone)
                    busy = 100 * (processor(server.pid) - before) / read
                    print(
                        f"alone {alone:.2f} s, with {readers} readers {read:.2f} s;"
                        f" meanwhile the server took {busy:.0f} % of a processor",
                        flush=True,
                    )
            finally:
                server.terminate()
    measured = statistics.median(ratios)
    print(f"{readers} readers cost a deploy {100 * (measured - 1):+.1f} % (budget +5 %)")
    return int(measured > BUDGET)


if __name__ == "__main__":
    sys.exit(main())
