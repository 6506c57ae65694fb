"""A target's machines, as one after the other is told of them within a verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.model import Host, Target
from backout.project.project import Workplace


def test_ssh_is_asked_once_of_a_host_by_all_that_goes_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\necho x >>'{asked}'\necho hostname 192.0.2.1\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    (tmp_path / "inventories").mkdir()
    workplace = Workplace(tmp_path)
    host = Host(name="web1", address="web")
    target = Target(name="prod", hosts={"web1": host})
    addresses = [workplace.machines(target).locate(host).address for _ in range(2)]
    assert addresses == ["192.0.2.1", "192.0.2.1"]
    assert asked.read_text() == "x\n"
