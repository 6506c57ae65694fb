"""What is watched follows the files: what is whole is watched, what is broken is told of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import monotonic

from backout.adapters.storage.health_store import HealthStore
from backout.errors import BackoutError, Mistakes
from backout.model import Target
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
        store: HealthStore,
        watcher: Watcher,
        *,
        submit: Callable[[Callable[[], None]], object],
        say: Callable[..., None],
    ) -> None:
        self._loader = loader
        self._store = store
        self._watcher = watcher
        self._submit = submit
        self._say = say
        self._reload = threading.Event()
        self._loading = False
        self._looked = 0.0
        self._fingerprint: object = None
        self._there: frozenset[str] = frozenset()
        watcher.absent = self._is_absent

    def reload(self) -> None:
        """Read them with the next turn, whether they have changed or not; from a signal too."""
        self._reload.set()

    def begin(self, loaded: Loaded, fingerprint: object) -> None:
        """Watch what was read at the start."""
        self._fingerprint = fingerprint
        self._there = loaded.there
        for target in loaded.targets.values():
            self._watcher.watch(self._loader.watched(target, self._store))
        self._tell_broken(loaded.broken)

    def mind(self) -> None:
        """Read them again when there is a reason; at most every two seconds."""
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
        self._loading, self._there = False, loaded.there
        for name in self._watcher.targets.keys() - loaded.targets.keys() - loaded.broken.keys():
            self._say(f"{name} is no longer watched")
            self._loader.addresses.retire(name)
            self._watcher.forget(name)
        for target in loaded.targets.values():
            self._watch(target)
        self._tell_broken(loaded.broken)

    def _watch(self, target: Target) -> None:
        old = self._watcher.targets.get(target.name)
        if old is None or old.target != target:
            self._watcher.watch(self._loader.watched(target, self._store))
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
        for name in self._told() - broken.keys():
            watcher.messages.notice(name, "", about="inventory")
        watcher.broken = {name: error.what for name, error in broken.items()}

    def _told(self) -> set[str]:
        """The targets whose inventory is on record as broken."""
        opened = self._store.incidents(open=True)
        return {each.check_key.target for each in opened if each.check_key.check == ":inventory"}

    def _is_absent(self, name: str) -> bool:
        """There is no such inventory, or it has no checks."""
        return name not in self._there
