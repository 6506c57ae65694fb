"""`examples/team`: all of it comes up, workers drive a deploy, the page shows it, and all ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support import ports
from support.process import Process
from support.tools import cache, program
from support.wait import eventually

TEAM = Path(__file__).parents[2] / "examples" / "team"


@pytest.mark.timeout(400)
def test_it_comes_up_deploys_by_workers_shows_it_and_leaves_nothing(tmp_path: Path) -> None:
    database, page = ports.free_port(), ports.free_port()
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "NO_COLOR": "1",
        "BACKOUT_TEAM_PORT": str(database),
        "BACKOUT_TEAM_PAGE": str(page),
    }
    with Process([str(TEAM / "up")], log=tmp_path / "log", env=env) as up:
        eventually(lambda: "shows it" in up.output() or not up.running, within=120)
        told = up.output()
        assert re.search(r"^Deployed release 1 to shop: 1 host, 1 check passes\.", told, re.M), told
        assert told.count(" worker ") == 2, "two workers are there"
        (place,) = re.findall(r"The project: (/\S+)/project$", told, re.M)
        assert Path(place, "open").exists()
        url = f"http://127.0.0.1:{page}/"
        eventually(lambda: ports.accepts("127.0.0.1", page))
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert "shop" in answer.read().decode()

        up.signal(signal.SIGTERM)  # as with Ctrl-C, which a shell in the background ignores
        assert up.wait(60) == 0, up.output()
    assert not Path(place).exists()
    assert not ports.accepts("127.0.0.1", database)
    assert not ports.accepts("127.0.0.1", page)


def test_its_compose_file_is_one_and_says_what_it_needs() -> None:
    compose = cache() / "docker" / "cli-plugins" / "docker-compose"
    words = [str(compose), "--file", str(TEAM / "compose.yaml"), "config"]
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    without = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert "LEDGER_PASSWORD" in without.stderr
    given = {**env, "LEDGER_PASSWORD": "x"}
    done = subprocess.run(
        [*words, "--format", "json"], capture_output=True, text=True, check=True, env=given
    )
    services = json.loads(done.stdout)["services"]
    assert sorted(services) == ["db", "serve", "worker-1", "worker-2"]
    assert services["serve"]["ports"][0]["host_ip"] == "127.0.0.1"


def test_its_units_are_units(tmp_path: Path) -> None:
    for unit in TEAM.glob("*.service"):
        text = re.sub(
            r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M
        )
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        [program("systemd-analyze"), "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "backout-" in line] == []
