"""A disk that takes no more, or breaks, and a shell that is killed, at everything that is done to a
lease: whoever fails leaves the lease as it was, or it has happened. Real leases, real shells."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from backout.adapters.lease import LeaseLock
from backout.adapters.renewal import ASK_MINE, RENEW
from backout.adapters.standings import ask, standings, take
from backout.adapters.transports.shell_text import Fence
from backout.errors import BackoutError
from backout.model import Command
from backout.ports import Claim
from support.syscalls import SUPPORTED, Call, Fault, Tracer, failing, killed
from support.traced import PROGRAMS, TracedHost

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="calls are told apart on x86-64 only")

RUN, OTHER = "run-7", "run-8"
HOURS = 36_000
"""No lease expires, however long a test takes."""
LINES = ("token", "owner", "run", "host", "expires")
FREES = ("unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2")


@dataclass(frozen=True)
class Wrong:
    """What goes wrong, and with which calls."""

    fault: Fault
    lasting: bool = False
    frees: bool = True
    """Whether also with those that need no room."""


WRONGS = {
    "full": Wrong(failing(errno.ENOSPC), lasting=True, frees=False),
    "read-only": Wrong(failing(errno.EROFS), lasting=True),
    "broken": Wrong(failing(errno.EIO)),
    "killed": Wrong(killed),
}
pytestmark = pytest.mark.usefixtures("unhurried")

MET = [("dash", wrong) for wrong in WRONGS]
MET += [("bash", "broken"), ("bash", "killed"), ("busybox", "full"), ("busybox", "killed")]


@dataclass
class Scene:
    """One host, over and over as it was, and what was said of it."""

    directory: Path
    shell: str
    wrong: Wrong
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept = self.directory / "kept"
        self.home = self.directory / "web1" / ".backout"
        self.host = TracedHost("web1", self.home, self.shell)
        self.lock = LeaseLock("prod", ttl=HOURS, warn=self.said.append)

    def leave_standing(self, run: str) -> None:
        with self.lock.hold([self.host], run):
            self.lock.keep()

    def let_go(self, run: str) -> None:
        with self.lock.hold([self.host], run):
            pass

    def points(self, every: int = 1) -> Iterator[Tracer]:
        """What is done to a lease meets the fault at a call, at a later one, and so on to its
        last; the last time it meets none."""
        shutil.copytree(self.home, self.kept)
        fault, lasting = self.wrong.fault, self.wrong.lasting
        for at in count(1, every):
            self.host.tracer = tracer = Tracer(fault, at, self._wanted, lasting, PROGRAMS)
            yield tracer
            if not tracer.met:
                return
            self._usable()
            shutil.rmtree(self.home)
            shutil.copytree(self.kept, self.home)
            self.said.clear()

    def _wanted(self, call: Call) -> bool:
        ours = call.about.startswith(f"{self.home}/") and not call.about.endswith(" (deleted)")
        return ours and (self.wrong.frees or call.name not in FREES)

    def over(self) -> None:
        """Nothing goes wrong any more."""
        self.host.tracer = None

    def _usable(self) -> None:
        """When all is well again, whoever may take the host takes it."""
        take([self.host], "prod", force=True)
        self.let_go("run-9")
        assert not (self.home / "lock").exists()

    def lease(self) -> dict[str, str]:
        """Its files; none where nobody holds the host. Each line of it is whole."""
        lock = self.home / "lock"
        standing = standings([self.host])[0]
        if standing.lease is None or not [*lock.iterdir()]:
            return {}
        found = {path.name: path.read_text() for path in lock.iterdir()}
        for name in LINES:
            assert found[name].strip(), name
            assert found[name].endswith("\n"), name
            assert found[name].count("\n") == 1, name
        assert "since" in found
        assert not standing.expired
        return found

    def counted(self) -> tuple[int, str]:
        count, _, run = (self.home / "fence").read_text().partition(" ")
        return int(count), run.strip()


@pytest.fixture(params=MET, ids=" ".join)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    memory = Path("/dev/shm")  # what is synced there costs nothing
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        (Path(name) / "web1").mkdir()
        shell, wrong = request.param
        yield Scene(Path(name), shell, WRONGS[wrong])


def fails(act: Callable[[], object]) -> str:
    """What it said, where it failed."""
    try:
        act()
    except BackoutError as error:
        return str(error)
    return ""


def test_who_cannot_take_a_host_leaves_it_free(scene: Scene) -> None:
    scene.let_go("run-1")
    before, _ = scene.counted()
    for tracer in scene.points(3 if scene.shell == "dash" else 6):
        told = fails(lambda: scene.leave_standing(OTHER))
        scene.over()
        lease, (now, last) = scene.lease(), scene.counted()
        assert now >= before, tracer.met
        if lease:
            assert lease["run"] == f"{OTHER}\n", tracer.met
            assert not told or any("stays" in words for words in scene.said), tracer.met
        else:
            assert told, tracer.met
            assert last == "run-1", "who never held it was not there"
    assert tracer.count > 10


def test_who_cannot_take_a_lease_over_leaves_it_to_its_owner(scene: Scene) -> None:
    scene.leave_standing(RUN)
    before = scene.lease()

    def go_on() -> None:
        claim = Claim(1, "bob", 1)
        keys = {"began": ["web1"], "claim": claim, "changed": lambda: True}
        with scene.lock.hold([scene.host], RUN, **keys):  # type: ignore[arg-type]
            scene.lock.keep()

    for tracer in scene.points(3 if scene.shell == "dash" else 6):
        told = fails(go_on)
        scene.over()
        lease = scene.lease()
        epoch = scene.home / "notes" / RUN / "epoch"
        assert lease["run"] == before["run"], tracer.met
        assert scene.counted()[1] == RUN
        if lease["token"] == before["token"]:
            assert told, tracer.met
            assert lease == before, tracer.met
            assert not epoch.exists(), tracer.met
        elif not told:
            assert epoch.read_text().startswith("1 bob "), tracer.met
    assert tracer.count > 10


def test_who_cannot_renew_a_lease_has_it_for_as_long_as_before(scene: Scene) -> None:
    scene.leave_standing(RUN)
    before = scene.lease()
    values = {"token": before["token"].strip(), "ttl": str(2 * HOURS)}
    for tracer in scene.points():
        renewed = ask(scene.host, values, ASK_MINE + RENEW).ok
        scene.over()
        lease = scene.lease()
        longer = lease.pop("expires")
        assert longer > before["expires"] if renewed else longer == before["expires"], tracer.met
        assert lease == {name: text for name, text in before.items() if name != "expires"}


def test_a_command_that_meets_it_leaves_its_run_the_lease(scene: Scene) -> None:
    scene.leave_standing(RUN)
    before = scene.lease()
    scene.host.fence = Fence(before["token"].strip(), 2 * HOURS, RUN)
    for number, tracer in enumerate(scene.points()):
        scene.host.run(Command("true", key=f"{RUN}/{number}", title="Step"))
        scene.over()
        lease = scene.lease()
        assert all(lease[name] == before[name] for name in before if name != "expires")
        assert lease["expires"] >= before["expires"], tracer.met


def test_who_cannot_let_a_host_go_says_that_its_lease_stays(scene: Scene) -> None:
    scene.let_go("run-1")
    for tracer in scene.points():
        scene.over()
        with scene.lock.hold([scene.host], RUN):
            before = scene.lease()
            scene.host.tracer = tracer
        scene.over()
        lease = scene.lease()
        if lease:
            lease.pop(f"back.{before['token'].strip()}", "")
            assert lease.items() <= before.items(), tracer.met
            assert scene.said, tracer.met
        else:
            assert not scene.said, tracer.met


@pytest.mark.parametrize("force", [True, False])
def test_who_cannot_take_a_lease_away_leaves_it(scene: Scene, force: bool) -> None:
    scene.leave_standing(RUN)
    before = scene.lease()
    for tracer in scene.points():
        told = fails(lambda: take([scene.host], "prod", force=force, over=[RUN].__contains__))
        scene.over()
        assert scene.lease() == (before if told else {}), (tracer.met, told)
