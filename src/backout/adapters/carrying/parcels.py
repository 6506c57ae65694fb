"""What is in a parcel, before it is sealed: what a carrier is asked, and what it answers. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from backout.adapters.transports.captured import Capture, Ran
from backout.errors import HostKeyRefused, Unreachable
from backout.model import Host, Observation, Ssh
from backout.model.values import Partial, Some, restored, stored

Body = Mapping[str, Any]
FORMAT = 1
OPEN, RUN, GLANCE, END, OBSERVE = "open", "run", "glance", "end", "observe"
_PART, _SOME = "\0part", "\0some"
"""The keys of a text, and of a list, of which only a part was read."""


class Cut(Exception):
    """It was taken, and what became of it is not known."""


def asked(what: str, host: Host, ssh: Ssh, **about: Any) -> bytes:
    """What is to be done on or at a host, and how it is reached."""
    whole = {"host": host.model_dump(mode="json"), "ssh": ssh.model_dump(mode="json"), **about}
    return _bytes({"format": FORMAT, "what": what, **whole})


def read(words: bytes) -> dict[str, Any]:
    """What was asked, or answered."""
    found: dict[str, Any] = json.loads(words)
    return found


# --- what a shell said -------------------------------------------------------------------------


def told(ran: Ran | None) -> bytes:
    """What was seen of a shell; nothing, where nothing was to be had."""
    if ran is None:
        return _bytes({"ran": None})
    streams = {"out": _stream(ran.out), "err": _stream(ran.err)}
    ended = {"exit_code": ran.exit_code, "cut": ran.cut, "timed_out": ran.timed_out}
    return _bytes({"ran": {**streams, **ended}})


def ran(answer: Body, began: float) -> Ran | None:
    """The same again. Raises Unreachable and Cut, as it was there."""
    refuse(answer)
    said = answer["ran"]
    if said is None:
        return None
    ended = {name: said[name] for name in ("exit_code", "cut", "timed_out")}
    return Ran(_capture(said["out"]), _capture(said["err"]), **ended, began=began)


def _stream(capture: Capture) -> Body:
    words, size, *parts = capture.packed()
    return {"words": words, "size": size, "parts": [base64.b64encode(p).decode() for p in parts]}


def _capture(said: Body) -> Capture:
    parts = (base64.b64decode(part) for part in said["parts"])
    return Capture.unpacked(tuple(said["words"]), said["size"], *parts)


# --- what a look saw ---------------------------------------------------------------------------


def seen(observation: Observation, memory: Body) -> bytes:
    """What was observed, and what the next look is to find again."""
    facts = stored(_marked(observation.facts))
    return _bytes({"seen": {**asdict(observation), "facts": facts}, "memory": memory})


def observed(answer: Body) -> tuple[Observation, Body]:
    """The same again. Raises Unreachable and Cut."""
    refuse(answer)
    found = Observation(**answer["seen"])
    return replace(found, facts=_unmarked(restored(found.facts))), answer["memory"]


def _marked(value: Any) -> Any:
    if isinstance(value, Partial):
        return {_PART: str(value)}
    if isinstance(value, Mapping):
        return {key: _marked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        found = [_marked(each) for each in value]
        return {_SOME: found} if isinstance(value, Some) else found
    return value


def _unmarked(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _PART in value:
            return Partial(value[_PART])
        if _SOME in value:
            return Some(_unmarked(each) for each in value[_SOME])
        return {key: _unmarked(each) for key, each in value.items()}
    return [_unmarked(each) for each in value] if isinstance(value, list) else value


# --- what went wrong ---------------------------------------------------------------------------


def unreached(error: Unreachable) -> bytes:
    """It certainly never began."""
    about = {"what": error.what, "where": error.where, "state": error.state, "next": error.next}
    return _bytes({"unreachable": {**about, "key": isinstance(error, HostKeyRefused)}})


def broken(why: str) -> bytes:
    """It may have begun."""
    return _bytes({"broken": why})


def refuse(answer: Body) -> None:
    """Raise what went wrong, if something did: Unreachable, Cut."""
    if (said := answer.get("unreachable")) is not None:
        kind = HostKeyRefused if said["key"] else Unreachable
        raise kind(said["what"], where=said["where"], state=said["state"], next=said["next"])
    if (why := answer.get("broken")) is not None:
        raise Cut(why)


def _bytes(data: Body) -> bytes:
    return json.dumps(data, ensure_ascii=True).encode()
