"""A release is one: what a step brings from this machine is the same on every host."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sshd import SshdBed
from support.yard import Yard

NAMES = ("web1", "web2")
CHANGED = (
    "app.conf on this machine has changed since web1 got it: the hosts of one release would differ"
)


@pytest.fixture
def two(bed: SshdBed, tmp_path: Path) -> Iterator[Yard]:
    """Two SSH hosts that go one after the other, and a file that they are brought."""
    with Yard(tmp_path, bed, rollout={"batches": [1, "100%"], "soak": "0s"}) as yard:
        hosts = bed.inventory_hosts()
        yard.inventory(hosts={name: hosts[name] for name in NAMES})
        (yard.project.directory / "app.conf").write_text("one\n")
        yield yard


def bring(yard: Yard, kind: str = "upload", source: str = "app.conf") -> dict[str, Any]:
    to = f"{yard.files}/conf-{{{{ host.name }}}}"
    return {"name": "Bring", kind: {"from": source, "to": to}, "on": "web"}


def edit(yard: Yard, on: str | None, when: str = "true") -> dict[str, Any]:
    """Somebody saves the file, while that host is at it."""
    file = yard.project.directory / "app.conf"
    return yard.step("Edit", on, before=f"! {when} || echo two > {file}")


def contents(yard: Yard) -> dict[str, str]:
    return {path.name[5:]: path.read_text() for path in yard.files.glob("conf-*")}


@pytest.mark.parametrize("kind", ["upload", "template"])
def test_a_file_that_changes_between_two_hosts_is_brought_to_neither(two: Yard, kind: str) -> None:
    second = "[ {{ host.name }} = web2 ]"
    two.runbook(edit(two, "web", second), bring(two, kind))
    said = two.deploy()
    assert (said.code, contents(two)) == (4, {}), said.out + said.err
    assert f"Bring failed: {CHANGED}" in said.data["reason"]
    two.runbook(bring(two, kind))
    assert (two.deploy().code, contents(two)) == (0, dict.fromkeys(NAMES, "two\n"))


def test_who_goes_on_brings_what_the_first_host_got_or_goes_back(two: Yard) -> None:
    slow = two.step("Slow", before=f"[ {{{{ host.name }}}} = web1 ] || {{ {two.hold()}; }}")
    two.runbook({**slow, "retry_safe": True}, bring(two))
    process = two.start()
    two.busy("Slow-web2")
    process.kill()
    process.communicate()
    two.let_go()
    (two.project.directory / "app.conf").write_text("two\n")
    said = two.say("resume")
    assert (said.code, contents(two)) == (4, {}), said.out + said.err
    assert CHANGED in said.data["reason"]


def test_what_the_run_itself_makes_before_is_brought_as_it_was_made(two: Yard) -> None:
    two.runbook(edit(two, None), bring(two))
    said = two.deploy()
    assert (said.code, contents(two)) == (0, dict.fromkeys(NAMES, "two\n")), said.out + said.err


def test_each_host_may_have_a_file_of_its_own(two: Yard) -> None:
    for name in NAMES:
        (two.project.directory / f"{name}.conf").write_text(name)
    two.runbook(bring(two, source="{{ host.name }}.conf"))
    assert (two.deploy().code, contents(two)) == (0, {name: name for name in NAMES})


def test_a_file_that_is_gone_is_said_by_the_step_itself(two: Yard) -> None:
    file = two.project.directory / "app.conf"
    gone = f"[ {{{{ host.name }}}} = web1 ] || rm -f {file}"
    two.runbook(two.step("Edit", before=gone), bring(two))
    said = two.deploy()
    assert (said.code, contents(two)) == (4, {}), said.out + said.err
    assert f"app.conf on this machine: {os.strerror(2)}" in said.data["reason"]
