"""What others have counted since a window began: never green from too little."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backout.adapters.clock import SystemClock
from backout.adapters.prometheus import Prometheus as Api
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Host, Target
from backout.model.comparing import Prometheus
from backout.runs.counting import OfBalancer, OfPrometheus, between, spread
from support.prometheus import Service, asked, prometheus

HOSTS = ("web1", "web2", "web3", "web4")
SECONDS = 2.0
REQUESTS, LATENCY = "requests by Prometheus", "latency by Prometheus"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus of four hosts: web2 fails, web3 is slow."""
    service = Service(HOSTS, failing={"web2": 0.03}, slow={"web3"})
    with prometheus(tmp_path_factory.mktemp("prometheus"), service) as url:
        yield url


def window(url: str, **other: str) -> OfPrometheus:
    """A window that began some seconds ago."""
    target = Target(name="prod", hosts={name: Host(name=name) for name in HOSTS})
    vault = Vault({}, Path())
    parts = SimpleNamespace(clock=SystemClock(), metrics=lambda at, h: Api(at, h, vault))
    worker = cast("Any", SimpleNamespace(plan=SimpleNamespace(target=target), parts=parts))
    queries = Prometheus.model_validate(asked(url, **other))
    return OfPrometheus(worker, queries, time.monotonic() - SECONDS)


def test_prometheus_tells_a_bad_canary_from_a_good_one(store: str) -> None:
    counted = window(store)
    good = counted.compared(["web1"], ["web4"])
    assert {(each.worse, each.unknown) for each in good.values()} == {("", "")}, good
    failing = counted.compared(["web2"], ["web1", "web4"])
    assert "requests failed, of 0 in" in failing[REQUESTS].worse
    slow = counted.compared(["web3"], ["web1", "web4"])
    assert "its median is 50 ms, of 36 ms on the old release" in slow[LATENCY].worse
    assert not slow[REQUESTS].worse


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"requests": "sum(nothing_of_that_name)"}, "0 requests, and 0 on the old release"),
        ({"requests": "sum(("}, "Prometheus at http://127.0.0.1:"),
        ({"latency": "sum(requests_total)"}, "latency has no buckets by le"),
        ({"requests": '"a text"'}, "its answer is not one of Prometheus"),
    ],
    ids=["no such series", "no query", "no histogram", "no number"],
)
def test_what_prometheus_cannot_tell_is_neither_red_nor_green(
    store: str, other: dict[str, str], words: str
) -> None:
    told = window(store, **other).compared(["web1"], ["web4"])
    assert any(words in each.unknown for each in told.values()), told
    assert not any(each.worse for each in told.values())


def test_a_prometheus_that_is_not_there_is_said() -> None:
    for url in ("http://127.0.0.1:9", "file:///etc"):
        for each in window(url).compared(["web1"], ["web4"]).values():
            assert f"Prometheus at {url} cannot be asked" in each.unknown


@pytest.mark.usefixtures("unhurried")  # whoever asks SciPy first waits for it
def test_a_balancer_that_was_started_anew_is_counted_anew() -> None:
    totals = {"web1": (1000, 0), "web2": (1000, 0)}
    balancing = SimpleNamespace(counted=lambda _: dict(totals))
    edge = OfBalancer(cast("Any", SimpleNamespace(balancing=balancing)), "edge")

    def told() -> Any:
        return edge.compared(["web1"], ["web2"])["requests at edge"]

    edge.begin()
    assert told().unknown.startswith("0 requests, and 0 on the old release, are too few")
    totals |= {"web1": (1200, 20), "web2": (1200, 0)}
    assert "20 of 200 requests failed, of 0 in 200" in told().worse
    totals |= {"web1": (300, 0)}
    assert "too few" in told().unknown
    totals |= {"web1": (500, 0), "web2": (1400, 0)}
    assert (told().unknown, told().worse) == ("", "")

    def silent(_: str) -> Any:
        raise Refused("edge does not say how many")

    balancing.counted = silent
    assert told().unknown == "edge does not say how many"


def test_a_histogram_is_so_many_requests_between_its_limits() -> None:
    buckets = list(between({0.01: 2.0, float("inf"): 5.0, 0.02: 4.0}))
    assert buckets == [(0.0, 0.01, 2.0), (0.01, 0.02, 2.0), (0.02, 0.02, 1.0)]
    assert spread(0.01, 0.02, 2.0) == (12.5, 17.5)
    assert spread(0.01, 0.02, 200.0, share=0.005) == (15.0,)
