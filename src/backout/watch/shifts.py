"""One watcher for each target, where several have the same history: the others stand by.

Whoever watches gives a sign every few seconds. Who stands by and has seen none for long enough, by
its own clock, takes the place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from time import monotonic
from types import MappingProxyType

from backout.errors import Refused
from backout.model import Post
from backout.ports import Posts
from backout.watch.words import utc

EVERY = 5.0
STILL = 30.0
"""After so many seconds without a sign a watcher is taken for dead; earlier where it is to look
more often, so that the look after next is made in time."""
LEAST = 5.0
"""But not earlier than this."""
SIGNS = 6
"""So many signs, at least, have to be missing."""


def patience(due: float, still: float = STILL) -> float:
    """After how many seconds without a sign somebody is taken for dead who is to look so often."""
    return min(still, max(LEAST, due / 2))


class Shifts:
    """Which targets this process watches; without `posts` all of them."""

    def __init__(
        self,
        posts: Posts | None,
        say: Callable[..., None],
        *,
        every: float = EVERY,
        still: float = STILL,
    ) -> None:
        self.posts = posts
        self.ours: frozenset[str] = frozenset()
        self.others: dict[str, Post] = {}
        self._say = say
        self._every, self._still = every, still
        self._names: frozenset[str] = frozenset()
        self._asked = -every
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._first: dict[str, tuple[int, int]] = {}
        self._away = False
        self._due: Mapping[str, float] = {}

    @property
    def alive(self) -> bool:
        """Whether a sign of another watcher came since it was seen first."""
        return any(self._seen[name][0] != first for name, first in self._first.items())

    def mind(self, names: Collection[str], due: Mapping[str, float] = MappingProxyType({})) -> bool:
        """Whether other targets than before are ours, of these; `due` says how often one of them is
        to be looked at."""
        self._due = due
        before, wanted, now = self.ours, frozenset(names), monotonic()
        if self.posts is None:
            self.ours = wanted
        elif wanted != self._names or now - self._asked >= self._pause():
            self._asked = now
            self._ask(self.posts, wanted, now)
        else:
            self.ours &= self.posts.held
        return self.ours != before

    def _ask(self, posts: Posts, wanted: frozenset[str], now: float) -> None:
        try:
            if gone := posts.held - wanted:
                posts.leave(gone)
            others = dict(posts.stand(wanted))
            for name in [n for n, post in others.items() if self._is_still(n, post, now)]:
                if posts.relieve(name, post := others[name]):
                    words = f"{name}: {post.by}, who watched it, gives no sign any more: it is"
                    self._say(f"{words} watched from here", warning=True)
                    del others[name]
                    self.others.pop(name, None)
        except Refused as error:
            if not self._away:
                self._say(f"whether another watcher is there is not known: {error.what}")
            self._away = True
            return
        self._away, self._names = False, wanted
        self._tell(others, posts.held & wanted)

    def _tell(self, others: dict[str, Post], ours: frozenset[str]) -> None:
        for name, post in others.items():
            if name in self.ours or name not in self.others:
                since = utc(post.since.timestamp())
                self._say(f"{name} is watched by {post.by} since {since}: this one stands by")
        for name in sorted(ours & self.others.keys()):
            self._say(f"{name}: nobody else watches it any more: it is watched from here")
        self.ours, self.others = ours, others

    def _is_still(self, name: str, post: Post, now: float) -> bool:
        self._first.setdefault(name, (post.epoch, post.beat))
        sign, since = self._seen.get(name, ((0, -1), now))
        if sign != (post.epoch, post.beat):
            self._seen[name] = ((post.epoch, post.beat), now)
            return False
        return now - since > patience(self._due.get(name, 2 * self._still), self._still)

    def _pause(self) -> float:
        """Seconds between two signs of ours."""
        return min(
            (self._every, *(patience(due, self._still) / SIGNS for due in self._due.values()))
        )

    def leave(self) -> None:
        """At the end: whoever stands by goes on at once."""
        if self.posts is not None:
            try:
                self.posts.leave(self.posts.held)
            except Refused as error:
                self._say(f"whoever stands by goes on in {self._still:.0f} s: {error.what}")
