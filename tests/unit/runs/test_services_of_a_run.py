"""A run whose hosts have a service each: where its record lies, that whoever ran before runs again
at the end, and whose log is read before anything is undone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from backout.errors import Refused
from backout.model import Host, Identity, Result, Rule, Service, Undo
from backout.ports import StepContext, Transport
from backout.runs import release_file
from backout.runs.release_file import HostRecord
from support.ways import FAILED, HERE, Begin, gate, say
from support.world import HOSTS, Deployer, Doing, runbook, step, target

RUNS, DOWN, UNTOLD = Identity(up=True), Identity(up=False), Identity(up=False, known=False)
ILL = Identity(up=False, value="4711")
"""It runs, and is not well."""


def served(
    deployer: Deployer,
    seen: Callable[[str], Identity] = lambda _: RUNS,
    logs: Callable[[str], str] = lambda _: "",
) -> Deployer:
    """Each host has a service, which is so, and says that."""
    plain = deployer.keys.get("target", target(deployer.run, deployer.max_failures))
    services = {n: Service(name="api", backend="pm2", directory=f"/srv/{n}") for n in HOSTS}
    hosts = {name: Host(name=name, service=service) for name, service in services.items()}
    deployer.keys["target"] = plain.model_copy(update={"hosts": hosts})

    def restarter(host: str) -> SimpleNamespace:
        nothing = dict.fromkeys(("restart", "stop", "find", "streams"))
        reading = {"identity": lambda: seen(host), "logs": lambda _: logs(host)}
        return SimpleNamespace(**nothing, **reading)

    deployer.seams["restarter"] = restarter
    return deployer


def bodies(deployer: Deployer) -> dict[str, Any]:
    """The newest record of each kind."""
    return {each.kind: each.body for each in deployer.journal.recall(deployer.run)}


def test_each_host_keeps_its_record_beside_its_own_service(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployer, honest, homes = served(begin()), release_file.write, dict[str, str]()

    def write(transport: Transport, home: str, record: HostRecord) -> Result:
        homes[transport.host.name] = home
        return honest(transport, home, record)

    monkeypatch.setattr(release_file, "write", write)
    deployer.keys["target"] = deployer.keys["target"].model_copy(update={"state": ""})
    assert say(deployer).exit_code == 0
    assert homes == {name: f"/srv/{name}/.backout" for name in HOSTS}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (RUNS, RUNS, ""),
        (RUNS, DOWN, "it does not run"),
        (RUNS, UNTOLD, "nobody can tell whether it runs"),
        (ILL, DOWN, "it does not run"),
        (DOWN, DOWN, ""),
        (UNTOLD, DOWN, ""),
    ],
)
def test_what_ran_before_runs_again_or_it_is_no_end(
    begin: Begin, before: Identity, after: Identity, words: str
) -> None:
    deployer = begin(refuses={"Bad web3"})

    def seen(host: str) -> Identity:
        return after if host == "web2" and "-Ship here" in deployer.world.log else before

    ended = say(served(deployer, seen))
    assert ended.exit_code == (5 if words else 4)
    assert ended.reason == (
        f"{FAILED.format('web3')}; and backing out is incomplete:"
        f" check service api@web2 is red: {words} (it passed before)"
        if words
        else FAILED.format("web3")
    )


def test_how_each_service_was_is_on_record_before_the_first_change(begin: Begin) -> None:
    seen = {"web1": RUNS, "web2": ILL, "web3": UNTOLD}
    deployer = served(begin(), seen.__getitem__)
    say(deployer)
    noted = bodies(deployer)["baseline"]
    assert noted["up"] == {"web1": True, "web2": True, "web3": None}
    assert noted["well"] == {"web1": True, "web2": False, "web3": False}
    assert {row["check"] for row in noted["findings"]} == {"well", "whole"}
    assert noted["first"] is False


def test_a_service_of_which_a_step_has_just_seen_who_serves_is_not_asked_again(
    begin: Begin,
) -> None:
    asked: list[str] = []
    deployer = begin()

    class Looks(Doing):
        world = deployer.world

        def before(self, work: StepContext) -> Undo:
            if work.host and work.step.name == "Good":
                work.restarter().identity()
            return super().before(work)

    def seen(host: str) -> Identity:
        asked.append(host)
        return UNTOLD if host == "web3" and asked.count(host) == 1 else RUNS

    served(deployer, seen)
    deployer.seams["steps"] = {**deployer.kinds, "do": Looks}
    deployer.consent = lambda *_: deployer.stop("enough seen")
    with pytest.raises(Refused, match="enough seen"):
        deployer.say("deploy")
    assert sorted(asked) == [*HOSTS, "web3"], "where it could not be told it is asked again"
    assert bodies(deployer)["baseline"]["up"] == dict.fromkeys(HOSTS, True)


@pytest.mark.parametrize(("kind", "gone"), [("do", False), ("beside", True)])
def test_the_log_of_what_failed_is_read_once_before_it_is_taken_back_but_not_of_who_went_back_alone(
    begin: Begin, kind: str, gone: bool
) -> None:
    """Where the new release can leave sight at once it does so before anything is read."""
    rules = (Rule(when="failure.log.contains('out of memory')", say="give it memory"),)
    settle = (step("Restart", kind=kind), gate())
    book = runbook().model_copy(update={"settle": settle, "diagnose": rules})
    deployer = begin(1, book=book, ill=HERE, refuses={"Bad web2"})
    log = deployer.world.log
    when: list[tuple[str, bool, bool]] = []

    def read(host: str) -> str:
        when.append((host, f"-Restart {host}" in log, f"-Bad {host}" in log))
        return f"{host} is out of memory"

    ended = say(served(deployer, logs=read))
    assert (ended.exit_code, ended.advice) == (4, "give it memory")
    assert sorted(when) == [("web1", gone, False), ("web3", gone, False)]
    assert bodies(deployer)["evidence" if gone else "back_out"]["logs"] == {
        host: f"{host} is out of memory" for host in ("web1", "web3")
    }
