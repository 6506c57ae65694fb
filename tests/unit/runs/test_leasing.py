"""The lease of a run: what it holds, what it says it was on, and what it lets go; over real leases,
on hosts that are directories here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.local_lock import owner
from backout.adapters.storage.journal import SqliteJournal
from backout.adapters.vault import Vault
from backout.errors import Held, HostKeyRefused, Interrupted, Refused, TakenOver, Unreachable
from backout.model import Event, Host, Record, Target
from backout.ports import TAKEN, Transport
from backout.runs.ended import OVER
from backout.runs.leasing import LEASED, fleet, held_by_nobody_since, leased, let_go, reached, spent
from backout.runs.parts import Parts
from support.clock import ManualClock
from support.folders import Folders
from support.work import Person

RUN, OTHER = "run-7", "run-8"
NAMES = ("web1", "web2", "web3")
HERE = ""


@dataclass
class Site:
    """A target's hosts, of which some may be away, and one journal of its runs."""

    folders: Folders
    journal: SqliteJournal
    away: dict[str, Unreachable] = field(default_factory=dict)
    said: list[Event] = field(default_factory=list)
    clock: ManualClock = field(default_factory=ManualClock)
    target: Target = field(
        default_factory=lambda: Target(name="prod", hosts={name: Host(name=name) for name in NAMES})
    )

    def leave(self, *names: str) -> None:
        for name in names:
            self.away[name] = Unreachable(f"{name} is away", next=f"ping {name}")

    def reach(self, name: str) -> Transport:
        if name in self.away:
            raise self.away[name]
        return self.folders.transports(name or "here")[0]

    @property
    def parts(self) -> Parts:
        """Those of a process of its own."""
        return Parts(
            journal=cast("Any", self.journal),
            lock=LeaseLock("prod"),
            clock=self.clock,
            vault=Vault({}),
            operator=Person(),
            emit=self.said.append,
            steps={},
            reach=self.reach,
            restarter=cast("Any", None),
            examine=cast("Any", None),
            pool=cast("Any", None),
            metrics=cast("Any", None),
        )

    def lease(self, *hosts: str, run: str = RUN, **keys: Any) -> Any:
        return leased(self.parts, self.target, run, hosts or NAMES, **keys)

    def was_held(self, *hosts: str, run: str = RUN) -> None:
        with self.lease(*hosts, run=run):
            pass

    def was_killed(self, *hosts: str, run: str = RUN) -> None:
        """It leaves its leases where they are."""
        with pytest.raises(Interrupted), self.lease(*hosts, run=run):
            raise Interrupted("killed")

    def was_refused(self, after: Callable[[], None]) -> None:
        """While it held its hosts, and had done that."""

        def goes() -> None:
            with self.lease():
                after()
                raise Refused("a check is red")

        with pytest.raises(Refused, match="red"):
            goes()

    def was_taken_over(self, epoch: int, claim: str) -> None:
        self.journal.note(RUN, TAKEN, {"epoch": epoch, "claim": claim, "away": []})

    def machines(self) -> list[Any]:
        """Where the run was, as each lease has it on record."""
        return [each.body["hosts"] for each in self.journal.recall(RUN) if each.kind == LEASED]

    def note(self, name: str, file: str) -> Path:
        return self.folders.home(name or "here") / "notes" / RUN / file


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with SqliteJournal(tmp_path / "journal.db", str) as journal:
        for run in (RUN, OTHER):
            now = datetime.now(UTC)
            journal.open_run(run, run, "deploy", "deploy", {}, "ann@laptop", now, {})
        names = (*NAMES, "balancer")
        yield Site(Folders(tmp_path, names), journal)


# --- what is held ------------------------------------------------------------------------


def test_held_are_its_hosts_those_of_its_balancers_and_all_others_of_the_target(site: Site) -> None:
    at = [("lb", "web1"), ("lb", "balancer"), ("edge", HERE)]
    with site.lease("web2", "web1", at=at) as held:
        assert sorted(held) == [HERE, "balancer", *NAMES]
        assert site.folders.locked() == [*NAMES, "balancer"]
    assert site.folders.locked() == []
    assert site.said == []


def test_two_runs_on_different_hosts_of_one_target_meet(site: Site) -> None:
    with site.lease("web1"), pytest.raises(Held), site.lease("web2", run=OTHER):
        pytest.fail("two runs of one target")


def test_another_host_of_the_target_that_is_away_is_told_and_not_held(site: Site) -> None:
    site.leave("web2")
    with site.lease("web1") as held:
        assert sorted(held) == [HERE, "web1", "web3"]
    told = Event(site.clock.now(), "warning", "web2 is not locked: web2 is away", host="web2")
    assert site.said == [told]


def test_a_host_of_the_run_that_is_away_is_a_refusal_and_nothing_is_held(site: Site) -> None:
    site.leave("web2")
    with pytest.raises(Unreachable, match="web2 is away"), site.lease("web1", "web2"):
        pytest.fail("held without web2")
    assert site.folders.locked() == []
    assert site.machines() == []


def test_so_is_a_machine_of_a_balancer(site: Site) -> None:
    site.leave("balancer")
    with pytest.raises(Unreachable, match="balancer"), site.lease("web1", at=[("lb", "balancer")]):
        pytest.fail("held without the balancer's machine")


def test_the_patient_hold_what_can_be_reached(site: Site) -> None:
    site.leave("web2")
    with site.lease("web1", "web2", patient=True) as held:
        assert sorted(held) == [HERE, "web1", "web3"]
        assert site.folders.locked() == ["web1", "web3"]


# --- where the run was -------------------------------------------------------------------


def test_where_it_ever_was_is_on_record_and_no_record_takes_a_machine_away(site: Site) -> None:
    site.leave("web3")
    site.was_held("web1")
    del site.away["web3"]
    site.leave("web2")
    site.was_held("web1")
    assert site.machines() == [[HERE, "web1", "web2"], [HERE, *NAMES]]


def test_it_is_on_record_before_the_hosts_are_used_and_what_was_refused_was_nowhere(
    site: Site,
) -> None:
    with site.lease():
        assert site.machines() == [[HERE, *NAMES]]
        with pytest.raises(Held), site.lease(run=OTHER):
            pytest.fail("two runs")
    assert site.journal.recall(OTHER) == ()


@pytest.mark.parametrize("again", ["lease", "let go"])
def test_a_machine_that_it_was_on_is_not_marked_anew_for_that_its_notes_are_lost_is_to_be_seen(
    site: Site, again: str
) -> None:
    site.was_held()
    machines = ("web1", HERE) if again == "lease" else ("web1",)
    for name in machines:
        assert site.note(name, "boot").exists()
        site.note(name, "boot").unlink()
    if again == "lease":
        site.was_held()
    else:
        let_go(site.parts, RUN)
    assert [site.note(name, "boot").exists() for name in machines] == [False] * len(machines)


# --- by what right -----------------------------------------------------------------------


def test_the_newest_claim_is_the_one_that_counts_and_hosts_remember_it(site: Site) -> None:
    site.was_taken_over(1, "bob")
    site.was_taken_over(2, "eve")
    site.was_held()
    assert [site.note(name, "epoch").read_text().split()[:2] for name in NAMES] == [
        ["2", "eve"]
    ] * 3
    site.was_taken_over(1, "ann")
    with pytest.raises(TakenOver) as caught, site.lease():
        pytest.fail("held by an older claim")
    assert str(caught.value) == (
        f"run {RUN} was taken over by {owner()} (web1)\n"
        "state: nothing was changed; what becomes of that run is decided there\n"
        "next:  invoke status --target prod"
    )
    with pytest.raises(TakenOver):
        let_go(site.parts, RUN)


def test_what_was_taken_over_is_let_go_by_its_new_owner_only(site: Site) -> None:
    site.was_taken_over(1, "bob")
    site.was_killed()
    let_go(site.parts, RUN)
    assert site.folders.locked() == []


@pytest.mark.parametrize("kind", ["", "ready", "back_out"])
def test_a_run_that_may_have_changed_something_keeps_its_hosts_when_it_is_refused(
    site: Site, kind: str
) -> None:
    def goes() -> None:
        if kind:
            site.journal.note(RUN, kind, {})

    site.was_refused(goes)
    assert site.folders.locked() == (list(NAMES) if kind else [])


def test_a_run_of_which_nobody_can_tell_keeps_its_hosts(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> Any:
        raise Refused("the ledger is gone")

    site.was_refused(lambda: monkeypatch.setattr(site.journal, "recall", gone))
    assert site.folders.locked() == list(NAMES)


def at(kind: str) -> Record:
    return Record(0, kind, "", datetime.now(UTC), {})


@pytest.mark.parametrize(
    ("kinds", "nobody"),
    [
        ((), False),
        ((LEASED,), False),
        ((TAKEN,), True),
        ((LEASED, TAKEN), True),
        ((LEASED, TAKEN, "begin", "heard"), True),
        ((TAKEN, LEASED), False),
        ((TAKEN, LEASED, "begin"), False),
        ((TAKEN, LEASED, TAKEN), True),
        (("begin",), False),
    ],
)
def test_a_run_that_was_taken_over_is_held_by_nobody_until_it_is_leased(
    kinds: Sequence[str], nobody: bool
) -> None:
    assert held_by_nobody_since([at(kind) for kind in kinds]) is nobody


@pytest.mark.parametrize(("held", "nobody"), [((), True), (("",), True), (("", "web1"), False)])
def test_who_went_back_while_all_hosts_were_away_held_none_of_them(
    held: Sequence[str], nobody: bool
) -> None:
    marked = {"hosts": ["", "web1"], "held": held}
    records = [at(TAKEN), replace(at(LEASED), body=marked), at("back_out")]
    assert held_by_nobody_since(records) is nobody


# --- letting go --------------------------------------------------------------------------


def test_what_a_run_that_is_over_still_holds_is_let_go_each_host_for_itself(site: Site) -> None:
    site.was_killed()
    folders = site.folders
    folders.home("web1").joinpath("lock", "run").write_text(f"{OTHER}\n")  # by now it is another's
    site.leave("web2")
    let_go(site.parts, RUN)
    assert folders.locked() == ["web1", "web2"]
    del site.away["web2"]
    let_go(site.parts, RUN)
    assert folders.locked() == ["web1"]
    assert site.said == []


def test_a_host_where_others_were_since_is_left_as_it_is(site: Site) -> None:
    site.was_held()
    site.was_held("web1", run=OTHER)
    fences = [(site.folders.home(name) / "fence").read_text() for name in NAMES]
    let_go(site.parts, RUN)
    assert [(site.folders.home(name) / "fence").read_text() for name in NAMES] == fences


def test_nothing_is_let_go_where_the_run_never_was_nor_on_this_machine(site: Site) -> None:
    site.leave("web2", "web3")
    site.was_held("web1")
    site.away.clear()
    let_go(site.parts, RUN)
    leased = [(site.folders.home(name) / "fence").exists() for name in (*NAMES, "here")]
    assert leased == [True, False, False, False]


# --- who can be reached ------------------------------------------------------------------


def names_of(transports: Sequence[Transport]) -> list[str]:
    return [transport.host.name for transport in transports]


def test_a_fleet_has_its_hosts_in_their_order(site: Site) -> None:
    assert names_of(fleet(site.parts, ("web3", "web1", "web2"))) == ["web3", "web1", "web2"]
    site.leave("web1")
    assert names_of(fleet(site.parts, ("web3", "web1", "web2"), patient=True)) == ["web3", "web2"]


def test_one_refusal_names_each_host_that_is_away_once_and_what_to_type_for_it(site: Site) -> None:
    site.leave("web3", "web2")
    site.away["web1"] = Unreachable("the network is down", where="web1")
    site.away["balancer"] = site.away["web3"]
    with pytest.raises(Unreachable) as caught:
        fleet(site.parts, ("web3", "balancer", "web1", "web2"))
    assert type(caught.value) is Unreachable
    assert str(caught.value) == (
        "the network is down (web1)\nweb2 is away\nweb3 is away\n"
        "state: nothing was changed\n"
        "next:  ping web2\n       ping web3"
    )


def test_a_key_that_is_not_the_hosts_is_said_so_whoever_else_is_away(site: Site) -> None:
    site.leave("web2")
    site.away["web1"] = HostKeyRefused("the key of web1 has changed")
    with pytest.raises(HostKeyRefused, match="web2 is away"):
        fleet(site.parts, NAMES)


def test_whoever_can_be_reached_is_given_beside_the_names_of_the_others(site: Site) -> None:
    site.leave("web2")
    found, away = reached(site.reach, NAMES)
    assert (names_of(found), away) == (["web1", "web3"], ["web2"])
    site.leave("web1", "web3")
    with pytest.raises(Unreachable, match="web1 is away"):
        reached(site.reach, NAMES)
    assert reached(site.reach, ()) == ([], [])
    with pytest.raises(Refused):
        reached(site.reach, ("web2",))


# --- what is spent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "outcome", "past"),
    [
        (("decided", OVER), "succeeded", True),
        ((OVER,), "backed_out", True),
        ((), "refused", True),
        (("decided",), "succeeded", False),
        ((OVER,), "", False),
        ((), "backout_incomplete", False),
        ((), "taken_over", False),
    ],
)
def test_the_lease_of_a_run_is_spent_when_all_is_done_and_it_is_closed(
    site: Site, kinds: Sequence[str], outcome: str, past: bool
) -> None:
    """Decided alone it is where hosts told that, and its own machine may still be at it."""
    site.was_killed()
    for kind in kinds:
        site.journal.note(RUN, kind, {})
    if outcome:
        site.journal.close_run(RUN, outcome, 0, {}, datetime.now(UTC))
    assert spent(site.journal, RUN) is past
    if past:
        site.was_held(run=OTHER)
    else:
        with pytest.raises(Held, match=f"for run {RUN}"):
            site.was_held(run=OTHER)


def test_a_run_that_nobody_knows_is_not_spent(site: Site) -> None:
    assert not spent(site.journal, "run-9")
