"""The watcher over days and through bad nights, under a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from backout.adapters.storage.health_change import DAY, HOUR
from backout.model import CheckKey, Finding, Release, Verdict
from backout.watch.bake import Deployed
from backout.watch.rollups import decode
from backout.watch.schedule import Rhythm
from backout.watch.watched import TargetState
from backout.watch.watcher import SOON
from support.disk import small_disk
from support.watch import SettableClock, Simulation, check, target

ALIVE, SLOW = CheckKey("prod", "alive"), CheckKey("prod", "slow")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """In memory where that is possible: a simulated fortnight waits for no disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.mark.usefixtures("unhurried")
def test_two_weeks_tick_by_tick_alert_by_alert_and_hour_by_hour(directory: Path) -> None:
    """Over the end of daylight saving, with one outage that is long and one that is short."""
    start = datetime(2024, 10, 20, tzinfo=UTC)
    outage = datetime(2024, 10, 24, 3, tzinfo=UTC).timestamp()
    blink = Rhythm("prod/alive", 300.0).after(datetime(2024, 10, 29, tzinfo=UTC).timestamp()) - 1

    def alive(now: float) -> Verdict:
        long, short = outage <= now < outage + 1800, blink <= now < blink + 90
        return Verdict.FAIL if long or short else Verdict.PASS

    checks = (
        check("alive", every="5m", alert={"after": 3, "recover": 2, "remind": "10m"}),
        check("slow", every="30m"),
        check("nightly", cron="30 2 * * *"),
    )
    watched = target(*checks, timezone="Europe/Berlin")
    says = {"alive": alive}
    with Simulation(directory, [watched], says, clock=SettableClock(start)) as sim:
        sim.run(14 * DAY)
        looked = {name: [at for each, at in sim.looked if each == name] for name in watched.checks}
        begin, end = start.timestamp(), start.timestamp() + 14 * DAY
        hours, days = sim.store.hours(SLOW), sim.store.days(SLOW)
        incidents = sim.store.incidents("prod")

    # every tick
    for name, every in (("alive", 300.0), ("slow", 1800.0)):
        grid, at = [], begin
        rhythm = Rhythm(f"prod/{name}", every)
        while (at := rhythm.after(at)) < end:
            grid.append(at)
        extra = [at for at in looked[name] if not near(at, grid)]
        assert sum(near(tick, looked[name]) for tick in grid) == len(grid)
        in_doubt = [at for at in extra if at > begin + SOON]
        assert all(in_trouble(at, outage, blink) for at in in_doubt)
        assert bool(in_doubt) == (name == "alive")
    night = [datetime.fromtimestamp(at, UTC).strftime("%d %H:%M") for at in looked["nightly"]]
    summer = [f"{day} 00:30" for day in range(20, 28)]
    winter = [f"{day} 01:30" for day in (28, 29, 30, 31, "01", "02")]
    assert night == summer + winter

    # every alert
    kinds = [message.kind for message in sim.arrived]
    assert kinds == ["open", "remind", "remind", "resolve"]
    opened, *_, resolved = sim.arrived
    assert outage < opened.created < outage + 305 + 2 * 75 + 1
    assert outage + 1800 < resolved.created < outage + 1800 + 305 + 75 + 1
    (incident,) = incidents
    assert incident.resolved == resolved.created

    # every roll-up
    assert {at: decode(body).looks for at, body in days.items()} == per(DAY, looked["slow"])
    kept = {at: n for at, n in per(HOUR, looked["slow"]).items() if at >= min(hours)}
    assert {at: decode(body).looks for at, body in hours.items()} == kept
    assert sum(decode(body).looks for body in days.values()) == len(looked["slow"])
    assert sim.said == ["[prod] alive fails: fail", "prod/alive is healthy again"]


def near(moment: float, others: list[float]) -> bool:
    from bisect import bisect

    at = bisect(others, moment)
    return any(abs(other - moment) < 0.01 for other in others[max(0, at - 1) : at + 1])


def in_trouble(at: float, *since: float) -> bool:
    return any(start <= at <= start + 1800 + 400 for start in since)


def per(width: int, moments: list[float]) -> dict[int, int]:
    found: dict[int, int] = {}
    for moment in moments:
        at = int(moment // width * width)
        found[at] = found.get(at, 0) + 1
    return found


# --- bad nights --------------------------------------------------------------------------------


@pytest.fixture
def sim(directory: Path) -> Iterator[Simulation]:
    with Simulation(directory, [target(check("alive", every="1m"))]) as simulation:
        yield simulation


def test_a_machine_that_slept_says_how_much_it_missed_and_looks_once(sim: Simulation) -> None:
    sim.run(120)
    before = len(sim.looked)
    sim.clock.jump(3600)  # asleep: the wall clock goes on, nothing else does
    sim.run(1)
    assert len(sim.looked) == before + 1
    assert any("the clock went forward by 1h00m" in text for text in sim.said)
    assert any("looks missed and skipped" in text for text in sim.said)


def test_a_clock_that_was_set_back_stops_no_check(sim: Simulation) -> None:
    sim.run(120)
    before = len(sim.looked)
    sim.clock.jump(-7200)
    sim.run(600)
    assert len(sim.looked) - before == 10
    assert "the clock went back by 2h00m: the schedule is kept by it" in sim.said
    assert sim.watcher.health().status == "ok"


def test_a_clock_that_was_set_back_hides_no_check_that_is_overdue(sim: Simulation) -> None:
    sim.run(120)
    for process in ("the same", "a new one"):
        sim.clock.jump(-7200)
        if process == "a new one":
            sim.restart()
        sim.run(1)
        sim.clock.advance(600)  # nobody looks
        reasons = sim.watcher.health().reasons
        assert any("alive is overdue since" in each for each in reasons)
        sim.run(120)


def test_counters_survive_a_restart(directory: Path) -> None:
    says = {"alive": lambda _: Verdict.FAIL}
    policy = {"after": 5, "recover": 1}
    with Simulation(directory, [target(check("alive", every="1m", alert=policy))], says) as sim:
        while len(sim.looked) < 3:
            sim.run(1)
        sim.restart()
        assert sim.titles == []
        while len(sim.looked) < 5:
            sim.run(1)
        sim.run(5)
        assert sim.titles == ["[prod] alive fails"]
        sim.restart()
        sim.run(300)
        assert sim.titles == ["[prod] alive fails"]


def test_no_check_runs_on_a_target_whose_deploy_holds_the_lock(sim: Simulation) -> None:
    sim.run(100)
    before = len(sim.looked)
    sim.news["prod"] = TargetState(held="deploy 20240130-200000-cafe")
    sim.run(300)
    assert len(sim.looked) == before
    assert "prod: deploy 20240130-200000-cafe holds it: its checks wait" in sim.said
    assert sim.watcher.health().held == (("prod", "deploy 20240130-200000-cafe"),)
    sim.news.clear()
    sim.run(60)
    assert len(sim.looked) > before
    assert "prod is free again: 5 looks skipped" in sim.said


def test_doubt_is_settled_sooner_than_the_schedule_would(directory: Path) -> None:
    says = {"alive": lambda _: Verdict.FAIL}
    with Simulation(directory, [target(check("alive", every="1h"))], says) as sim:
        sim.run(SOON + 2 * 900 + 10)
        assert [message.kind for message in sim.arrived] == ["open"]


def test_a_check_that_was_removed_is_no_longer_wrong(directory: Path) -> None:
    says = {"alive": lambda _: Verdict.FAIL}
    with Simulation(directory, [target(check("alive"), check("other"))], says) as sim:
        sim.run(300)
        sim.watch(target(check("other")))
        sim.run(60)
        assert sim.titles == ["[prod] alive fails", "[prod] alive is no longer watched"]
        assert sim.store.incidents(open=True) == ()


def test_what_others_lead_to_is_not_blamed_for_them(directory: Path) -> None:
    leader = check("add", then=["read-back"])
    says = {"add": lambda _: Verdict.FAIL}
    with Simulation(directory, [target(leader, check("read-back"))], says) as sim:
        watched = sim.watcher.targets["prod"]
        behind = Finding("read-back", None, Verdict.INCONCLUSIVE, reason="not reached")
        sim.watcher.watch(
            replace(
                watched,
                roots=(CheckKey("prod", "add"),),
                look=lambda check_key, d: (*watched.look(check_key, d), behind),
            )
        )
        sim.run(600)
        assert sim.titles == ["[prod] add fails"]


def test_health_turns_red_when_a_check_is_overdue(sim: Simulation) -> None:
    sim.run(120)
    assert sim.watcher.health().status == "ok"
    sim.clock.advance(600)  # nobody turns
    told = sim.watcher.health()
    assert told.status == "overdue"
    assert any("alive is overdue since" in reason for reason in told.reasons)
    assert any("has not turned for 10m" in reason for reason in told.reasons)


def test_the_dead_mans_switch_hears_each_minute_and_hears_when_it_is_not_kept(
    directory: Path,
) -> None:
    watched = target(check("alive"), deadman="https://hc.example.org/x")
    with Simulation(directory, [watched]) as sim:
        sim.run(600)
        assert sim.pings == [("prod", "")] * 10
        sim.clock.advance(3600)  # nobody turns
        sim.watcher.turn()
        assert sim.pings[-1][1].startswith("alive is overdue since 2024-01-30 20:")


def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_space_again(tmp_path: Path) -> None:
    bad = False
    with small_disk(tmp_path / "small", kilobytes=1024) as disk:
        says = {"alive": lambda _: Verdict.FAIL if bad else Verdict.PASS}
        with Simulation(disk.path, [target(check("alive", every="10s"))], says) as sim:
            sim.run(60)
            disk.fill()
            bad = True
            sim.run(1200)
            assert sim.watcher.trouble
            assert sum("nothing can be written" in text for text in sim.said) == 1
            assert sim.watcher.health().status == "overdue"
            disk.empty()
            sim.run(60)
            assert "it can be written again" in sim.said
            assert sim.titles == ["[prod] alive fails"]
            written = sim.store.looks(ALIVE)
            assert len(written) == len(sim.looked)
            (incident,) = sim.store.incidents()
            assert incident.since < sim.clock.stamp - 1200


# --- drift -------------------------------------------------------------------------------------


def test_a_schema_that_drifts_after_a_known_good_release_is_told_with_its_difference(
    directory: Path,
) -> None:
    schema = {"UserConcert": {"user": "Pointer", "concert": "Pointer"}}
    with Simulation(directory, [target(check("schema"))]) as sim:
        sim.facts["schema"] = {"snapshot": schema}
        sim.news["prod"] = TargetState(deployed=deployed(41, sim.clock.stamp))
        sim.run(120)
        drifted = {"UserConcert": {"user": "String", "concert": "Pointer", "notes": "String"}}
        sim.facts["schema"] = {"snapshot": drifted}
        sim.run(180)
        (message,) = sim.arrived
        assert message.title == "[prod] schema fails"
        assert "expected: as it was at release 41" in message.body
        assert '+ UserConcert.notes: "String"' in message.body
        assert '~ UserConcert.user: "Pointer" -> "String"' in message.body
        sim.news["prod"] = TargetState(deployed=deployed(42, sim.clock.stamp))
        sim.run(180)
        assert sim.titles[1:] == ["[prod] schema is healthy again"]


def deployed(number: int, at: float) -> Deployed:
    return Deployed(f"run-{number}", Release(number, "3f9c2e1"), at - 60, at)
