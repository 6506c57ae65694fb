"""How often a run waits for a host: over a long link that is what it costs."""

from __future__ import annotations

from collections import Counter

import pytest

from backout import Project
from backout.adapters.lease import LeaseLock
from backout.adapters.transports.captured import Ran
from backout.adapters.transports.ssh import SshTransport
from support.yard import Yard

AROUND = 6
"""Taken, with its record read; marked as begun; asked whether it is still held; marked as arrived;
asked what it says; let go."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many texts each host was given, and waited for; no lease is renewed meanwhile."""
    usual = LeaseLock.__init__.__kwdefaults__
    assert usual
    monkeypatch.setitem(usual, "ttl", 3600.0)
    counts: Counter[str] = Counter()
    execute = SshTransport._execute

    def counting(
        self: SshTransport, text: str, timeout: float, *, private: bool = False, brief: bool = False
    ) -> Ran:
        counts[self.host.name] += 1
        return execute(self, text, timeout, private=private, brief=brief)

    monkeypatch.setattr(SshTransport, "_execute", counting)
    return counts


def test_a_host_is_waited_for_once_a_command_and_six_times_around_them(
    fleet: Yard, asked: Counter[str]
) -> None:
    fleet.inventory(rollout={"batches": ["100%"]})
    changing = [{"name": f"Do {n}", "run": "true", "undo": "true", "on": "all"} for n in range(3)]
    reading = [{"name": f"See {n}", "run": "true", "readonly": True, "on": "all"} for n in range(3)]
    for steps in (changing, reading):
        asked.clear()
        fleet.runbook(*steps)
        assert Project(fleet.project.directory).deploy("prod").ok
        assert asked == dict.fromkeys(("web1", "web2", "web3"), len(steps) + AROUND)


def test_a_shell_answers_on_every_host_before_the_first_is_taken(
    fleet: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first host is taken alone, so that of two runs one wins; nobody waits for its login."""
    greeted: list[str] = []
    greet, execute = SshTransport._greet, SshTransport._execute

    def greeting(self: SshTransport, shell: object) -> bool:
        greeted.append(self.host.name)
        return greet(self, shell)  # type: ignore[arg-type]

    def executing(self: SshTransport, *words: object, **more: object) -> Ran:
        assert sorted(greeted) == ["web1", "web2", "web3"]
        return execute(self, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(SshTransport, "_greet", greeting)
    monkeypatch.setattr(SshTransport, "_execute", executing)
    fleet.runbook(fleet.step("one"))
    assert Project(fleet.project.directory).deploy("prod").ok
