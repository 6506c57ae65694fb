"""Of a run's own processes the later one holds the hosts, whenever a command of an earlier one
arrives there. Real leases, on hosts that are directories here."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backout.adapters import lease
from backout.adapters.lease import LeaseLock
from backout.adapters.local_lock import owner
from backout.adapters.programs import program
from backout.errors import Refused, TakenOver
from backout.ports import OWN, Claim
from support.folders import Folders
from support.wait import eventually

RUN = "run-7"
WORDS = (
    f"a later process than this one has gone on with run {RUN} on web1, and this journal does not"
    " know of it: is it an older copy?"
)
FIRST, SECOND, THIRD = (Claim(turn=turn) for turn in (0, 9, 10))
TAKEN_OVER = Claim(1, "bob", 1)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path, ("web1",))


def takes(folders: Folders, claim: Claim, *, stays: bool = False) -> None:
    """A process of its own takes the host."""
    lock = LeaseLock("prod")
    with lock.hold(folders.transports(), RUN, claim=claim):
        if stays:
            lock.keep()


def state(folders: Folders) -> dict[str, str]:
    home = folders.home("web1")
    return {
        str(path.relative_to(home)): path.read_text() if path.is_file() else ""
        for path in home.rglob("*")
        if ".git" not in path.parts
    }


@pytest.mark.parametrize(
    ("earlier", "later"), [(FIRST, SECOND), (SECOND, THIRD), (FIRST, THIRD)], ids=str
)
@pytest.mark.parametrize("stays", [True, False], ids=["it lives", "it has let go"])
def test_an_earlier_process_is_refused_and_changes_nothing(
    folders: Folders, earlier: Claim, later: Claim, stays: bool
) -> None:
    takes(folders, earlier, stays=True)
    takes(folders, later, stays=stays)
    before = state(folders)
    with pytest.raises(Refused) as caught:
        takes(folders, earlier)
    assert (caught.value.what, caught.value.state) == (WORDS, "nothing was changed")
    assert caught.value.next == (
        "invoke status --target prod; go back where that run was started, or give it up: invoke"
        " unlock --target prod --force"
    )
    assert state(folders) == before
    assert folders.locked() == (["web1"] if stays else [])


def test_the_later_one_and_whoever_is_as_late_take_it(folders: Folders) -> None:
    for claim in (FIRST, SECOND, SECOND, THIRD, THIRD):
        takes(folders, claim, stays=True)
    takes(folders, THIRD)
    assert folders.locked() == []


def test_whoever_took_the_run_over_is_later_than_its_own_machine(folders: Folders) -> None:
    takes(folders, THIRD, stays=True)
    takes(folders, TAKEN_OVER, stays=True)
    with pytest.raises(TakenOver) as caught:
        takes(folders, THIRD)
    assert caught.value.what == f"run {RUN} was taken over by {owner()}"
    assert caught.value.next == "invoke status --target prod"
    takes(folders, Claim(1, "bob", 2))
    with pytest.raises(Refused, match="a later process"):
        takes(folders, TAKEN_OVER)
    takes(folders, Claim(2, "eve", 1))


def test_what_the_journal_does_not_count_is_the_first(folders: Folders) -> None:
    """An older Backout, which puts no number on record."""
    assert OWN == FIRST
    takes(folders, OWN, stays=True)
    assert not [*folders.home("web1").glob("notes/*/turn.*")]
    takes(folders, SECOND)


# --- an earlier one that stands still in mid-command ------------------------------------------

STALLS: tuple[tuple[str, str], ...] = (
    ("before it looks who has it", 'mkdir -p "$home/notes" "$new"'),
    ("before it takes a host that is free", 'if [ ! -d "$home/lock" ]; then'),
    ("when it has seen that it is its own run's", "alive=$(living"),
    ("when its token is ready", "! later || return"),
    ("before its token is in place", 'mv -f "$ready" token'),
    ("before it says that it has it", 'set -- "$home"/notes/*'),
)


@pytest.fixture(params=[look for _, look in STALLS], ids=[words for words, _ in STALLS])
def stalled(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The first process stands still there until the file `go` is there; `seen` says that it
    stands."""
    look, known = request.param, program("acquire")
    assert known.count(look) == 1
    wait = f"touch {tmp_path}/seen; until [ -e {tmp_path}/go ]; do sleep 0.02; done"
    first = f'{{ [ "$turn" -gt 0 ] || {{ {wait}; }}; }}'
    listed = known[: known.index(look)].endswith("&& ")  # what is put before it joins the list
    slow = known.replace(look, f"{first}{' && ' if listed else chr(10)}{look}")
    monkeypatch.setattr(lease, "program", lambda name: slow if name == "acquire" else program(name))
    return tmp_path


@pytest.mark.parametrize("stood", [True, False], ids=["its lease stands", "it is free"])
def test_the_later_one_holds_the_host_wherever_the_earlier_one_stood_still(
    folders: Folders, stalled: Path, stood: bool
) -> None:
    """Where the host is free some of these moments never come."""
    go, seen = stalled / "go", stalled / "seen"
    if stood:
        go.touch()
        takes(folders, FIRST, stays=True)
        go.unlink()
        seen.unlink(missing_ok=True)
    lock = LeaseLock("prod")
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(takes, folders, FIRST, stays=True)
        eventually(lambda: seen.exists() or late.done(), saying="the earlier process")
        with lock.hold(folders.transports(), RUN, claim=SECOND):
            go.touch()
            error = late.exception(timeout=30)
            assert error is None or isinstance(error, Refused)
            assert lock.lost(["web1"]) == ""
    assert folders.locked() == []
