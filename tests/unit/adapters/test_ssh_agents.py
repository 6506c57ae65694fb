"""Where an SSH agent is looked for, and what there is when nobody is there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from backout.adapters.transports.ssh_agent import Agent, connected


def test_an_agent_that_is_not_to_be_used_is_not_asked() -> None:
    assert connected("none") is None
    assert Agent("none").get_keys() == ()


def test_an_agent_that_is_gone_has_no_keys(tmp_path: Path) -> None:
    place = tmp_path / "agent"
    assert connected(str(place)) is None
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))  # and nobody listens
    assert Agent(str(place)).get_keys() == ()


def test_where_nothing_is_said_the_environment_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    assert connected("") is None
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "agent"))
        there.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        link = connected("")
        assert link is not None
        link.close()
