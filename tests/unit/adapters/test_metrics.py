"""The metrics by Prometheus' own tool, and the rules and the board that are made of them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from backout import __version__
from backout.adapters.web.metrics import Metrics, Reading
from backout.model import OpenRun, WatcherHealth, WorkerHealth
from support import health_facts as known

EXAMPLES = Path(__file__).parents[3] / "examples"
MONITORING = EXAMPLES / "monitoring"
RULES = (MONITORING / "prometheus-rules.yaml", EXAMPLES / "team" / "rules.yml")
BOARDS = (MONITORING / "grafana-board.json", EXAMPLES / "team" / "board.json")
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
        unfinished=[OpenRun("prod", "deploy", known.NOW, needs_person=True)],
        workers={("eu", "works"): 2},
        handed={("eu", "waits"): 1},
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
    open_run = '{target="prod",verb="deploy"}'
    assert f"backout_run_needs_person{open_run} 1.0" in text
    assert f"backout_run_started_timestamp_seconds{open_run} 1.78e+09" in text
    assert 'backout_zone_workers{state="works",zone="eu"} 2.0' in text
    assert 'backout_zone_runs{state="waits",zone="eu"} 1.0' in text
    assert "_created" not in text
    assert "_age_seconds" not in text


@pytest.mark.parametrize(("rules", "count"), [(RULES[0], 8), (RULES[1], 5)])
def test_the_rules_are_rules(rules: Path, count: int) -> None:
    assert f"SUCCESS: {count} rules found" in promtool("check", "rules", str(rules))


def test_the_scrape_job_is_one() -> None:
    promtool("check", "config", "--syntax-only", str(MONITORING / "prometheus.yaml"))


ALARM = """\
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'backout_run_needs_person{{target="prod", verb="deploy"}}', values: "_x3 1x20"}}
    promql_expr_test:
      - {{expr: 'count(ALERTS{{alertname="{alert}"}})', eval_time: 2m, exp_samples: []}}
    alert_rule_test:
      - eval_time: 6m
        alertname: {alert}
        exp_alerts:
          - exp_labels: {{target: prod, verb: deploy{severity}}}
            exp_annotations: {{summary: "{summary}"}}
"""


@pytest.mark.parametrize("rules", RULES)
def test_a_run_that_needs_a_person_calls_one(rules: Path, tmp_path: Path) -> None:
    """Also the first one of all, whose series was never there before."""
    (rule,) = (
        each
        for group in yaml.safe_load(rules.read_text())["groups"]
        for each in group["rules"]
        if "backout_run_needs_person" in each["expr"]
    )
    severity = rule.get("labels", {}).get("severity", "")
    summary = rule["annotations"]["summary"].replace("{{ $labels.target }}", "prod")
    (tmp_path / "alarm.yaml").write_text(
        ALARM.format(
            rules=rules,
            alert=rule["alert"],
            severity=f", severity: {severity}" if severity else "",
            summary=summary,
        )
    )
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "alarm.yaml"))


def test_the_rules_and_the_boards_use_only_metrics_that_there_are(text: str) -> None:
    there = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    boards = [json.loads(board.read_text()) for board in BOARDS]
    panels = [panel for board in boards for panel in board["panels"]]
    said = [target["expr"] for panel in panels for target in panel["targets"]]
    said += [rules.read_text() for rules in RULES]
    used = set(re.findall(r'(?<!")\bbackout_[a-z_]+', "\n".join(said)))
    assert used <= there
