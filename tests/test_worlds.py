"""Worlds: the real product over pretended machines, links and time, one for each seed.

More of them: `bench/worlds.py`; each guard taken away: `proof/twins.py`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from proof.twin import Twin, noticed, without
from proof.twins import TWINS
from proof.worlds.baton import Baton, Life
from proof.worlds.faults import FAULTS, Fault, cut, go_on_twice, kill_at_record, stale, unplug
from proof.worlds.files import File, Folder
from proof.worlds.judge import at_an_end
from proof.worlds.machine import Machine
from proof.worlds.places import Screen
from proof.worlds.process import Gathered
from proof.worlds.shapes import loaded
from proof.worlds.story import Told, Worlds, ground
from proof.worlds.threads import Now
from proof.worlds.world import Typed

from backout.adapters.own_directory import GUARD
from backout.adapters.programs import program
from backout.adapters.transports.shell_text import LIBRARY, Fence, noted, plain, recall
from backout.model import Command, Event
from backout.reports.report import Report

pytestmark = pytest.mark.usefixtures("unhurried")

WORLDS = 30
PAGE = Path(__file__).parent.parent / "docs" / "proof.md"
MARK = "mark"
HOME = "~/.backout"
FENCE = Fence("token1", 60.0, "run1")
TAKEN = (
    "token={0}\nname=web1\nhost=web1\nnotes={1}\nrun={1}\nowner=ann@laptop\nttl=60\nbegan={2}\n"
    "epoch={3}\nclaim=''\nturn={4}\nspare=512\nrecord=release.json\ndays=30\nfew=10\n"
)


def asked(values: str, script: str) -> str:
    text = f'home="$HOME"/.backout\n{values}{LIBRARY}{program("lease")}{script}'
    return plain(Command(text), (), MARK)


def acquired(token: str, run: str, began: str = "''", epoch: int = 0, turn: int = 0) -> str:
    values = TAKEN.format(token, run, began, epoch, turn)
    return asked(values, f"h=$home;{GUARD}{program('acquire')}")


def did(key: str, script: str, fence: Fence = FENCE, lines: Sequence[str] = ()) -> str:
    return noted(Command(script, key=key, title=f"Step {key}"), (), MARK, HOME, fence, lines)


STORY = (
    asked("", "show ''\n"),
    acquired("token1", "run1"),
    acquired("token1", "run1"),
    acquired("token2", "run2"),
    asked("", "show ''\n"),
    did("run1/a", "echo out; echo err >&2; exit 3", lines=['{"a": 1}', "it's"]),
    did("run1/a", "echo again"),
    did("run1/b", "echo here; true"),
    did("run1/c", "echo never", Fence("token2", 60.0, "run2")),
    recall("run1/a", MARK, HOME),
    recall("run1/late", MARK, HOME),
    did("run1/late", "echo late"),
    plain(Command('printf "%s\\n" "$HOME" >/dev/null; echo "$((3 + 4))"'), (), MARK),
    plain(Command("echo kept"), (), MARK, HOME, FENCE, ["line"]),
    acquired("token3", "run1", began="1", epoch=2),
    acquired("token4", "run1", began="1", epoch=1),
    asked("token=token3\n", 'ours || { cat "$home/lock/run"; exit 75; }\n'),
    asked("token=token9\n", 'ours || { cat "$home/lock/run"; exit 75; }\n'),
    asked("token=token3\nforce=\nonly=''\ngrace=2\n", program("end_group") + program("take")),
    asked("", "show ''\n"),
    acquired("token5", "run2"),
    acquired("token6", "run1", began="1", epoch=2),
    asked("token=token5\n", 'ours || exit 75\nrm -rf "$home/lock"'),
    acquired("token7", "run1", began="1", epoch=2),
    acquired("token8", "run1", began="1", epoch=2, turn=10),
    acquired("token9", "run1", began="1", epoch=2, turn=9),
    acquired("token7", "run1", began="1", epoch=2),
    asked("", "show ''\n"),
    acquired("token10", "run1", began="1", epoch=3, turn=1),
    asked("", "show ''\n"),
    asked("notes=run1\nfrom=1\nsize=400\n", program("mirror")),
    asked("notes=run3\nbegan=''\n", program("mark")),
    recall("run3/x", MARK, HOME),
)
"""What hosts are asked, one after the other."""


def real(home: Path) -> Iterator[tuple[int, str, str]]:
    for text in STORY:
        done = subprocess.run(
            ["/bin/sh"],
            input=text,
            env={"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        yield done.returncode, done.stdout, done.stderr


def pretended(machine: Machine) -> Iterator[tuple[int, str, str]]:
    for text in STORY:
        out, err = Gathered(), Gathered()
        process = machine.start(text, out, err)
        machine.baton.play(lambda process=process: not process.threads)  # type: ignore[misc]
        assert process.ends is not None, (text, machine.baton.crashed)
        yield process.ends, "".join(out.parts), "".join(err.parts)


def alike(text: str) -> str:
    """Without what differs between two machines: boots, process numbers, moments."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\w+-boot\d+", "BOOT", text)
    text = re.sub(r"(?m)^BOOT \S+ \S+ \S+$", "MACHINE", text)
    return re.sub(r"(?<![\w.])\d{2,}(?!\w)", "N", text)


def on_disk(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and ".git" not in file.parts)
    return {str(file.relative_to(folder)): alike(file.read_text()) for file in files}


def in_memory(folder: Folder, above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, each in folder.names.items():
        if isinstance(each, File):
            found[above + name] = alike(each.text)
        elif name != ".git":
            found |= in_memory(each, f"{above}{name}/")
    return found


def test_a_pretended_machine_says_and_leaves_what_a_real_shell_does(tmp_path: Path) -> None:
    baton = Baton(1)
    Now.baton = baton
    machine = Machine(baton, "web1")
    told = [(code, alike(out), alike(err)) for code, out, err in pretended(machine)]
    assert told == [(code, alike(out), alike(err)) for code, out, err in real(tmp_path)]
    home = machine.disk.find("/root/.backout", machine.disk.root)
    assert isinstance(home, Folder)
    assert in_memory(home) == on_disk(tmp_path / ".backout")


@pytest.fixture(scope="module")
def worlds() -> Iterator[Worlds]:
    with ground() as made:
        yield made


def test_the_same_seed_is_the_same_world(worlds: Worlds) -> None:
    for seed in (17, 1090):
        assert worlds.play(seed) == worlds.play(seed)


def left_by(worlds: Worlds, seed: int) -> tuple[Told, list[str]]:
    """What is told of a world, and every text that its machines have then."""
    with worlds.story(seed, {}) as story:
        told = story.told(FAULTS)
        return told, [text for host in story.world.hosts.values() for text in texts(host)]


def texts(machine: Machine) -> Iterator[str]:
    folders = [machine.disk.root]
    for folder in folders:
        for name, each in sorted(folder.names.items()):
            if isinstance(each, Folder):
                folders.append(each)
            else:
                yield f"{name}: {each.text}"


def test_a_world_has_nothing_of_the_place_and_the_hour_where_it_is_played(worlds: Worlds) -> None:
    told = left_by(worlds, 3)
    loaded.cache_clear()
    assert left_by(worlds, 3) == told


def test_whatever_goes_wrong_all_is_done_or_all_is_undone_and_told_so(worlds: Worlds) -> None:
    told = [worlds.play(seed) for seed in range(1, WORLDS + 1)]
    assert [(each.seed, each.violations) for each in told if each.violations] == []
    codes = {code for each in told for verb, code in each.codes if verb == "ann: deploy"}
    assert codes >= {0, 3, 4, None}, "too little goes wrong in them"


@pytest.mark.parametrize("among", [(), (kill_at_record,), (cut, unplug), (stale,)])
def test_a_rollback_to_a_release_that_is_not_well_goes_forward_again_whatever_goes_wrong(
    worlds: Worlds, among: tuple[Fault, ...]
) -> None:
    shape = {"back": True, "here": False, "ends": "well", "spoilt": True}
    told = [worlds.play(seed, shape=shape, among=among) for seed in range(1, 11)]
    assert [(each.seed, each.violations) for each in told if each.violations] == []
    ends = [each.codes[2][1] for each in told]
    assert ends == [4] * 10 if not among else 4 in ends


def test_a_host_that_loses_its_power_while_its_lock_is_taken_is_not_told_as_unchanged(
    worlds: Worlds,
) -> None:
    assert [worlds.play(seed).violations for seed in (3002328, 3002681)] == [(), ()]


def test_a_run_that_begins_between_two_looks_at_its_host_is_alive(worlds: Worlds) -> None:
    seeds = (9026289, 9041936, 9068886)
    assert {seed: worlds.play(seed).violations for seed in seeds} == dict.fromkeys(seeds, ())


def test_who_was_taken_over_hears_that_and_not_only_who_was_there_since(worlds: Worlds) -> None:
    seeds = (9035067, 9048988, 9067238)
    assert {seed: worlds.play(seed).violations for seed in seeds} == dict.fromkeys(seeds, ())


def test_whoever_ends_a_command_that_is_late_holds_its_host_still(worlds: Worlds) -> None:
    assert worlds.play(9076859).violations == ()


def test_a_run_that_could_not_go_on_has_its_hosts_still(worlds: Worlds) -> None:
    assert worlds.play(9090270).violations == ()


def test_who_does_what_is_said_in_the_end_needs_no_force(worlds: Worlds) -> None:
    assert worlds.play(12102407).violations == ()


def test_who_finds_what_a_power_cut_left_of_a_lease_has_lost_none(worlds: Worlds) -> None:
    seeds = (9045083, 9083005)
    assert {seed: worlds.play(seed).violations for seed in seeds} == dict.fromkeys(seeds, ())


def test_force_that_meets_a_full_disk_takes_the_host_or_says_that_it_did_not(
    worlds: Worlds,
) -> None:
    assert worlds.play(92001028).violations == ()


def test_who_took_a_run_over_and_reached_no_host_hears_how_its_own_machine_ended_it(
    worlds: Worlds,
) -> None:
    back = {"back": True, "ends": "well", "spoilt": True}
    assert worlds.play(64001492, shape=back).violations == ()


def test_a_rollback_that_lost_its_lock_says_so_and_not_what_its_hosts_are(worlds: Worlds) -> None:
    reasons = list[str]()
    for seed in (73067254, 73067261, 73067691):
        with worlds.story(seed, {"back": True, "ends": "well", "spoilt": True}) as story:
            assert story.told(FAULTS).violations == ()
            reasons += [typed.report.reason for typed in story.world.typed if typed.report]
    assert any(words.startswith("another run has taken the lock of web1") for words in reasons)


def test_who_goes_on_keeps_its_hosts_whatever_arrives_late_of_its_earlier_processes(
    worlds: Worlds,
) -> None:
    told = [worlds.play(seed, among=(go_on_twice,)) for seed in range(1, WORLDS + 1)]
    assert [(each.seed, each.violations) for each in told if each.violations] == []


@pytest.mark.parametrize("held", [True, False])
def test_a_lock_is_lost_by_whoever_had_it(worlds: Worlds, held: bool) -> None:
    said = {"verb": "deploy", "run": "run1", "reason": "the lease on web1 is gone"}
    told = SimpleNamespace(**said, hosts={}, outcome=None)
    with worlds.story(1, {}) as story:
        deploy = Typed(story.world.ann, "deploy", Life("ann"), Screen(), code=5)
        deploy.report = cast("Report", told)
        if held:
            deploy.screen.listen(Event(datetime.now(UTC), "phase", "preflight"))
        assert bool(list(at_an_end(story.world, deploy))) is held


def test_a_run_that_was_refused_stays_open_while_a_host_that_is_away_may_name_it(
    worlds: Worlds,
) -> None:
    seeds = (541, 542, 822)
    assert {seed: worlds.play(seed).violations for seed in seeds} == dict.fromkeys(seeds, ())


def test_nothing_is_restarted_beside_a_restart_of_another_turn(worlds: Worlds) -> None:
    assert worlds.play(5000099).violations == ()


@pytest.mark.parametrize("twin", [each for each in TWINS if each.soon], ids=lambda each: each.guard)
def test_a_product_without_one_of_its_guards_is_noticed(worlds: Worlds, twin: Twin) -> None:
    assert noticed(worlds, twin, guided=True)[1] is not None


@pytest.mark.parametrize("twin", TWINS, ids=lambda each: each.guard)
def test_a_twin_lacks_what_the_product_has(twin: Twin) -> None:
    with without(twin):
        pass


def test_the_page_has_every_twin() -> None:
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([\d,]+) \| [^|]+ \|$", PAGE.read_text())
    known = [twin.guard for twin in TWINS]
    assert [guard for guard, _ in rows if guard in known] == known
