"""What a journal needs of the place where its tables lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from backout.adapters.redactor import redact_data
from backout.adapters.storage.chain import Line
from backout.adapters.storage.closing import Closing
from backout.adapters.storage.journal_rows import plain
from backout.adapters.storage.tables import T, Tables, Write
from backout.errors import Refused
from backout.model import Message
from backout.model.journaled import Body

Announce = Callable[[str, Body], Sequence[Message]]
"""(kind of record, its body) -> whom to tell what of it."""


class JournalStore(Closing):
    """Tables somewhere. Every text passes `redact` before it is written, and `reveal` when a run's
    records are recalled."""

    shared: ClassVar[bool] = False
    """Whether other machines write to them too."""

    def __init__(
        self,
        redact: Callable[[str], str],
        *,
        reveal: Callable[[str], str] = str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._redact = redact
        self._reveal = reveal
        self._now = now
        self._copy: Callable[[Line], None] = _nowhere
        self._announce: Announce = silent

    @property
    def where(self) -> str:
        """Where the tables lie, as errors name it."""
        raise NotImplementedError

    def append(self, write: Write[T], *, run: str = "") -> T:
        """Durably: one transaction, or a part of one. Raises Refused when it cannot be written,
        for what belongs to a `run` Interrupted, TakenOver when another machine drives that run by
        now, and BackoutError for what contradicts itself."""
        raise NotImplementedError

    def look(self, read: Callable[[Tables], T]) -> T:
        """What somebody reads who knows the tables. Raises Refused when they cannot be read."""
        raise NotImplementedError

    def looked_over(self) -> Sequence[Any]:
        """What `doctor` tells of the place: for each thing its name, whether it is well, details,
        and what to do."""
        return ()

    def refuse_damaged(self) -> None:
        """Raises Refused where a part of it cannot be read any more, whoever asks for that part; a
        database server looks after its own."""

    def refuse_newer(self) -> None:
        """Raises Foreign where a newer Backout has brought the tables up since they were opened."""

    def compact(self) -> None:
        """Give back the room of what was taken out, unless somebody is reading just now."""
        raise NotImplementedError

    def size(self) -> int:
        """How many bytes it takes."""
        raise NotImplementedError

    def signature(self) -> Hashable:
        """Another one when anything was written since."""
        raise NotImplementedError

    def under_way(self, say: Callable[[str], None], going_on: str) -> None:
        """A run is: where the place may be gone for a while it is awaited from now on, and `say`
        is told. `going_on` is what to type when it does not come back."""

    def through(self, redact: Callable[[str], str], reveal: Callable[[str], str]) -> Self:
        """The same journal as one target sees it: what is written and recalled passes the secrets
        of that target. It is closed with this one."""
        view = copy(self)
        view._redact, view._reveal = redact, reveal
        return view

    def told_by(self, announce: Announce) -> Self:
        """The same journal; a message about what is recorded through this view is written in the
        same transaction."""
        view = copy(self)
        view._announce = announce
        return view

    def clock(self) -> datetime:
        """What time it is for all who share it: until when a yes holds, whether a target is frozen.
        Raises Refused when it cannot be asked."""
        return self._now()

    def alone(self, query: str) -> str:
        """That SELECT, for whose rows other transactions wait; a file has one writer anyway."""
        return query

    def change(self, write: Write[T]) -> T:
        """Durably: one transaction of somebody who knows the tables."""
        return self.append(write)

    def text_of(self, data: Any) -> str:
        """As it is written: JSON, without any secret."""
        text = _JSON.encode(data)
        # Where nothing was escaped, one look at the whole is a look at each string in it.
        if "\\" not in text and self._redact(text) == text:
            return text
        return _JSON.encode(redact_data(data, self._redact))

    def frozen(self, plan: Any) -> str:
        """The same of a plan, which is acted on again when it is recalled. Raises Refused where
        something of it would be another one then."""
        whole, text = _JSON.encode(plan), self.text_of(plan)
        if text == whole:
            return text
        for was, now in zip(*map(_texts, map(json.loads, (whole, text))), strict=True):
            if self._reveal(was) != self._reveal(now):
                raise Refused(
                    "the plan holds what is put on record as a secret, and could not be had again"
                    f" from there, for the way back: {now}",
                    next="give the secret that is named there another value",
                )
        return text


def _texts(data: Any) -> Iterator[str]:
    """Every text in JSON-like data, in order, but for whose run it is."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, each in data.items():
            yield from (() if key == "user" else (key, *_texts(each)))
    elif isinstance(data, list):
        for each in data:
            yield from _texts(each)


_JSON = json.JSONEncoder(default=plain)


def silent(_kind: str, _body: Body) -> Sequence[Message]:
    """Nobody is told."""
    return ()


def _nowhere(_: Line) -> None:
    """There is nobody to hand a record on to."""
