"""What is wrong with a service of two slots is said before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from backout import balancers, probes, restarters, steps
from backout.adapters.transports import TRANSPORTS
from backout.config import loading
from backout.errors import Mistakes
from backout.registry import Tables

REAL = Tables(steps.KINDS, restarters.BACKENDS, probes.KINDS, TRANSPORTS, balancers.BACKENDS)
SERVICE: dict[str, Any] = {
    "name": "api@{{ slot.name }}",
    "backend": "systemd",
    "strategy": "bluegreen",
    "slots": {"blue": {"port": 8001}, "green": {"port": 8002}},
    "prove": "curl -fsS http://127.0.0.1:{{ slot.port }}/health",
    "switch": {"read": "cat /srv/live", "move": "echo {{ slot.name }} >/srv/live"},
}
EDGE = {"backend": "haproxy", "on": ["web1"], "pool": "app"}


def mistakes(directory: Path, service: dict[str, Any], **more: Any) -> str:
    hosts = {"web1": {"address": "192.0.2.1"}, "web2": {"address": "192.0.2.2"}}
    path = directory / "prod.yaml"
    path.write_text(yaml.safe_dump({"hosts": hosts, "service": service, **more}))
    try:
        loading.load_target(path, REAL)
    except Mistakes as error:
        return "\n".join(str(each) for each in error.mistakes)
    return ""


def test_two_slots_that_differ_and_a_switch_are_all_it_takes(tmp_path: Path) -> None:
    assert mistakes(tmp_path, SERVICE) == ""
    by_balancer = {**SERVICE, "switch": {"balancer": "edge"}}
    alone = {"balancers": {"edge": {**EDGE, "on": ["web1", "web2"]}}}
    assert mistakes(tmp_path, by_balancer, **alone) == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slots": {"blue": {"port": 1}}}, "service.slots: bluegreen needs two slots"),
        ({"slots": {n: {"port": 1} for n in "ab"}}, "both slots have port 1"),
        ({"name": "api"}, "service.name: both slots would be one service"),
        ({"switch": None}, "service.switch: what sends traffic to a slot"),
        ({"switch": {"read": "cat x"}}, "service.switch: what sends traffic to a slot"),
        ({"switch": {"balancer": "egde"}}, "no balancer 'egde'; did you mean 'edge'?"),
        ({"switch": {"balancer": "edge"}, "keep_old": "1m"}, "service.keep_old: only where"),
        ({"switch": {"balancer": "many"}}, "traffic moves by one write: many is on"),
        ({"backend": "supervisor"}, "a service by supervisor cannot have two slots"),
        ({"strategy": "replace"}, "slots is for services of two slots"),
        ({"prove": "curl {{ slot.prot }}"}, "slot.prot"),
    ],
)
def test_what_could_not_work_is_a_mistake(tmp_path: Path, wrong: Any, said: str) -> None:
    many = {**EDGE, "on": ["web2", "here"], "for": "web1"}
    text = mistakes(tmp_path, {**SERVICE, **wrong}, balancers={"edge": EDGE, "many": many})
    assert said in text, text


def test_a_reload_says_how_the_new_code_is_known(tmp_path: Path) -> None:
    web = {"name": "web", "backend": "systemd", "reload": True}
    proved = {**web, "port": 8000, "prove": "curl -fsS http://{{ target.name }}:8000/"}
    assert mistakes(tmp_path, proved) == ""
    assert "service.reload: a reload leaves the main process" in mistakes(tmp_path, web)
    assert "known by the `port` that they hold" in mistakes(tmp_path, web)
    assert "never reloaded" in mistakes(tmp_path, {**SERVICE, "reload": True})
    assert "prove is for services of two slots" in mistakes(tmp_path, {**proved, "reload": False})


def test_the_old_one_outlives_the_bake_window(tmp_path: Path) -> None:
    bake = {"for": "10m", "every": "15s"}
    short = mistakes(tmp_path, {**SERVICE, "keep_old": "9m"}, bake=bake)
    assert "service.keep_old: the old one would end before the bake window does" in short
    assert mistakes(tmp_path, {**SERVICE, "keep_old": "10m"}, bake=bake) == ""
    assert mistakes(tmp_path, SERVICE, bake=bake) == ""


def test_two_slots_cannot_run_from_one_checkout(tmp_path: Path) -> None:
    source = {"strategy": "checkout", "directory": "/srv/api"}
    assert "two slots cannot run from one checkout" in mistakes(tmp_path, SERVICE, source=source)
