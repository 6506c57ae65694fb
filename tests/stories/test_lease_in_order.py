"""A run is gone on with while a command of its killed process is still on its way to a host:
whenever that arrives, the living one holds the host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.transports.noted_shell import ShellTransport
from backout.adapters.transports.ssh import connect
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import Host, Ssh
from backout.ports import Claim
from support.sshd import SshdBed
from support.wait import eventually
from support.yard import Yard


def reached(bed: SshdBed, name: str) -> ShellTransport:
    given = Ssh.model_validate({**bed.inventory_ssh(), "config": "/dev/null"})
    host = Host.model_validate({"name": name, **bed.inventory_hosts()[name]})
    (transport,) = connect([host], given, lambda _: ".backout/prod", Vault({}))
    return transport


def killed(yard: Yard, verb: str, when: Callable[[], bool]) -> None:
    process = yard.start(verb)
    eventually(when, saying=verb)
    process.kill()
    process.communicate()


def arrives_late(bed: SshdBed, run: str, claim: Claim) -> str:
    """What an acquisition of web1 is told that was sent by an earlier process."""
    transport = reached(bed, "web1")
    try:
        with (
            pytest.raises(Refused) as caught,
            LeaseLock("prod").hold([transport], run, began=["web1"], claim=claim),
        ):
            pytest.fail("it took the host")
    finally:
        transport.close()
    return caught.value.what


def test_a_resume_keeps_its_hosts_whatever_arrives_of_those_before_it(
    two: Yard, bed: SshdBed
) -> None:
    two.runbook(
        two.step("First", before=two.hold("one")), two.step("Second", before=two.hold("two"))
    )
    notes = bed["web1"].home / ".backout/prod/notes"
    killed(two, "deploy", (two.files / "First-web1.busy").is_dir)
    killed(two, "resume", lambda: any(notes.glob("*/turn.0.1")))
    two.let_go("one")
    living = two.start("resume")
    two.busy("Second-web1")
    (run,) = (path.name for path in notes.iterdir())
    for turn in (0, 1):
        assert f"has gone on with run {run} on web1" in arrives_late(bed, run, Claim(turn=turn))
    two.let_go("two")
    out, err = living.communicate()
    assert living.returncode == 0, out + err
    assert set(two.effects().values()) == {1}
    assert "has gone on with" in arrives_late(bed, run, Claim(turn=1))
    assert two.say("status").code == 0
    assert two.good_release().code == 0
