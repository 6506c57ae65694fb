"""What is watched follows the files: what is whole is watched, what is broken is told of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import monotonic

from backout.adapters.storage.health_tables import HealthTables
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Target
from backout.watch.schedule import often
from backout.watch.shifts import Shifts
from backout.watch.targets import Loaded, Targets
from backout.watch.watcher import Watcher

FILES_EVERY = 2.0
"""How often it is looked whether an inventory was changed."""


class Inventories:
    """Reads the files again when they have changed, beside the watcher; swaps within it.

    Each inventory is for itself: a broken one changes nothing but that it is told of, once, until
    it is mended. One that was whole before stays in force meanwhile.
    """

    def __init__(
        self,
        loader: Targets,
        store: HealthTables,
        watcher: Watcher,
        shifts: Shifts,
        *,
        submit: Callable[[Callable[[], None]], object],
        say: Callable[..., None],
    ) -> None:
        self._loader = loader
        self._store = store
        self._watcher = watcher
        self._submit = submit
        self._say = say
        self.shifts = shifts
        self._reload = threading.Event()
        self._loading = False
        self._looked = 0.0
        self._fingerprint: object = None
        self._loaded = Loaded({}, {}, frozenset())
        self._behind = False
        """Whether the watcher does not have all that is ours yet."""
        watcher.absent = self._is_absent

    def reload(self) -> None:
        """Read them with the next turn, whether they have changed or not; from a signal too."""
        self._reload.set()

    def begin(self, loaded: Loaded, fingerprint: object) -> None:
        """Watch what was read at the start."""
        self._fingerprint = fingerprint
        self._loaded = loaded
        self._mind_shifts()
        self._line_up()

    def mind(self) -> None:
        """Read them again when there is a reason; at most every two seconds."""
        if self._mind_shifts():
            self._line_up()
        now = monotonic()
        if self._loading or not (self._reload.is_set() or now - self._looked >= FILES_EVERY):
            return
        self._looked = now
        fingerprint = self._loader.fingerprint()
        if fingerprint == self._fingerprint and not self._reload.is_set():
            return
        self._reload.clear()
        self._fingerprint, self._loading = fingerprint, True
        self._submit(self._load)

    def _load(self) -> None:
        try:
            loaded = self._loader.load()
        except BackoutError as error:
            words = f"the inventories cannot be read, the old ones stay in force: {error.what}"
            self._watcher.call(lambda: self._not_loaded(words))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next change is read again
            words = f"reading the inventories broke off: {type(error).__name__}: {error}"
            self._watcher.call(lambda: self._not_loaded(words))
        else:
            self._watcher.call(lambda: self._swap(loaded))

    def _not_loaded(self, words: str) -> None:
        self._loading = False
        self._say(words, warning=True)

    def _swap(self, loaded: Loaded) -> None:
        self._loading, self._loaded = False, loaded
        gone = self._watcher.targets.keys() - loaded.targets.keys() - loaded.broken.keys()
        for name in gone:
            self._say(f"{name} is no longer watched")
            self._loader.addresses.retire(name)
            self._watcher.forget(name)
        if gone and self.shifts.posts:  # what is open there is closed while it is still ours
            self._watcher.attempt(self._watcher.messages.remind)
        self._mind_shifts()
        self._line_up(read=True)

    # --- what is ours ----------------------------------------------------------------------

    def _mind_shifts(self) -> bool:
        """Whether there is something to be lined up."""
        targets = self._loaded.targets
        due = {name: often(target) for name, target in targets.items()}
        return self.shifts.mind({*targets, *self._loaded.broken}, due) or self._behind

    def _line_up(self, *, read: bool = False) -> None:
        """The watcher watches what is whole and ours; `read`, when it was read just now."""
        ours, self._behind = self.shifts.ours, False
        for name in self._watcher.targets.keys() - ours:
            self._watcher.forget(name)
        for name, target in self._loaded.targets.items():
            if name in ours:
                self._watch(target, read)
        self._tell_broken({n: why for n, why in self._loaded.broken.items() if n in ours})
        self._watcher.others = {name: each.by for name, each in self.shifts.others.items()}

    def _watch(self, target: Target, read: bool) -> None:
        old = self._watcher.targets.get(target.name)
        if old is not None and old.target == target:
            return
        try:
            if old is None and self.shifts.posts:
                self._watcher.recall(target.name)
            self._watcher.watch(self._loader.watched(target, self._store))
        except Refused as error:
            self._behind = True
            self._say(f"{target.name} cannot be watched yet: {error.what}", warning=True)
        if read and not self._behind:
            again = "again" if old else "and is watched"
            self._say(f"{target.name}: its inventory was read {again}")

    def _tell_broken(self, broken: Mapping[str, Mistakes]) -> None:
        watcher = self._watcher
        for name, error in broken.items():
            if watcher.broken.get(name) != error.what:
                state = (
                    "the old one stays in force" if name in watcher.targets else "it is not watched"
                )
                self._say(f"{name}: its inventory is broken, {state}: {error.what}", warning=True)
                what = f"an inventory is broken, {state}\n{error.what}"
                watcher.messages.notice(name, what, about="inventory", next="invoke lint")
        for name in self._told() & self.shifts.ours - broken.keys():
            watcher.messages.notice(name, "", about="inventory")
        watcher.broken = {name: error.what for name, error in broken.items()}

    def _told(self) -> set[str]:
        """The targets whose inventory is on record as broken."""
        try:
            opened = self._store.incidents(open=True)
        except Refused:
            return set()
        return {each.check_key.target for each in opened if each.check_key.check == ":inventory"}

    def _is_absent(self, name: str) -> bool:
        """There is no such inventory, or it has no checks."""
        return name not in self._loaded.there
