"""Runs that are handed over to workers, on a real PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backout.testing import typed
from support.disk import small_disk
from support.pgbouncer import pooled
from support.postgres import Postgres
from support.project import Said
from support.team import Team
from support.wait import eventually
from support.warm import Started
from support.yard import Yard

FROZEN = "{from: 2026-01-01T00:00Z, until: 2126-01-01T00:00Z, why: nobody is there}"


@pytest.fixture
def team(tmp_path: Path, postgres: Postgres) -> Iterator[Team]:
    with Yard(tmp_path, rollout={"batches": ["100%"], "soak": "0s"}) as yard:
        yield Team(yard, postgres)


def held(team: Team, *words: str) -> str:
    """One that was handed over, and comes to a step that waits."""
    team.yard.runbook(
        team.yard.step("First"), team.yard.step("Slow", before=team.yard.hold()), settle=[]
    )
    return team.deploy(*words)


# --- from one terminal to a worker and back -----------------------------------------------------


def test_what_is_handed_over_is_driven_followed_and_listed(team: Team) -> None:
    asked = team.yard.deploy("--detach")
    run = held(team)
    assert asked.code == 2  # there was no runbook yet
    assert team.yard.deploy().code == 7
    assert [(z["zone"], z["workers"], z["runs"][0]["state"]) for z in team.shown()] == [
        ("default", [], "waits")
    ]
    process = team.worker("--width", "2")
    team.yard.busy("Slow-here")
    eventually(lambda: team.shown()[0]["workers"][0]["runs"] == [run])
    assert team.shown()[0]["runs"][0]["state"] == "driven"
    team.yard.let_go()
    followed = team.yard.project.say("follow", run, "--json")
    assert (followed.code, followed.data["outcome"]) == (0, "succeeded"), followed.err
    assert team.yard.effects() == {"First-here": 1, "Slow-here": 1}
    # Nothing of the queue is left, and nothing of it is periodic: it keeps no history.
    jobs = "SELECT id FROM backout_queue.procrastinate_jobs"
    eventually(lambda: not team.sql(jobs), saying="no job")
    assert not team.sql("SELECT id FROM backout_queue.procrastinate_periodic_defers")
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "stopped" in out) == (0, True), out + err
    assert team.shown() == []


def test_who_starts_nothing_at_a_terminal_follows_what_workers_do(team: Team) -> None:
    team.rule(more="runs: workers\n")
    team.worker()
    team.yard.runbook(team.yard.step("First", after="false"))
    said = team.yard.deploy()
    assert (said.code, said.data["outcome"]) == (4, "backed_out"), said.out + said.err
    run = said.data["run"]
    assert team.kinds(run)[0] == "handed"
    assert team.yard.effects() == {}
    # Whoever follows can stop it, wherever they are.
    run = held(team)
    team.yard.busy("Slow-here")
    team.wish(run)
    eventually(lambda: "stop" in team.kinds(run), saying="the wish on record")
    team.yard.let_go()
    assert team.ended(run) == ("backed_out", 4)


def test_what_only_its_own_terminal_can_do_is_not_handed_over(team: Team) -> None:
    ask = {"name": "Ask", "approve": "Go on?"}
    team.yard.runbook(ask, team.yard.step("First"))
    refused = team.yard.deploy("--detach")
    assert (refused.code, refused.data["error"]["what"].partition(":")[0]) == (3, "Ask")
    team.yard.runbook(team.yard.step("First"))
    team.yard.inventory(protected=True, zone="eu")
    asked = team.yard.deploy("--detach")
    assert (asked.code, "not confirmed" in asked.out) == (3, True), asked.out
    run = team.deploy("--yes")
    assert "confirmed" in team.kinds(run)
    assert [(zone["zone"], zone["runs"][0]["run"]) for zone in team.shown()] == [("eu", run)]
    # Nobody is there to drive it: it holds nothing, and can be ended from here.
    listed = team.yard.project.say("workers")
    assert "next:  invoke worker --zone eu" in listed.out
    assert not list(team.yard.files.parent.glob("notes/**/lock"))
    ended = team.yard.say("abort", "--yes")
    assert (ended.code, team.shown()) == (4, []), ended.out + ended.err
    (team.yard.project.directory / "backout.yaml").unlink()
    alone = team.yard.deploy("--detach")
    assert (alone.code, "backout.yaml" in alone.out) == (3, True), alone.out
    assert team.yard.project.say("worker", alone=True).code == 3
    assert team.yard.effects() == {}


def test_so_many_runs_side_by_side_and_each_target_in_its_turn(team: Team) -> None:
    """And a worker stays small, however many it has driven."""
    yard, targets = team.yard, ("prod", "other", "third")
    for name in targets[1:]:
        state = {"state": str(yard.files.parent / f"notes-{name}")}
        yard.project.inventory(name, yard.plain() | yard.changes | state)
    waiting = f"until [ -e {yard.files.parent}/{{{{ target.name }}}} ]; do sleep 0.05; done"
    told = f"echo {{{{ target.name }}}} >> {yard.files}/order"
    yard.runbook(
        {"name": "Slow", "run": f"{told}\n{waiting}", "on": "web", "undo": "true"}, settle=[]
    )

    def begun() -> list[str]:
        order = yard.files / "order"
        return order.read_text().split() if order.exists() else []

    runs = [
        yard.project.say("deploy", "--target", name, "--detach", "--json").data["run"]
        for name in targets
    ]
    worker = team.worker("--width", "2")
    eventually(lambda: len(begun()) == 2, saying="two at once")
    eventually(lambda: len(team.shown()[0]["workers"][0]["runs"]) == 2)
    assert sorted(begun()) == sorted(targets[:2])
    (yard.files.parent / "prod").touch()
    assert team.ended(runs[0]) == ("succeeded", 0)
    eventually(lambda: begun()[-1] == "third", saying="the third's turn")
    for name in targets[1:]:
        (yard.files.parent / name).touch()
    assert [team.ended(run) for run in runs] == [("succeeded", 0)] * 3
    assert _memory(worker) < 200_000, "KiB"


def _memory(worker: Started) -> int:
    """The most that a worker's own process has held, in KiB."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_secret_that_is_not_where_the_run_is_driven_refuses_it_there(team: Team) -> None:
    team.yard.inventory(secrets={"key": {"env": "A_KEY"}})
    spoken = {"name": "Tell", "run": 'test -n "$KEY"', "env": {"KEY": "{{ secrets.key }}"}}
    team.yard.runbook({**spoken, "on": "web", "undo": "true"})
    team.env["A_KEY"] = "h0rse-stapler"
    run = team.deploy()
    del team.env["A_KEY"]
    team.worker()
    assert team.ended(run) == ("refused", 3)
    said = team.yard.project.say("follow", run, "--json")
    assert (said.code, "A_KEY" in said.data["reason"]) == (3, True), said.out
    assert "driven by worker" in said.out


def test_a_worker_drives_the_commit_that_was_asked_for_in_a_checkout_of_its_own(
    team: Team, tmp_path: Path
) -> None:
    """Its own clone stands still, and what steps read is what the commit has. What another person
    agreed to is what they find there."""
    here = team.yard.project.directory

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", "-C", here, *who, *words], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    team.yard.inventory(source={"repository": ".", "remote": str(here), "branch": "main"})
    copied = {"name": "Copy", "run": f"cp told {tmp_path}/copied", "undo": "true"}
    team.yard.runbook(copied)
    (here / "told").write_text("one")
    (here / ".gitignore").write_text(".backout\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "one")
    other = team.elsewhere()
    (here / "told").write_text("two")
    dirty = team.yard.deploy("--detach")
    assert (dirty.code, "not committed: told" in dirty.out) == (3, True), dirty.out
    team.env["BACKOUT_PERSON"] = "ann"
    team.yard.inventory(protected={"approvals": 1})
    git("commit", "-qam", "two")
    asked = team.yard.deploy("--detach", "--yes")
    assert (asked.code, "invoke approve" in asked.out) == (3, True), asked.out
    team.approved(by="bob")
    run = team.deploy("--yes")
    team.worker(of=other)
    assert team.ended(run) == ("succeeded", 0)
    assert "approved" in team.kinds(run)
    assert (tmp_path / "copied").read_text() == "two"
    assert (other.project.directory / "told").read_text() == "one"
    eventually(lambda: not list((other.project.state / "drives").iterdir()))


def test_what_was_wished_and_what_began_while_a_run_waited_counts_before_anything_is_begun(
    team: Team,
) -> None:
    """Nobody is at a worker who would see that the run was stopped, or that the target is frozen
    by now."""
    team.yard.runbook(team.yard.step("First"), settle=[])
    stopped = team.deploy()
    team.wish(stopped)
    first = team.worker()
    assert team.ended(stopped) == ("refused", 3)
    first.terminate()
    first.communicate(timeout=60)
    frozen = team.deploy()
    team.rule(more=f"freeze: [{FROZEN}]\n")
    team.worker()
    assert team.ended(frozen) == ("refused", 3)
    assert team.yard.effects() == {}
    for run, words in ((stopped, "stopped by ann, before any"), (frozen, "prod is frozen until ")):
        assert words in team.yard.project.say("follow", run, "--json").data["reason"]
    assert team.ended(team.deploy("--break-freeze", "the shop is down")) == ("succeeded", 0)
    assert team.yard.effects() == {"First-here": 1}


def test_a_wish_to_stop_that_a_killed_driver_did_not_hear_is_heard_by_the_next(team: Team) -> None:
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    first.kill()
    first.communicate()
    team.wish(run)
    team.yard.let_go()
    team.worker()
    assert team.ended(run) == ("backed_out", 4)
    assert team.yard.effects() == {}


# --- a worker is gone ---------------------------------------------------------------------------


def test_a_worker_that_is_killed_loses_its_run_to_another_who_does_as_is_said(team: Team) -> None:
    """Whatever the queue thinks of its job: it is never told to try again. Where both are of one
    machine nothing is waited for."""
    team.rule(rescue="back_out")
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    drives = _drives_of(first)
    killed(first)
    eventually(lambda: not any(map(_lives, drives)), saying="the end of its drives")
    team.worker()
    eventually(lambda: "rescued" in team.kinds(run), saying="a rescue")
    team.yard.let_go()
    assert team.ended(run) == ("backed_out", 4)
    assert team.yard.effects() == {}
    assert team.yard.project.say("history", "--check", "--json").data["faults"] == []


def test_where_a_person_is_to_decide_nothing_more_happens(team: Team) -> None:
    """A drive that is killed takes nothing else along; and whoever hears of the target's runs is
    told."""
    team.rule(rescue="ask", after="3s")
    team.yard.inventory(notify={"deploys": ["json://127.0.0.1:9/nobody"]})
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    for drive in _drives_of(first):
        _signal(drive, signal.SIGKILL)
    eventually(lambda: "needs_person" in team.kinds(run), saying="a question")
    assert first.poll() is None
    assert team.shown()[0]["runs"][0]["state"] == "asks"
    told = team.sql("SELECT body FROM backout.letter WHERE kind = 'needs-person'")
    assert "that drove it is gone" in str(told)
    listed = team.yard.project.say("workers")
    assert "next:  invoke resume --target prod, or invoke abort" in listed.out
    team.yard.let_go()
    said = team.yard.say("abort", "--yes")
    assert (said.code, team.yard.effects()) == (4, {}), said.out + said.err


def test_a_rescuer_elsewhere_does_nothing_on_a_host_that_is_the_machine_one_is_on(
    team: Team,
) -> None:
    """What a run did on one machine is not known on another: there it would do it a second time."""
    del team.yard.changes["state"]
    team.yard.inventory()
    team.rule(after="3s")
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    killed(first)
    team.worker(of=team.elsewhere())
    eventually(lambda: "needs_person" in team.kinds(run), saying="a question")
    assert team.yard.effects()["First-here"] == 1
    team.yard.let_go()
    eventually(lambda: not team.yard.exists("Slow-here.busy"), saying="the end of the command")
    said = eventually(lambda: _aborted(team), saying="the end of the lease")
    assert said is not None
    assert (said.code, team.yard.effects()) == (4, {}), said.out + said.err


def test_a_worker_that_was_frozen_wakes_up_beside_its_rescuer_and_changes_nothing(
    team: Team,
) -> None:
    """Its job ends as it likes, and its drive is fenced off: nothing begins beside the second."""
    team.rule(after="4s")
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    drive = next(iter(_drives_of(first)))
    for pid in (first.pid, drive):
        _signal(pid, signal.SIGSTOP)
    team.worker(of=team.elsewhere())
    eventually(lambda: team.kinds(run).count("taken") > 1, saying="a second driver")
    for pid in (first.pid, drive):
        _signal(pid, signal.SIGCONT)
    team.yard.let_go()
    assert team.ended(run) == ("succeeded", 0)
    eventually(lambda: not _drives_of(first), saying="the end of the first drive")
    assert team.yard.effects() == {"First-here": 1, "Slow-here": 1}
    assert not team.sql("SELECT * FROM backout_queue.procrastinate_jobs WHERE status = 'todo'")


def test_a_worker_that_was_frozen_wakes_up_beside_a_person_who_is_asked_and_begins_nothing(
    team: Team,
) -> None:
    """It is fenced off all the same, the host stays the run's, and the person decides."""
    team.rule(rescue="ask", after="4s")
    team.yard.runbook(
        team.yard.step("Slow", before=team.yard.hold()), team.yard.step("Then"), settle=[]
    )
    run = team.deploy()
    first = team.worker()
    team.yard.busy("Slow-here")
    frozen = (first.pid, *_drives_of(first))
    for pid in frozen:
        _signal(pid, signal.SIGSTOP)
    team.worker(of=team.elsewhere())
    eventually(lambda: "needs_person" in team.kinds(run), saying="a question")
    before = team.kinds(run)
    team.yard.let_go()
    eventually(lambda: not team.yard.exists("Slow-here.busy"), saying="the end of the command")
    for pid in frozen:
        _signal(pid, signal.SIGCONT)
    assert first.stdout is not None
    ended = next(line for line in first.stdout if "is driven no more" in line)
    assert "exit code 8" in ended
    assert (team.kinds(run), team.yard.effects()) == (before, {"Slow-here": 1})
    assert list(team.yard.files.parent.glob("notes/**/lock"))
    said = team.yard.say("resume", "--yes")
    assert (said.code, said.data["outcome"]) == (0, "succeeded"), said.out + said.err
    assert team.yard.effects() == {"Slow-here": 1, "Then-here": 1}
    assert team.yard.project.say("history", "--check", "--json").data["faults"] == []


def _aborted(team: Team) -> Said | None:
    """What that came to, once nobody holds the host; a minute goes by each time."""
    for lease in team.yard.project.directory.rglob("lock/expires"):
        boot, _, ttl = lease.read_text().split()
        lease.write_text(f"{boot} 0 {ttl}\n")
    said = team.yard.say("abort", "--yes")
    return None if said.code == 7 else said


def killed(worker: Started) -> None:
    worker.kill()
    worker.communicate()


def _drives_of(worker: Started) -> list[int]:
    """The processes that a worker's nursery has begun."""
    found: list[int] = []
    for nursery in _children(worker.pid):
        found += _children(nursery)
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():
        return []
    return [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _signal(pid: int, number: int) -> None:
    subprocess.run(["kill", f"-{number}", str(pid)], check=True)


# --- a worker is asked to stop --------------------------------------------------------------------


def test_a_worker_that_is_asked_to_stop_ends_what_it_has_begun(team: Team) -> None:
    """The queue's own sign of life stops at once, and it calls a living drive stalled: that says
    nothing, and another worker lets it be."""
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    first.terminate()
    old = "UPDATE backout_queue.procrastinate_workers SET last_heartbeat = now() - interval '1h'"
    team.sql(old)
    second = team.worker(of=team.elsewhere())
    eventually(lambda: "stopping" in _states(team))
    team.yard.let_go()
    assert team.ended(run) == ("succeeded", 0)
    first.communicate(timeout=60)
    assert (first.returncode, "rescued" in team.kinds(run)) == (0, False)
    assert second.poll() is None


def _states(team: Team) -> list[str]:
    return [worker["state"] for zone in team.shown() for worker in zone["workers"]]


def test_what_takes_too_long_is_handed_over_to_another_worker(team: Team) -> None:
    team.rule(grace="1s")
    run = held(team)
    first = team.worker()
    team.yard.busy("Slow-here")
    first.terminate()
    first.communicate(timeout=60)
    assert (first.returncode, team.kinds(run).count("rescued")) == (0, 1)
    team.yard.let_go()
    team.worker(of=team.elsewhere())
    assert team.ended(run) == ("succeeded", 0)
    assert team.yard.effects() == {"First-here": 1, "Slow-here": 1}


def test_a_worker_whose_own_disk_is_full_takes_nothing_and_ends_until_there_is_room(
    team: Team,
) -> None:
    """What it drives already comes to its end. Nobody is then said to be there who is of no use,
    and the run waits for somebody who is."""
    team.rule(after="4s")
    other = team.elsewhere()
    run = held(team)
    with small_disk(other.project.state) as disk:
        first = team.worker(of=other)
        team.yard.busy("Slow-here")
        disk.fill()
        waits = team.deploy_of("other")
        team.yard.let_go()
        assert team.ended(run) == ("succeeded", 0)
        out, err = first.communicate(timeout=60)
        assert (first.returncode, "No space left on device" in err) == (3, True), out + err
        again = other.project.say("worker", alone=True)
        assert (again.code, "takes nothing more: No space left" in again.err) == (3, True)
        assert team.shown()[0]["workers"] == []
        assert "next:  invoke worker" in team.yard.project.say("workers").out
        disk.empty()
        team.worker(of=other)
        assert team.ended(waits) == ("succeeded", 0)


# --- the database and the link to it --------------------------------------------------------------


def test_a_worker_outlives_its_database_and_a_bell_that_is_not_heard(team: Team) -> None:
    """What it drives waits for the database as any run does."""
    run = held(team)
    process = team.worker()
    team.yard.busy("Slow-here")
    assert process.stdout is not None
    team.postgres.stop()
    try:  # it says so, and does not end
        assert any("ledger" in line or "queue" in line for line in process.stdout)
    finally:
        team.postgres.start()
    team.yard.let_go()
    assert team.ended(run) == ("succeeded", 0)
    # Nobody is notified of this one: it is found all the same.
    mute = "ALTER TABLE backout_queue.procrastinate_jobs DISABLE TRIGGER USER"
    team.sql(mute)
    team.yard.runbook(team.yard.step("First"), settle=[])
    assert team.ended(team.deploy()) == ("succeeded", 0)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err


def test_a_worker_listens_at_the_database_itself_and_the_rest_goes_through_a_pooler(
    team: Team,
) -> None:
    with pooled(team.postgres) as port:
        direct = team.env["TEAM_LEDGER"]
        team.env["TEAM_LEDGER"] = direct.replace(f":{team.postgres.port}/", f":{port}/")
        deaf = team.yard.project.say("worker", "--json", alone=True)
        assert (deaf.code, "a pooler stands before" in deaf.out) == (3, True), deaf.out + deaf.err
        team.rule(more="")
        rules = team.yard.project.directory / "backout.yaml"
        rules.write_text(rules.read_text().replace("after:", "secret: DIRECT, after:"))
        team.env["DIRECT"] = direct
        team.worker()
        team.yard.runbook(team.yard.step("First"), settle=[])
        assert team.ended(team.deploy()) == ("succeeded", 0)


def test_the_example_of_a_team_is_without_mistakes() -> None:
    place = Path(__file__).parents[2] / "examples" / "team"
    code, out, err = typed(("lint",), place, {**os.environ})
    assert code == 0, out + err
