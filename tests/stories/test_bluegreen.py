"""A service of two slots: the new one comes up beside the old one, and traffic moves."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support import balancers
from support.dockerd import DockerEngine
from support.ports import accepts
from support.slots import Asking, release_at
from support.systemd_host import SystemdBed
from support.takeover import burnt
from support.twin_units import TwinUnits
from support.wait import eventually


@pytest.fixture(scope="module")
def served(
    docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TwinUnits]:
    directory = tmp_path_factory.mktemp("twins")
    volumes = {str(directory): str(directory)}
    with (
        SystemdBed(docker_engine, directory / "bed", volumes=volumes) as bed,
        TwinUnits(directory / "app", bed) as twins,
    ):
        assert twins.deploy().code == 0
        yield twins


@pytest.fixture
def twins(served: TwinUnits) -> TwinUnits:
    """One that serves a release, in whichever slot."""
    served.describe()
    return served


def test_the_new_one_comes_up_beside_the_old_one_and_a_bad_one_never_stays(
    twins: TwinUnits,
) -> None:
    first, slot = twins.front.now(), twins.slot
    second = twins.ship()
    with Asking(twins.front.now) as asking:
        said = twins.deploy()
        assert said.code == 0, said.out + said.err
        assert twins.slot != slot
        assert twins.states() == {"blue": "active", "green": "active"}
        twins.describe(within="5s")
        twins.ship("error-500")
        said = twins.deploy()
        assert said.code == 4, said.out
        assert "does not prove itself on its port" in said.out
    assert asking.failed == 0
    assert asking.releases == [first, second]
    assert twins.states() == {slot: "inactive", twins.slot: "active"}

    twins.describe(soak="1s", within="5s")  # it crashes within that, however fast all else is
    doomed = twins.ship("crash-later")
    with Asking(twins.front.now) as asking:
        said = twins.deploy()
        assert said.code == 4, said.out
    assert set(asking.releases) <= {second, doomed}
    assert twins.front.now() == second
    assert twins.states()[slot] != "active"


def test_a_balancer_is_asked_which_slot_is_live_and_told_to_move(
    twins: TwinUnits, tmp_path: Path
) -> None:
    members = {name: f"{twins.host.address}:{port}" for name, port in twins.ports.items()}
    off = {twins.idle: "disabled"}
    with balancers.haproxy(tmp_path, members, each=off) as edge:
        behind = partial(
            twins.describe,
            switch={"balancer": "edge"},
            front=edge.port,
            balancers={"edge": edge.entry},
        )
        behind()
        before, number = twins.front.now(), twins.ship()
        told = tmp_path / "told"
        with Asking(lambda: release_at("127.0.0.1", edge.port), told=told) as asking:
            assert twins.deploy().code == 0
            said = twins.rollback()
            assert said.code == 0, said.out
            red = twins.ship()
            asked = f"curl -fsS http://127.0.0.1:{edge.port}/health | grep -qF '\"{red}\"'"
            seen = f"until grep -qx {red} {told}; do sleep 0.05; done"
            behind(red=red, well=f"! {asked} || {{ {seen}; false; }}")
            said = twins.deploy()
            assert said.code == 4, said.out
            assert "request /health" in said.data["logs"]["web1"]
        assert (asking.failed, asking.releases) == (0, [before, number, before, red, before])
        assert twins.states() == {twins.idle: "inactive", twins.slot: "active"}
        edge.told("set server app/blue state ready; set server app/green state ready")
        said = twins.deploy()
        assert said.code == 3, said.out
        assert "edge sends requests to both slots: it was changed by hand" in said.out


def test_no_traffic_moves_to_a_slot_that_the_balancer_finds_down(
    twins: TwinUnits, tmp_path: Path
) -> None:
    """It looks less often than we do, and would answer 503 until it has seen the new one."""
    members = {name: f"{twins.host.address}:{port}" for name, port in twins.ports.items()}
    looks = "check inter 100ms fall 3 rise 15"
    each = {twins.slot: looks, twins.idle: f"{looks} disabled"}
    with balancers.haproxy(tmp_path, members, each=each) as edge:
        switch = {"balancer": "edge"}
        twins.describe(switch=switch, front=edge.port, balancers={"edge": edge.entry})
        before, second = twins.front.now(), twins.ship()
        with Asking(lambda: release_at("127.0.0.1", edge.port)) as asking:
            assert twins.deploy().code == 0
            twins.host.run("systemctl", "stop", f"api@{twins.slot}")
            third = twins.ship()
            said = twins.deploy()
            assert said.code == 0, said.out
        assert (asking.failed, asking.releases) == (0, [before, second, third])


def test_a_slot_that_the_balancer_finds_down_once_traffic_goes_there_gives_it_back(
    twins: TwinUnits, tmp_path: Path
) -> None:
    """What is in maintenance is not looked at, and taken for well as it comes out of that."""
    members = {name: f"{twins.host.address}:{port}" for name, port in twins.ports.items()}
    each = {twins.slot: "check inter 100ms", twins.idle: "check inter 100ms port 1 disabled"}
    with balancers.haproxy(tmp_path, members, each=each) as edge:
        entry = {**edge.entry, "out": "maint"}
        twins.describe(switch={"balancer": "edge"}, balancers={"edge": entry})
        before = twins.front.now()
        twins.ship()
        said = twins.deploy()
        assert said.code == 4, said.out
        assert "is down, as its balancer finds: and traffic has moved there" in said.data["reason"]
        assert release_at("127.0.0.1", edge.port) == before


def test_what_is_not_as_it_was_left_is_refused_before_anything_changes(twins: TwinUnits) -> None:
    before, live, idle = twins.front.now(), twins.slot, twins.idle
    twins.host.run("systemctl", "stop", f"api@{idle}")
    number = twins.ship()

    def refused(*words: str) -> None:
        said = twins.deploy()
        assert said.code == 3, said.out
        assert all(each in said.out for each in words), said.out

    twins.host.run("systemctl", "start", f"api@{idle}")
    refused(f"api@{idle} runs, though traffic goes elsewhere, and no deploy has left it")
    twins.live.write_text(f"{idle}\n")
    refused(f"api@{live} runs, though traffic goes elsewhere")
    twins.live.write_text(f"{live}\n")
    twins.host.run("systemctl", "stop", f"api@{idle}")

    stranger = f"python3 -m http.server --bind {twins.host.address} {twins.ports[idle]}"
    twins.host.run("systemd-run", "--unit=stranger", "/bin/sh", "-c", f"exec {stranger}")
    eventually(lambda: accepts(twins.host.address, twins.ports[idle]))
    refused("the idle slot: port", "is held by process", "which is not this service")
    twins.host.run("systemctl", "stop", "stranger")

    twins.live.write_text("purple\n")
    refused("goes to 'purple', and its slots are blue and green", "changed by hand")
    twins.live.write_text(f"{live}\n")
    assert twins.front.now() == before

    said = twins.deploy()
    assert said.code == 0, said.out
    assert twins.front.now() == number


def test_a_rollback_moves_traffic_while_the_old_one_is_kept_and_starts_it_first_afterwards(
    twins: TwinUnits,
) -> None:
    before, slot = twins.front.now(), twins.slot
    kept = twins.host.show("MainPID", unit=f"api@{slot}")
    after = twins.ship()
    with Asking(twins.front.now) as asking:
        assert twins.deploy().code == 0
        said = twins.rollback()
        assert said.code == 0, said.out
    assert (asking.failed, asking.releases) == (0, [before, after, before])
    assert twins.host.show("MainPID", unit=f"api@{slot}") == kept

    twins.describe(keep_old="500ms")
    with Asking(twins.front.now) as asking:
        assert twins.deploy().code == 0
        eventually(lambda: twins.states()[slot] == "inactive", saying="the old one has ended")
        said = twins.rollback()
        assert said.code == 0, said.out
    assert (asking.failed, asking.releases) == (0, [before, after, before])
    assert twins.states() == {twins.idle: "inactive", twins.slot: "active"}


def test_no_traffic_goes_back_to_one_that_is_being_stopped(
    twins: TwinUnits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is there for a while, and takes no more requests."""
    monkeypatch.setattr("backout.restarters.slots.ENDING", 2)
    before, slot = twins.front.now(), twins.slot
    ending = "ls /srv/api/.backout/slots/*/ending.*"  # until somebody claims the slot
    deaf = f"kill -STOP $MAINPID; while {ending}; do sleep 0.1; done; exec sleep 1"
    slow = f"[Service]\nTimeoutStopSec=60s\nExecStop=/bin/sh -c '{deaf}'\n"
    place = f"/run/systemd/system/api@{slot}.service.d"
    put = f"mkdir -p {place}; printf %s {shlex.quote(slow)} >{place}/slow.conf"
    assert twins.host.run("sh", "-c", put).returncode == 0
    twins.host.run("systemctl", "daemon-reload")
    twins.describe(keep_old="300ms")
    after = twins.ship()
    with Asking(twins.front.now) as asking:
        assert twins.deploy().code == 0
        eventually(lambda: twins.states()[slot] == "deactivating")
        said = twins.rollback()
        assert said.code == 0, said.out
    twins.host.run("rm", "-r", place)
    twins.host.run("systemctl", "daemon-reload")
    assert (asking.failed, asking.releases) == (0, [before, after, before])


def test_one_that_goes_bad_while_it_bakes_gives_its_traffic_back_to_the_old_one(
    twins: TwinUnits,
) -> None:
    bad = twins.live.with_name("bad")
    well = f"test ! -e {bad} || ! curl -fsS {twins.front.url} | grep -qFf {bad}"
    twins.describe(bake={"for": "10m", "every": "200ms"}, well=well, keep_old="15m")
    before, slot, after = twins.front.now(), twins.slot, twins.ship()
    kept = twins.host.show("MainPID", unit=f"api@{slot}")
    with Asking(twins.front.now) as asking:
        assert twins.deploy().code == 0
        with twins.watched() as watcher:
            eventually(lambda: "bakes for 10m" in watcher.output())
            assert twins.states() == {"blue": "active", "green": "active"}
            bad.write_text(f'"release": "{after}"\n')
            eventually(lambda: twins.front.now() == before)
            eventually(lambda: twins.states()[twins.idle] == "inactive")
    assert (asking.failed, asking.releases) == (0, [before, after, before])
    assert twins.host.show("MainPID", unit=f"api@{slot}") == kept


def test_killed_while_it_moves_all_is_done_or_all_is_undone(twins: TwinUnits) -> None:
    with Asking(twins.front.now) as asking:
        for moment, verb, code in (
            (twins.idle_is_up, "resume", 0),
            (twins.traffic_has_moved, "abort", 4),
        ):
            before, number = twins.front.now(), twins.ship()
            twins.killed(moment)
            said = twins.project.say(verb, "--target", "prod", "--yes", "--json")
            assert said.code == code, said.out + said.err
            assert twins.front.now() == (before if code else number)
            assert list(twins.states().values()).count("active") == (1 if code else 2)
            if code == 0:
                killed_before_the_restart(twins, number)
    assert asking.failed == 0


def killed_before_the_restart(twins: TwinUnits, serving: str) -> None:
    """Nothing of such a run came to its slots: what was kept is kept, for whoever deploys next."""
    twins.ship()
    left, out, err = burnt(10, twins.project, "deploy", "--yes")
    assert left < 0, out + err
    said = twins.project.say("abort", "--target", "prod", "--yes", "--json")
    assert said.code == 4, said.out + said.err
    assert twins.front.now() == serving
    assert set(twins.states().values()) == {"active"}
