"""Checks against their peers, in one run: is the latency true, and what does a check cost?

python bench/health.py

The endpoint answers after a true delay and says how long it really took. `curl --parallel` asks
the same endpoint as often: what it sees is what this machine allows at this moment, so a busy
machine is told from a slow check. wrk and prometheus-blackbox-exporter come with tests/setup.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import yaml

from backout.checks.examiner import WORKERS, Examiner
from backout.model import Finding
from backout.project.project import Workplace
from support.ports import accepts, free_port
from support.process import Process
from support.tools import program
from support.wait import eventually

DELAY = 50
AT_ONCE = (100, 500)
BUDGET = 1.5
"""Milliseconds that the p95 of checks may lie above that of what the endpoint itself took."""
QUIET = 3.0
"""A machine on which curl's own p95 lies further above DELAY than this can prove nothing."""
LOOKS = 2000

SERVER = """
const delay = Number(process.argv[1]);
require('http').createServer((ask, answer) => {
  const began = process.hrtime.bigint();
  const say = () => {
    answer.setHeader('Content-Type', 'application/json');
    answer.setHeader('X-Took', Number(process.hrtime.bigint() - began) / 1e6);
    answer.end('{"status": "ok"}');
  };
  delay ? setTimeout(say, delay) : say();
}).listen(Number(process.argv[2]), '127.0.0.1', 1024);
"""


@dataclass(frozen=True)
class Cost:
    """What so many requests took."""

    requests: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def each(self) -> float:
        """Milliseconds of CPU a request."""
        return 1000 * self.cpu / self.requests


@contextmanager
def endpoint(directory: Path, delay: int) -> Iterator[str]:
    port = free_port()
    argv = [program("node"), "-e", SERVER, str(delay), str(port)]
    with Process(argv, log=directory / f"server-{delay}.log"):
        eventually(lambda: accepts("127.0.0.1", port), saying="the endpoint listens")
        yield f"http://127.0.0.1:{port}"


def examiner(directory: Path, url: str, count: int) -> Examiner:
    """So many http checks with two expectations each."""
    expect = ["status == 200", "body.status == 'ok'"]
    checks = {
        f"check-{n}": {"http": f"{{{{ vars.api }}}}/{n}", "expect": expect} for n in range(count)
    }
    inventories = directory / "inventories"
    inventories.mkdir(parents=True, exist_ok=True)
    (inventories / "bench.yaml").write_text(
        yaml.safe_dump({"vars": {"api": url}, "checks": checks})
    )
    workplace = Workplace(directory)
    return workplace.machines(workplace.target("bench")).examiner({"run": {"id": "bench"}})


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


# --- latency -------------------------------------------------------------------------------


def truth(directory: Path, url: str, count: int) -> bool:
    """Whether so many checks at once report what the endpoint really takes."""
    look = examiner(directory / f"truth-{count}", url, count)
    look.examine()
    rounds = [(look.examine(), curl_times(url, count)) for _ in range(3)]
    assert all(finding.verdict == "pass" for findings, _ in rounds for finding in findings)
    best = min((findings for findings, _ in rounds), key=_excess)
    elapsed, served = [f.elapsed_ms for f in best], list(map(_served, best))
    control = min(percentile(times, 0.95) for _, times in rounds)
    excess, busy = _excess(best), control - DELAY
    print(f"{count} checks at once of an endpoint that takes {DELAY} ms")
    print(f"  the endpoint itself      {_both(served)}")
    print(f"  curl --parallel                      p95 {control:6.1f} ms")
    print(f"  backout                  {_both(elapsed)}   (+{excess:.2f}, budget {BUDGET:g})")
    print(f"  queue delay, kept apart  {_both([finding.queued_ms for finding in best])}")
    if busy > QUIET:
        print("  this machine is too busy: curl itself does not see the truth now")
    return excess <= BUDGET or busy > QUIET


def _served(finding: Finding) -> float:
    return float(finding.facts["headers"]["x-took"])


def _excess(findings: Sequence[Finding]) -> float:
    """How far the p95 of what the checks saw lies above that of what the endpoint took."""
    seen = percentile([finding.elapsed_ms for finding in findings], 0.95)
    return seen - percentile(list(map(_served, findings)), 0.95)


def _both(values: list[float]) -> str:
    return f"p50 {percentile(values, 0.5):6.1f}  p95 {percentile(values, 0.95):6.1f} ms"


def curl_times(url: str, count: int) -> list[float]:
    done = curl(url, count, "-w", "%{time_total}\n")
    return [float(line) * 1000 for line in done.splitlines() if line.strip()]


def curl(url: str, count: int, *more: str) -> str:
    argv = [program("curl"), "-s", "--parallel", "--parallel-immediate"]
    argv += ["--parallel-max", str(WORKERS)]
    argv += ["-H", "Connection: close", "-o", "/dev/null", *more, f"{url}/[1-{count}]"]
    return told(argv)


def told(argv: list[str]) -> str:
    """What a program printed; one that hangs is ended."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout


# --- cost ----------------------------------------------------------------------------------


def measured(count: int, work: Callable[[], object], cpu: Callable[[], float]) -> Cost:
    spent, began = cpu(), time.perf_counter()
    done = work()
    seconds = time.perf_counter() - began
    return Cost(done if isinstance(done, int) else count, seconds, cpu() - spent)


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def of_process(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ours(directory: Path, url: str) -> Cost:
    """Looks as the watcher makes them: each rendered, made, judged, and cleared of secrets."""
    look = examiner(directory / "cost", url, AT_ONCE[0])
    names = [f"check-{n % AT_ONCE[0]}" for n in range(LOOKS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda name: look.look(name, None), names[: AT_ONCE[0]]))

        def work() -> None:
            for (finding,) in pool.map(lambda name: look.look(name, None), names):
                assert finding.verdict == "pass", finding

        return measured(LOOKS, work, time.process_time)


def wrk(url: str, path: str = "/", seconds: int = 3) -> int:
    """How many requests wrk got answered."""
    argv = [program("wrk"), "-t1", f"-c{WORKERS}", f"-d{seconds}s", "-H", "Connection: close"]
    return int(told([*argv, url + path]).partition(" requests in ")[0].split()[-1])


def blackbox(directory: Path, url: str) -> Cost:
    """The exporter's own CPU, while wrk makes it probe as fast as it can."""
    port, config = free_port(), directory / "blackbox.yml"
    config.write_text("modules: {http: {prober: http, http: {preferred_ip_protocol: ip4}}}\n")
    argv = [
        program("prometheus-blackbox-exporter"),
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with Process(argv, log=directory / "blackbox.log") as exporter:
        eventually(lambda: accepts("127.0.0.1", port), saying="the exporter listens")
        probe = f"/probe?module=http&target={url}/"
        return measured(
            0,
            lambda: wrk(f"http://127.0.0.1:{port}", probe),
            lambda: of_process(exporter.pid),
        )


def costs(directory: Path, url: str, rounds: int) -> None:
    peers: dict[str, Callable[[], Cost]] = {
        "backout": lambda: ours(directory, url),
        "wrk": lambda: measured(0, lambda: wrk(url), of_children),
        "curl --parallel": lambda: measured(LOOKS, lambda: curl(url, LOOKS), of_children),
        "blackbox exporter": lambda: blackbox(directory, url),
    }
    found: dict[str, list[Cost]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            found[name].append(peer())
    cpu = {name: statistics.median(cost.each for cost in each) for name, each in found.items()}
    rate = {name: statistics.median(cost.rate for cost in each) for name, each in found.items()}
    print(f"\n{WORKERS} at a time, a new connection each, median of {rounds}")
    print("                        a second   CPU ms each   backout's rate   backout's CPU")
    for name in peers:
        against = f"{rate['backout'] / rate[name]:10.2f} x   {cpu['backout'] / cpu[name]:12.1f} x"
        print(f"  {name:20} {rate[name]:9.0f} {cpu[name]:12.3f}   {against}")
    print("  (wrk and curl only ask; a check also renders, judges and clears what came)")


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        with endpoint(directory, DELAY) as url:
            found = [truth(directory, url, count) for count in AT_ONCE]
        with endpoint(directory, 0) as url:
            costs(directory, url, rounds)
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
