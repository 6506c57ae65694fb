"""Each recipe of docs/zero-downtime.md, run as it stands there, while requests come in."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.balancers import FRONTS
from support.fronted import Fronted
from support.load import Load
from support.sshd import SshdBed
from support.takeover import SUITE, burnt

DOCUMENT = (SUITE.parent / "docs" / "zero-downtime.md").read_text()
HEADINGS = {"haproxy": "HAProxy", "nginx": "nginx", "caddy": "Caddy", "command": "Any other"}
PLACES = ("socket", "file", "program", "pid", "admin")
"""What a balancer of these tests has elsewhere than the document says."""
LATE = 40
"""The moment of its journal at which a deployer is killed: its first batch is out of traffic."""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    with SshdBed(tmp_path_factory.mktemp("bed"), ("web1", "web2", "web3", "lb1")) as bed:
        yield bed


def blocks(backend: str) -> dict[str, str]:
    """The first block of each language below a backend's heading."""
    section = DOCUMENT.split(f"\n## {HEADINGS[backend]}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return dict(reversed(found))


def configuration(backend: str) -> dict[str, str]:
    """What the balancer itself is set up with; the fourth one is of one's own."""
    words = {"haproxy": "haproxy", "nginx": "nginx", "caddy": "json"}
    return {"recipe": blocks(backend)[words[backend]]} if backend in words else {}


def recipe(site: Fronted) -> dict[str, Any]:
    """The document's `balancers`, with what lies elsewhere here."""
    text = blocks(site.front.entry["backend"])["yaml"]
    text = text.replace(":8080", f":{site.port}").replace("./balancer", str(site.ctl))
    ((name, edge),) = yaml.safe_load(text)["balancers"].items()
    edge["on"] = edge.pop(True)  # as YAML 1.1 reads it
    here = {key: site.front.entry[key] for key in PLACES if key in site.front.entry}
    return {name: {**edge, **here, "on": "lb1", "drain_timeout": "2s", "at_limit": "proceed"}}


@pytest.mark.parametrize("backend", HEADINGS)
def test_two_hosts_at_once_and_then_the_last_without_a_failed_request(
    backend: str, bed: SshdBed, tmp_path: Path
) -> None:
    kind = partial(FRONTS[backend], **configuration(backend))
    with Fronted(tmp_path, bed, kind) as site:
        rollout = {"batches": [2], "soak": "0s", "drain": True}
        site.inventory(balancers=recipe(site), rollout=rollout)
        site.runbook(site.update(), site.witness(), settle=site.settling())
        with Load(site.front.port, rate=20, slow=0.2) as load:
            said = site.deploy()
            assert said.code == 0, said.out + said.err
            assert set(site.serving().values()) == {"2"}
            seen = site.witnessed()  # either of the two may be done before the other is out
            assert seen["web1"] in ("web3", "web2, web3")
            assert seen["web2"] in ("web3", "web1, web3")
            assert seen["web3"] == "web1, web2"
            if backend == "nginx":
                killed_and_aborted(site)
        assert load.tally.said > 0, "and a WebSocket"
        assert (load.tally.failed, site.front.errors()) == (0, 0), str(load.tally)


def killed_and_aborted(site: Fronted) -> None:
    """The way back of a deployer that is no more."""
    code, out, err = burnt(LATE, site.project, "deploy")
    assert code == -signal.SIGKILL, out + err
    said = site.say("abort")
    assert said.code == 4, said.out + said.err
