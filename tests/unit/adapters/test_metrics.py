"""The metrics by Prometheus' own tool, and the rules and the board that are made of them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backout import __version__
from backout.adapters.web.metrics import Metrics, Reading
from backout.model import WatcherHealth, WorkerHealth
from support import health_facts as known

EXAMPLES = Path(__file__).parents[3] / "examples" / "monitoring"
PROMTOOL = "/usr/bin/promtool"
HEALTH = WatcherHealth(
    "ok",
    targets=("prod",),
    broken=("eu",),
    workers=(WorkerHealth("sender of messages", alive=True, deaths=1),),
)


@pytest.fixture(scope="module")
def text() -> str:
    """All that can be measured."""
    last = [each.last for each in known.watched()[0].histories if each.last]
    metrics = Metrics(str, lambda: HEALTH)
    metrics.observe(last)
    metrics.reading = Reading(
        last={each.check_key: each for each in last},
        incidents=[known.FAILING],
        targets=["prod"],
        runs=[("prod", "deploy", "succeeded", 7)],
        written=known.NOW,
        certificates={last[0].check_key: known.NOW + 86400},
    )
    return metrics.text().decode()


def promtool(*words: str, given: str = "") -> str:
    done = subprocess.run(
        [PROMTOOL, *words], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_metrics_are_as_prometheus_wants_them(text: str) -> None:
    assert promtool("check", "metrics", given=text) == ""


def test_they_say_what_they_say(text: str) -> None:
    assert f'backout_build_info{{version="{__version__}"}} 1.0' in text
    assert 'backout_inventory_broken{target="eu"} 1.0' in text
    assert 'backout_worker_deaths_total{worker="sender of messages"} 1.0' in text
    assert "_created" not in text
    assert "_age_seconds" not in text


def test_the_rules_are_rules() -> None:
    assert "SUCCESS: 7 rules found" in promtool(
        "check", "rules", str(EXAMPLES / "prometheus-rules.yaml")
    )
    promtool("check", "config", "--syntax-only", str(EXAMPLES / "prometheus.yaml"))


def test_the_rules_and_the_board_use_only_metrics_that_there_are(text: str) -> None:
    there = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    board = json.loads((EXAMPLES / "grafana-board.json").read_text())
    said = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    said.append((EXAMPLES / "prometheus-rules.yaml").read_text())
    used = set(re.findall(r'(?<!")\bbackout_[a-z_]+', "\n".join(said)))
    assert used <= there
