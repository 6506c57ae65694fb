"""Alerts arrive: through crashes, through receivers that are down, once for each that matters."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from backout.adapters import notify, switches
from backout.model import Delivery, Message, Verdict
from support.loopback import Answer, Asked, Web
from support.measured import unmeasured
from support.watch import Simulation, check, target

HOUR = 3600.0
A_TURN = 1.0
"""So much later than it is due may a message be tried: the watcher turns once a second."""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


def bad(_: float) -> Verdict:
    return Verdict.FAIL


def test_kill_9_between_any_two_writes_loses_no_alert_and_doubles_none(directory: Path) -> None:
    with Web() as receiver:
        done = subprocess.run(
            [sys.executable, "-m", "support.watch_killed", str(directory), str(receiver.port)],
            env=unmeasured({**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}),
            capture_output=True,
            text=True,
            timeout=390,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        trials = int(done.stdout)
        seen: dict[str, list[Asked]] = {}
        for asked in receiver.asked:
            seen.setdefault(asked.path.strip("/"), []).append(asked)
    assert trials > 40
    again = 0
    for trial in range(1, trials + 1):
        kept = {each.headers["idempotency-key"]: json.loads(each.body) for each in seen[str(trial)]}
        titles = [message["title"] for message in kept.values()]
        assert titles == ["[prod] alive fails", "[prod] alive is healthy again"], trial
        again += len(seen[str(trial)]) - len(kept)
    assert 0 < again < trials  # those that were killed between arriving and being noted


def test_a_receiver_that_is_down_for_an_hour_gets_every_alert_in_order(directory: Path) -> None:
    up = [False]
    tried: list[float] = []
    with Simulation(directory, [target(check("alive", every="1m"))], {"alive": bad}) as sim:

        def receive(_destination: str, _letter: Message) -> str:
            tried.append(sim.clock.monotonic())
            return "" if up[0] else "connection refused"

        sim.receive = receive
        sim.run(HOUR)
        assert sim.arrived == []
        pauses = [b - a for a, b in itertools.pairwise(tried)]
        assert pauses[0] <= 5 + A_TURN
        grows = itertools.pairwise(pauses[:6])
        assert all(later > 1.5 * (before - A_TURN) for before, later in grows)
        assert max(pauses) <= 300 + A_TURN
        assert sum("could not be delivered" in text for text in sim.said) == 1
        up[0] = True
        sim.says = {}
        sim.run(600)
        assert [message.kind for message in sim.arrived] == ["open", "resolve"]
        assert "prod: alerts are delivered again" in sim.said


def test_many_at_once_are_one_message(directory: Path) -> None:
    checks = [check(f"check-{n}", every="1m") for n in range(30)]
    says = {each.name: bad for each in checks}
    with Simulation(directory, [target(*checks)], says) as sim:
        sim.run(600)
        told = sum(
            1 if message.kind == "open" else message.body.count("\n\n") + 1
            for message in sim.arrived
        )
        assert told == 30
        assert len(sim.arrived) < 15
        keys = [message.key for message in sim.arrived]
        assert len(set(keys)) == len(keys)
        assert all(sim.store.waiting() == () for _ in (1,))


def test_a_letter_that_may_have_arrived_keeps_its_key_and_stays_alone(directory: Path) -> None:
    """The receiver took it, and the answer was lost: it must not come again inside a digest."""
    checks = [check(f"check-{n}", every="1m") for n in range(10)]
    says = {each.name: bad for each in checks}
    got: list[Message] = []
    with Simulation(directory, [target(*checks)], says) as sim:

        def receive(_: str, message: Message) -> str:
            got.append(message)
            return "timed out" if len(got) == 1 else ""

        sim.receive = receive
        sim.run(600)
    assert got[0].key == got[1].key
    assert all(got[0].title not in message.body for message in got[2:])


def test_what_is_acknowledged_is_not_reminded_of(directory: Path) -> None:
    watched = target(check("alive", every="1m", alert={"remind": "10m"}))
    with Simulation(directory, [watched], {"alive": bad}) as sim:
        sim.run(1500)
        assert [message.kind for message in sim.arrived] == ["open", "remind", "remind"]
        (incident,) = sim.store.incidents(open=True)
        with sim.store.write() as change:
            change.ack(incident.id, "ann@laptop")
        sim.run(3000)
        assert len(sim.arrived) == 3


def test_a_silence_keeps_quiet_and_what_is_still_wrong_is_told_at_its_end(directory: Path) -> None:
    with Simulation(directory, [target(check("alive", every="1m"))]) as sim:
        with sim.store.write() as change:
            change.silence("prod", "", sim.clock.stamp + HOUR, "ann@laptop")
        sim.says = {"alive": bad}
        sim.run(HOUR - 60)
        assert sim.arrived == []
        assert len(sim.store.incidents(open=True)) == 1
        sim.run(120)
        assert sim.titles == ["[prod] alive fails"]


def test_a_destination_that_is_gone_is_given_up_and_that_is_said(directory: Path) -> None:
    with Simulation(directory, [target(check("alive"))], {"alive": bad}) as sim:
        sim.places.now = ()
        sim.run(600)
        assert sim.store.waiting() == ()
        assert "prod: 1 alerts had nowhere to go any more" in sim.said


# --- Apprise -----------------------------------------------------------------------------------


def test_a_receiver_of_our_own_gets_the_key_as_header_and_field() -> None:
    with Web() as receiver:
        url = f"json://127.0.0.1:{receiver.port}/hook"
        assert notify.post(url, "open", "k-1", "it fails", "since then") == Delivery()
        assert notify.post(f"{url}?method=PUT", "resolve", "k-2", "well", "again") == Delivery()
        first, second = receiver.asked
    assert first.headers["idempotency-key"] == "k-1"
    assert json.loads(first.body)["dedupe_key"] == "k-1"
    assert json.loads(first.body)["type"] == "failure"
    assert second.method == "PUT"
    assert json.loads(second.body)["type"] == "success"


def test_what_apprise_only_answers_with_false_comes_back_in_words() -> None:
    with Web(Answer(status=503)) as receiver:
        told = notify.post(f"json://127.0.0.1:{receiver.port}", "open", "k", "t", "b").failure
        assert "503" in told
    assert "127.0.0.1" in notify.post("json://127.0.0.1:1", "open", "k", "t", "b").failure
    nonsense = notify.post("nonsense", "open", "k", "t", "b")
    assert nonsense == Delivery("this is no URL that Apprise knows", closed=True)


def test_a_dead_mans_switch_is_asked_and_asked_to_fail() -> None:
    with Web() as switch:
        assert switches.ping(f"{switch.url}/uuid") == ""
        assert switches.ping(f"{switch.url}/uuid", failed="overdue") == ""
        assert [asked.path for asked in switch.asked] == ["/uuid", "/uuid/fail"]
    assert switches.ping("ftp://example.org/") == "not an http or https URL"
    assert "refused" in switches.ping("http://127.0.0.1:1/")
