"""What goes wrong, each with every contender in turn: the state that it leaves, whether its exit
code tells the truth, and how long until the old release answers again.

Two healthy releases are there each time. Where the old one is not back by itself, what the tool
has its operator type is typed, after what was broken by the scene is mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from peers.contenders import Seat
from peers.estate import NEEDED, Ended, Typed
from peers.watch import Watch

from support.witness import Host, State, away, told, truth, whole

NEW, OLD, OLDER = "new", "old", "older"
NOBODY = Host("", "")


@dataclass(frozen=True)
class Row:
    """What one contender made of one scene."""

    scene: str
    contender: str
    code: str
    true: bool | None
    """Whether the code is so; None where there is none, after `kill -9`."""
    left: str
    again: str
    right: bool
    """The code is so, and all hosts are of one mind: by themselves, or after a `kill -9` once its
    operator has typed what there is to type."""
    said: str = ""

    @property
    def line(self) -> str:
        words = (self.scene, self.contender, self.code, self.left, self.again)
        return " | ".join((*words, "right" if self.right else "WRONG"))


@dataclass
class Scene:
    """One that is under way: releases by number."""

    title: str
    seat: Seat
    watch: Watch
    old: str
    new: str
    older: str
    down: tuple[str, ...] = ()

    @property
    def words(self) -> Mapping[str, str]:
        """What a release is to this scene."""
        return {self.old: OLD, self.new: NEW, self.older: OLDER}

    def row(self, ended: Ended, *, mend: Callable[[], None] = lambda: None) -> Row:
        """Judge what a command left, and go back where that has not happened by itself."""
        state = self.watch.settled()
        true = truth(ended.code, {**state, **dict.fromkeys(self.down, NOBODY)}, [self.new])
        kept = whole(state, self.old)
        again = self.again("") if kept else self._typed(mend)
        right = true and (kept or ended.code == 0)
        return self._row(_code(ended), true, state, again, right, ended.said)

    def killed(self, ended: Ended) -> Row:
        """Judge what its operator is left with after `kill -9`."""
        state = self.watch.settled()
        again = self.again("") if whole(state, self.old) else self._typed(killed=True)
        right = whole(self.watch.state, self.old)
        return self._row("killed", None, state, again, right, ended.said)

    def _typed(self, mend: Callable[[], None] = lambda: None, *, killed: bool = False) -> str:
        mend()
        words = self.seat.told(self.seat.back_words(killed=killed))
        ended = self.seat.back(self.old, killed=killed).end()
        state = self.watch.settled()
        if whole(state, self.old):
            return self.again(f" after `{words}` ({ended.code})")
        return f"not after `{words}` ({ended.code}): {told(state, self.words)}"

    def forward(self) -> str:
        """Bring the newest release once more."""
        typed = self.seat.forward()
        codes = [self.seat.type(words).end().code for words in typed]
        state = self.watch.settled()
        said = zip(map(self.seat.told, typed), codes, strict=True)
        words = ", ".join(f"`{words}` ({code})" for words, code in said)
        if away(self.watch.looks, self.old) is not None:
            return self.again(f" after {words}")
        return f"not after {words}: {told(state, self.words)}"

    def again(self, how: str) -> str:
        """For how long the old release was away."""
        seconds = away(self.watch.looks, self.old)
        assert seconds is not None
        return f"{seconds:.1f} s{how}" if seconds else "it never went"

    def _row(
        self, code: str, true: bool | None, state: State, again: str, right: bool, said: str
    ) -> Row:
        left = "; ".join((told(state, self.words), *(f"{name}: down" for name in self.down)))
        name = self.seat.contender.name
        return Row(self.title, name, code, true, left, again, right, said)


def smoke_red(seat: Seat) -> Row:
    """The new release answers 500."""
    with _scene("smoke red", seat) as scene:
        scene.new = seat.estate.publish("error-500")
        return scene.row(seat.deploy(scene.new).end())


def stale(seat: Seat) -> Row:
    """`supervisorctl restart` says that it did, and the old process lives on."""
    names = seat.estate.names

    def mend() -> None:
        for name in names:
            seat.estate.lie(name, False)

    with _scene("stale process", seat) as scene:
        for name in names:
            seat.estate.lie(name, True)
        scene.new = seat.estate.publish()
        return scene.row(seat.deploy(scene.new).end(), mend=mend)


def second_down(seat: Seat) -> Row:
    """The second host has no power when the deploy begins."""
    second = seat.estate.names[1]
    host = seat.estate.bed[second]

    def mend() -> None:
        host.start()
        seat.estate.settle_in(second)

    seat.estate.supervisors[second].stop()
    host.power_cut()
    try:
        with _scene("second host down", seat, down=(second,)) as scene:
            scene.new = seat.estate.publish()
            return scene.row(seat.deploy(scene.new).end(), mend=mend)
    finally:
        if not host.machine.up:
            mend()


def interrupted(seat: Seat) -> Row:
    """Ctrl-C, as soon as a host has the new release on disk."""
    with _scene("Ctrl-C", seat) as scene:
        typed = _halfway(scene)
        typed.interrupt()
        return scene.row(typed.end())


def killed(seat: Seat) -> Row:
    """`kill -9`, as soon as a host has the new release on disk."""
    with _scene("kill -9", seat) as scene:
        typed = _halfway(scene)
        typed.kill()
        return scene.killed(typed.end())


def two_at_once(seat: Seat) -> Row:
    """A colleague deploys a newer release, as soon as a host has this one on disk."""
    with _scene("two at once", seat) as scene:
        first = _halfway(scene)
        mine, scene.new = scene.new, seat.estate.publish()
        second = seat.deploy(scene.new)
        both = first.end(), second.end()
        state = scene.watch.settled()
        wanted = [n for n, e in zip((mine, scene.new), both, strict=True) if e.code == 0]
        done = any(whole(state, release) for release in wanted)
        true = done or not (wanted or whole(state, mine) or whole(state, scene.new))
        left = told(state, {**scene.words, mine: "the first's", scene.new: "the second's"})
        codes = " and ".join(_code(ended) for ended in both)
        said = "".join(ended.said for ended in both)
        name = seat.contender.name
        right = true and (done or whole(state, scene.old))
        return Row(scene.title, name, codes, true, left, "", right, said)


def back_is_broken(seat: Seat) -> Row:
    """What the release before needs is gone from the hosts, and somebody goes back to it."""
    estate = seat.estate
    seat.ship(fragile=True)
    seat.ship()
    with _scene("rollback target broken", seat) as scene:
        for name in estate.names:
            (estate.bed[name].home / "srv" / NEEDED).unlink()
        scene.new = scene.older
        ended = seat.back(scene.older).end()
        state = scene.watch.settled()
        true = truth(ended.code, state, [scene.older])
        words = {scene.older: "the broken one", scene.old: OLD}
        kept = whole(state, scene.old)
        again = scene.again("") if kept else scene.forward()
        left = told(state, words)
        name = seat.contender.name
        return Row(scene.title, name, _code(ended), true, left, again, true and kept, ended.said)


SCENES: Mapping[str, Callable[[Seat], Row]] = {
    "smoke": smoke_red,
    "stale": stale,
    "down": second_down,
    "interrupt": interrupted,
    "kill": killed,
    "two": two_at_once,
    "back": back_is_broken,
}


class _scene:
    """A scene over the releases that are there, watched from now on."""

    def __init__(self, title: str, seat: Seat, down: tuple[str, ...] = ()) -> None:
        *_, older, old = seat.past
        self._watch = Watch(seat.estate, down)
        self._made = Scene(title, seat, self._watch, old, "", older, down)

    def __enter__(self) -> Scene:
        self._watch.__enter__()
        return self._made

    def __exit__(self, *words: object) -> None:
        self._watch.__exit__(None, None, None)


def _halfway(scene: Scene) -> Typed:
    """A deploy of a healthy release that has reached a host's disk."""
    scene.new = scene.seat.estate.publish()
    typed = scene.seat.deploy(scene.new)

    def reached(state: State) -> bool:
        return any(host.disk == scene.new for host in state.values())

    scene.watch.until(reached, lambda: typed.running)
    return typed


def _code(ended: Ended) -> str:
    return str(ended.code)
