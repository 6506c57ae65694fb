"""A real Prometheus, and a service whose numbers it fetches four times a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import ports
from .loopback import Answer, Asked, Web
from .process import Process
from .tools import program
from .wait import eventually

LIMITS = (0.01, 0.025, 0.05, 0.1, 0.25)
QUICK = (0.0, 0.2, 0.9, 1.0, 1.0)
"""Which share of requests takes at most so long."""
SLOW = (0.0, 0.02, 0.5, 1.0, 1.0)
CONFIG = """\
global: {{scrape_interval: 250ms, scrape_timeout: 250ms}}
scrape_configs:
- job_name: service
  static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
QUERIES = {
    "requests": 'sum(increase(requests_total{host="{{ host.name }}"}[{{ window }}]))',
    "errors": 'sum(increase(requests_total{host="{{ host.name }}",code="500"}[{{ window }}]))',
    "latency": 'sum by (le) (increase(seconds_bucket{host="{{ host.name }}"}[{{ window }}]))',
}


@dataclass
class Service:
    """So many requests a second on each host, and how they end."""

    hosts: tuple[str, ...]
    rate: float = 400.0
    failing: dict[str, float] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    def page(self, _: Asked) -> Answer:
        text = "".join(f"{line}\n" for host in self.hosts for line in self._of(host))
        return Answer(text, headers=(("Content-Type", "text/plain; version=0.0.4"),))

    def _of(self, host: str) -> Iterator[str]:
        total = self.rate * (time.monotonic() - self.began)
        failed = total * self.failing.get(host, 0.0)
        yield f'requests_total{{host="{host}",code="200"}} {total - failed}'
        if host in self.failing:  # a code that never occurred has no series
            yield f'requests_total{{host="{host}",code="500"}} {failed}'
        shares = SLOW if host in self.slow else QUICK
        for limit, share in zip(map(str, (*LIMITS, "+Inf")), (*shares, 1.0), strict=True):
            yield f'seconds_bucket{{host="{host}",le="{limit}"}} {total * share}'


@contextmanager
def prometheus(directory: Path, service: Service) -> Iterator[str]:
    """Its address; it has the service's numbers of two seconds when this yields."""
    port = ports.free_port()
    with Web(service.page) as web:
        config = directory / "prometheus.yml"
        config.write_text(CONFIG.format(port=web.port))
        words = [program("prometheus"), f"--config.file={config}", "--log.level=error"]
        words += [f"--storage.tsdb.path={directory}/data", f"--web.listen-address=127.0.0.1:{port}"]
        with Process(words, log=directory / "prometheus.log") as process:
            eventually(lambda: len(web.asked) > 8, saying=process.output())
            yield f"http://127.0.0.1:{port}"
    ports.release(port)


def asked(url: str, **other: str) -> Mapping[str, str]:
    """What an inventory says of it."""
    return {"url": url, **QUERIES, **other}
