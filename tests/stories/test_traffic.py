"""Hosts leave the balancer before they are changed, and come back when they prove themselves."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backout.adapters.transports import ssh
from backout.adapters.transports.ssh import SshTransport
from backout.model import Command, Result
from support import balancers
from support.fronted import Fronted
from support.load import Load
from support.sshd import SshdBed
from support.takeover import expire
from support.wait import eventually
from support.yard import HERE, Yard

WEB = ("web1", "web2", "web3")
ALL = dict.fromkeys(WEB, True)


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdBed]:
    """Three hosts, and the one that stands in front of them."""
    with SshdBed(tmp_path_factory.mktemp("bed"), (*WEB, "lb1")) as bed:
        yield bed


@pytest.fixture
def site(bed: SshdBed, tmp_path: Path) -> Iterator[Fronted]:
    with Fronted(tmp_path, bed, balancers.haproxy) as site:
        yield site


def taking(site: Fronted) -> dict[str, bool]:
    """Who takes requests, as the balancer itself says."""
    return {each.name: each.takes for each in site.pool().look().members}


def by_hand(site: Fronted, command: str) -> None:
    """What a person does at the balancer's socket."""
    site.front.told(command)


@contextmanager
def held(site: Fronted) -> Iterator[list[Future[tuple[int, str]]]]:
    """A request that is open on each host until this ends, or one second after it is let go."""
    with ThreadPoolExecutor() as clients:
        asked = [clients.submit(site.front.get, "/held/1") for _ in range(len(WEB))]
        eventually(lambda: [m.open for m in site.pool().look().members] == [1, 1, 1])
        yield asked
        site.let_go()


def moves(said: Any) -> list[tuple[str, str, str]]:
    """The steps that move traffic, in order."""
    steps = said.data["steps"]
    return [(s["name"], s["host"], s["state"]) for s in steps if "traffic" in s["name"]]


def test_a_host_is_out_while_it_is_changed_forward_and_back(site: Fronted) -> None:
    with held(site) as asked:
        site.let_go()
        site.runbook(site.update(), site.witness(), settle=site.settling())
        planned = site.say("plan").out
        said = site.deploy()
    assert [each.result()[0] for each in asked] == [200, 200, 200], "what was open has ended"
    assert said.code == 0, said.out + said.err
    assert set(site.serving().values()) == {"2"}
    others = {"web1": "web2, web3", "web2": "web1, web3", "web3": "web1, web2"}
    assert site.witnessed() == others, "those who stayed took the requests"
    names = ("Out of traffic", "Into traffic")
    assert moves(said) == [(name, host, "done") for host in WEB for name in names]
    assert taking(site) == ALL
    assert "set server app/web1 state ready" in planned, "the plan has the way back of the move"

    site.runbook(site.update("bad"), site.witness(), settle=site.settling())
    failed = site.deploy()
    assert failed.code == 4, failed.out + failed.err
    assert site.witnessed()["web1"] == "web2, web3"
    assert (taking(site), site.serving()["web2"]) == (ALL, "2")


def test_a_rollback_goes_out_of_traffic_too(site: Fronted) -> None:
    site.good_release()
    site.runbook(site.update(), site.witness(), settle=site.settling())
    site.good_release()
    for name in WEB:
        (site.files / f"{name}.saw").unlink()
    by_hand(site, "set server app/web3 state drain")
    said = site.say("rollback")
    assert said.code == 0, said.out + said.err
    assert site.witnessed() == {"web1": "web2", "web2": "web1", "web3": "web1, web2"}
    assert taking(site) == {**ALL, "web3": False}, "who was out by hand stays out"
    (out,) = site.say("status").data["out_of_traffic"]
    assert (out["host"], out["member"], out["run"]) == ("web3", "web3", None)


@pytest.mark.parametrize("own", [False, True], ids=["drained", "by the runbook's own steps"])
def test_a_rollback_that_goes_forward_again_loses_no_request(site: Fronted, own: bool) -> None:
    site.good_release()
    ill = f"echo bad > {site.files}/{{{{ host.name }}}}.version"
    steps, settle = [{**site.update(), "undo": ill}], site.settling()
    if own:
        site.inventory(rollout={"batches": [1], "soak": "0s"})
        steps.insert(0, {"traffic": "out", "on": "web"})
        settle.append({"traffic": "in", "on": "web"})
    site.runbook(*steps, settle=settle)
    site.good_release()
    with Load(site.front.port, rate=50, slow=0.2) as load:
        said = site.say("rollback")
    assert said.code == 4, said.out + said.err
    assert set(site.serving().values()) == {"2"}
    assert (taking(site), load.tally.failed) == (ALL, 0), load.tally
    states = {name: each["state"] for name, each in said.data["hosts"].items()}
    assert states == {"web1": "backed out", **dict.fromkeys(("web2", "web3", "lb1"), "unchanged")}
    assert "out_of_traffic" not in site.say("status").data


def test_who_was_out_by_hand_stays_out_and_nobody_counts_on_him(site: Fronted) -> None:
    by_hand(site, "set server app/web3 state maint")
    site.inventory(rollout={"batches": [2], "soak": "0s", "drain": True})
    said = site.deploy()
    assert said.code == 3, "two of the two that serve"
    assert "web1, web2 cannot be taken out of edge: 0 of the 2" in said.data["error"]["what"]
    assert set(site.serving().values()) == {"1"}

    site.inventory(rollout={"batches": [1], "soak": "0s", "drain": True, "keep_up": "75%"})
    assert "keep_up: 75% needs 2" in site.deploy().data["error"]["what"]

    site.inventory(rollout={"batches": [1], "soak": "0s", "drain": True})
    said = site.deploy()
    assert said.code == 0, said.out + said.err
    assert set(site.serving().values()) == {"2"}, "it is deployed to all the same"
    assert taking(site) == {**ALL, "web3": False}


def test_nobody_counts_on_a_host_outside_the_run_whose_own_check_is_red(site: Fronted) -> None:
    by_hand(site, "set server app/web3 state maint")
    site.version("web2").write_text("bad\n")
    site.start_app(site.hosts["web2"].machine, "web2", site.hosts["web2"].address)
    site.runbook(site.update(), settle=site.settling())
    said = site.deploy("--hosts", "web1")
    assert said.code == 3, said.out + said.err
    assert "0 of the 2 that served before would be left" in said.data["error"]["what"]
    assert site.serving()["web1"] == "1"

    # What the change is there to turn green says nothing against whoever is not changed.
    own = {**site.changes["checks"]["own"], "baseline": "fails"}
    site.inventory(checks={"own": own})
    site.version("web1").write_text("bad\n")
    site.start_app(site.hosts["web1"].machine, "web1", site.hosts["web1"].address)
    said = site.deploy("--hosts", "web1")
    assert said.code == 0, said.out + said.err
    assert (taking(site)["web1"], site.serving()["web1"]) == (True, "2")


def test_one_member_is_never_two_hosts(site: Fronted) -> None:
    edge = site.changes["balancers"]["edge"]
    site.inventory(balancers={"edge": {**edge, "member": "{{ 'web1' }}"}})
    said = site.deploy()
    assert said.code == 3, said.out + said.err
    assert "web1, web2, web3 are all called web1 in edge" in said.data["error"]["what"]
    assert set(site.serving().values()) == {"1"}
    site.inventory(balancers={"edge": {**edge, "member": "web1"}})
    said = site.deploy()
    assert said.code == 2
    assert "would all be called web1" in said.data["error"]["what"]


@pytest.mark.parametrize(("verb", "code", "version"), [("resume", 0, "2"), ("abort", 4, "1")])
def test_killed_while_it_waits_the_balancer_knows_what_was_done(
    site: Fronted, verb: str, code: int, version: str
) -> None:
    with held(site) as asked:
        process = site.start()
        eventually(lambda: not taking(site)["web1"])
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert [each.result()[0] for each in asked] == [200, 200, 200]
    said = site.say(verb)
    assert said.code == code, said.out + said.err
    assert taking(site) == ALL
    assert set(site.serving().values()) == {version}


def test_a_balancer_that_is_away_once_it_was_told_is_not_said_to_be_as_it_was(
    site: Fronted, bed: SshdBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, front = SshTransport.run, bed["lb1"]

    def away(transport: SshTransport, command: Command) -> Result:
        result = run(transport, command)
        if command.title == "traffic of edge":
            front.stop()
            front.kill_sessions()
            eventually(lambda: not (transport._connection and transport._connection.is_connected))
        return result

    monkeypatch.setattr(ssh, "_may_pass", lambda _: False)  # nobody dials twice
    site.inventory(rollout={"batches": [1], "soak": "0s"})
    site.runbook({"traffic": "out", "on": "web1"})
    with monkeypatch.context() as patched:
        patched.setattr(SshTransport, "run", away)
        said = site.deploy("--hosts", "web1")
    assert said.code == 5, said.out + said.err
    assert taking(site) == {**ALL, "web1": False}

    shutil.rmtree(site.project.state)
    expire(site)
    other = site.elsewhere()
    said = other.say("abort", "--yes")
    assert said.code == 5, "what was told to it is on record there alone: " + said.out
    front.start()
    assert other.say("abort").code == 4
    assert taking(site) == ALL


def test_what_is_still_open_at_the_limit_is_said_and_the_run_goes_back(site: Fronted) -> None:
    edge = {**site.changes["balancers"]["edge"], "drain_timeout": "300ms"}
    site.inventory(balancers={"edge": edge})
    with held(site) as asked:
        said = site.deploy()
        assert said.code == 4, said.out + said.err
        assert "edge: web1 has 1 open after 0.3 s" in said.data["reason"]
        assert taking(site) == ALL
    assert [each.result()[0] for each in asked] == [200, 200, 200]
    assert set(site.serving().values()) == {"1"}


def test_what_somebody_changed_meanwhile_is_refused_and_left_as_it_is(site: Fronted) -> None:
    gate = site.step("Gate", before=site.hold())
    site.runbook({**gate, "on": "web1"}, site.update(), settle=site.settling())
    process = site.start()
    site.busy("Gate-web1")
    by_hand(site, "set server app/web1 weight 5")
    site.let_go()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 5, out + err
    assert "edge was changed by hand since the run began" in out
    assert "web1 was in traffic (weight 1), and is out of traffic (weight 5)" in out
    assert taking(site) == {**ALL, "web1": False}
    status = site.project.say("status", "--target", "prod")
    assert "out of traffic: web1 at edge on lb1, in traffic before run 2" in status.out

    by_hand(site, "set server app/web1 weight 1")
    assert site.say("abort").code == 4
    assert taking(site) == ALL


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Yard]:
    """One host whose balancer is a file of two members."""
    pool = tmp_path / "pool"
    pool.write_text(BOTH)
    told = 'sed -i "s/\\(\\"$MEMBER\\", \\"takes\\": \\)[a-z]*/\\1{}/" ' + str(pool)
    edge = {"backend": "command", "on": "here", "for": "web", "read": f"cat {pool}"}
    edge |= {"out": told.format("false"), "in": told.format("true")}
    rollout = {"batches": [1], "soak": "0s", "drain": True}
    hosts = {"web1": HERE["here"]}
    with Yard(tmp_path, hosts=hosts, rollout=rollout, balancers={"edge": edge}) as yard:
        yield yard


MEMBER = '{"member": "%s", "takes": true, "open": 0, "mark": "weight 1"}\n'
BOTH = MEMBER % "web1" + MEMBER % "web2"


def test_a_rollback_goes_by_how_each_balancer_is_now(alone: Yard, tmp_path: Path) -> None:
    """Whatever it was called, and however it was set, when what is taken back was deployed."""
    pool, edge = tmp_path / "pool", alone.changes["balancers"]["edge"]
    for number, name in enumerate(("old", "edge", "front"), start=1):
        alone.inventory(balancers={name: edge})
        alone.runbook(alone.step(f"Step{number}"))
        assert alone.deploy().code == 0
    heavier = BOTH.replace("weight 1", "weight 5")
    pool.write_text(heavier)
    said = alone.say("rollback", "--to", "1")
    assert said.code == 0, said.out + said.err
    assert alone.effects() == {"Step1-web1": 1}
    assert pool.read_text() == heavier


def test_who_has_left_in_an_earlier_process_is_not_asked_to_leave_again(
    alone: Yard, tmp_path: Path
) -> None:
    alone.runbook(alone.step("Do"), alone.step("Gate", on=None, before=alone.hold()))
    process = alone.start()
    alone.busy("Gate")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    others = BOTH.replace('"web2", "takes": true', '"web2", "takes": false')
    (tmp_path / "pool").write_text(others)
    alone.let_go()
    said = alone.say("resume")
    assert said.code == 0, said.out + said.err
    assert (tmp_path / "pool").read_text() == others
    alone.runbook({"traffic": "in", "on": "web"})
    alone.inventory(rollout={"batches": [1], "soak": "0s"})
    assert alone.deploy().code == 0, "who only comes in can be spared"


@pytest.mark.parametrize("forgets", [True, False])
def test_a_balancer_that_forgets_who_is_out_is_said(
    alone: Yard, tmp_path: Path, forgets: bool
) -> None:
    """As when somebody reloads it while a host is changed."""
    fresh = tmp_path / "fresh"
    fresh.write_text(BOTH)
    reload = f"cp {fresh} {tmp_path}/pool" if forgets else ":"
    alone.runbook(alone.step("Do", after=reload))
    said = alone.deploy()
    assert said.code == 0, said.out + said.err
    words = "web1 may have been sent requests while it was changed: it was in edge again"
    assert (words in said.err) == forgets
    assert (tmp_path / "pool").read_text() == BOTH


def test_what_only_the_balancer_has_seen_fail_is_found_before_the_second_batch(
    site: Fronted,
) -> None:
    site.inventory(
        rollout={
            **{"batches": [1, "100%"], "soak": "0s", "watch": "3s", "watch_limit": "20s"},
            "compare": {"balancer": "edge"},
        }
    )
    site.runbook(site.update("flaky"), settle=site.settling())
    with Load(site.front.port, rate=150, slow=0.1):
        said = site.deploy()
    assert said.code == 4, said.out + said.err
    assert "requests failed, of 0 in" in said.data["reason"]
    assert set(site.serving().values()) == {"1"}


def test_a_runbook_may_move_traffic_itself(site: Fronted) -> None:
    site.inventory(rollout={"batches": [1], "soak": "0s"})
    out = {"traffic": "out", "on": "web"}
    settle = [*site.settling(), {"traffic": "in", "on": "web"}]
    site.runbook(out, site.update(), site.witness(), settle=settle)
    said = site.deploy()
    assert said.code == 0, said.out + said.err
    assert site.witnessed()["web1"] == "web2, web3"
    fails = {"name": "Fail", "run": "false", "on": "web3", "readonly": True}
    site.runbook(out, site.update("3"), site.witness(), fails, settle=settle)
    assert site.deploy().code == 4
    assert site.witnessed()["web1"] == "web2, web3", "on the way back, too"
    assert taking(site) == ALL

    site.runbook({"traffic": "out", "on": "web1"}, settle=[{"verify": "all"}])
    assert site.deploy().code == 0
    assert taking(site) == {**ALL, "web1": False}
    site.runbook({"traffic": "in", "on": "web1"}, settle=[{"verify": "all"}])
    assert site.deploy().code == 0
    assert taking(site) == ALL

    edge = {**site.changes["balancers"]["edge"], "for": "web1", "member": ["web1", "web2"]}
    site.inventory(balancers={"edge": edge})
    for to, takes in (("out", False), ("in", True)):
        one = {"traffic": {"to": to, "member": "web2"}, "on": "web1"}
        site.runbook(one, settle=[{"verify": "all"}])
        assert site.deploy().code == 0
        assert taking(site) == {**ALL, "web2": takes}, "one instance on a host"
    site.runbook({"traffic": {"to": "out", "member": "web3"}, "on": "web1"})
    assert "web3 is no member of this host in edge" in site.deploy().out

    site.runbook({"traffic": "out"})
    assert "traffic moves hosts; add on: all, a group or a host" in site.deploy().out
    site.runbook({"traffic": {"to": "out", "balancer": "egde"}, "on": "web1"})
    assert "has no balancer 'egde'; did you mean" in site.deploy().out
