"""What a rollout may be compared by: refused in words where nothing could be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.config import loading
from backout.errors import Mistakes
from backout.project.project import TABLES

INVENTORY = """\
hosts: {web1: {address: 203.0.113.11}, web2: {address: 203.0.113.12}, lb1: {address: 203.0.113.10}}
balancers:
  edge: {backend: haproxy, on: lb1, pool: app}
  front: {backend: nginx, on: lb1, file: /etc/nginx/app.conf, pool: app}
secrets: {token: {env: TOKEN}}
checks: {alive: {http: "http://site/", expect: ['status == 200'], on: all}}
"""
QUERIES = 'requests: "r{h={{ host.name }}}[{{ window }}]", errors: "e"'
ROLLOUTS = [
    ("{compare: canary}", "nothing is compared without rollout.watch: say how long, such as 2m"),
    ("{watch: 2m, compare: {balancer: egde}}", "has no balancer 'egde'; did you mean 'edge'?"),
    ("{watch: 2m, compare: {balancer: front}}", "nginx does not count what each member answered"),
    (f"{{watch: 2m, compare: {{prometheus: {{url: p:9090, {QUERIES}}}}}}}", "neither http://"),
    ("{watch: 2m, compare: {prometheus: {url: http://p}}}", "requests"),
    (
        '{watch: 2m, compare: {prometheus: {url: http://p, requests: "{{ windw }}", errors: e}}}',
        "windw",
    ),
    ("{watch: 2m, compare: kanarienvogel}", "compare"),
    ("{watch: '{{ vars.x }}', compare: canary}", "watch"),
]


def load(directory: Path, text: str) -> str:
    """What is wrong with it."""
    file = directory / "prod.yaml"
    file.write_text(text)
    try:
        loading.load_target(file, TABLES)
    except Mistakes as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("rollout", "words"), ROLLOUTS, ids=lambda text: text[:40])
def test_what_cannot_be_compared_is_a_mistake(rollout: str, words: str, tmp_path: Path) -> None:
    assert words in load(tmp_path, f"{INVENTORY}rollout: {rollout}\n")


def test_a_canary_without_a_check_to_compare_is_a_mistake(tmp_path: Path) -> None:
    text = INVENTORY.replace(", on: all}}", "}}")
    rollout = "rollout: {watch: 2m, compare: canary}\n"
    assert "there is nothing to compare" in load(tmp_path, text + rollout)
    assert load(tmp_path, text + rollout.replace("canary", "{balancer: edge}")) == ""


def test_each_way_to_compare_is_one(tmp_path: Path) -> None:
    own = f'{{url: http://p, headers: {{A: "Bearer {{{{ secrets.token }}}}"}}, {QUERIES}}}'
    for way in ("canary", "{balancer: edge}", f"{{balancer: edge, prometheus: {own}}}"):
        assert load(tmp_path, f"{INVENTORY}rollout: {{watch: 2m, compare: {way}}}\n") == "", way
