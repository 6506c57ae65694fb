"""What a run has told so far, as its terminal shows it: phases, in them hosts, in them what was
done there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from backout.model import Event, duration

STATES = {
    **dict.fromkeys(("done", "pass"), "pass"),
    **dict.fromkeys(("failed", "fail", "unreachable"), "fail"),
    **dict.fromkeys(("running", "skipped"), ""),
}
"""How each is drawn; an empty one by its own name, any other as `unknown`."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A step on a host, a check, or a note."""

    title: str
    state: str
    """`pass`, `fail`, `unknown`, `running`, `skipped` or `note`."""
    said: str
    took: str
    detail: str


@dataclass(slots=True)
class Phase:
    """A phase, or a batch, with what belongs to each host; to none, under an empty name."""

    title: str
    at: str
    hosts: dict[str, dict[tuple[str, ...], Leaf]] = field(default_factory=dict)


def tree(events: Iterable[Event]) -> tuple[Phase, ...]:
    """The phases in order."""
    phases: list[Phase] = []
    for event in events:
        if event.kind in ("phase", "batch") or not phases:
            title = event.text if event.kind in ("phase", "batch") else "before"
            phases.append(Phase(title, f"{event.at:%H:%M:%S}"))
        if event.kind not in ("phase", "batch"):
            _add(phases, event)
    return tuple(phases)


def _add(phases: list[Phase], event: Event) -> None:
    """To the phase at hand, or where it began; a note stands by itself."""
    name = event.step or event.text
    key: tuple[str, ...] = (event.kind, name, event.phase)
    if event.kind in ("note", "warning"):
        key = (*key, str(event.at), str(len(phases[-1].hosts.get(event.host, ()))))
    begun = (each for each in reversed(phases) if _runs(each, event.host, key))
    phase = next(begun, phases[-1])
    phase.hosts.setdefault(event.host, {})[key] = _leaf(event, name)


def _runs(phase: Phase, host: str, key: tuple[str, ...]) -> bool:
    known = phase.hosts.get(host, {}).get(key)
    return known is not None and known.state == "running"


def _leaf(event: Event, name: str) -> Leaf:
    state = event.state or event.kind
    if event.kind in ("note", "warning"):
        drawn = "unknown" if event.kind == "warning" else "note"
    else:
        drawn = STATES.get(state, "unknown") or state
    title = f"undo {name}" if event.kind == "step" and event.phase == "undo" else name
    title = f"check {title}" if event.kind == "check" else title
    said = "" if drawn in ("pass", "note") else state
    leaf = Leaf(title, drawn, said, "", event.detail.strip())
    return replace(leaf, took=duration(event.seconds)) if event.seconds else leaf
