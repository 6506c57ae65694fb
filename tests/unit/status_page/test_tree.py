"""What a run told, as a tree: each step once, where it began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backout.model import Event
from backout.status_page.tree import tree

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def step(name: str, state: str, host: str = "", phase: str = "do", seconds: float = 0) -> Event:
    return Event(NOW, "step", name, step=name, host=host, phase=phase, state=state, seconds=seconds)


def test_a_step_stands_once_and_shows_how_it_ended_where_it_began() -> None:
    phases = tree(
        (
            Event(NOW, "phase", "preflight: web1"),
            Event(NOW, "note", "the same"),
            Event(NOW + timedelta(seconds=1), "note", "the same"),
            Event(NOW, "batch", "batch 1 of 1: web1, web2"),
            step("Restart", "running", "web1"),
            step("Restart", "running", "web2"),
            Event(NOW, "phase", "backing out"),
            step("Restart", "done", "web1", seconds=2),
            step("Restart", "unknown", "web2"),
            step("Restart", "running", "web1", "undo"),
        )
    )
    assert [phase.title for phase in phases] == [
        "preflight: web1",
        "batch 1 of 1: web1, web2",
        "backing out",
    ]
    assert [leaf.title for leaf in phases[0].hosts[""].values()] == ["the same", "the same"]
    ends = {host: next(iter(leaves.values())) for host, leaves in phases[1].hosts.items()}
    assert [(ends[h].state, ends[h].said, ends[h].took) for h in ("web1", "web2")] == [
        ("pass", "", "2.0s"),
        ("unknown", "unknown", ""),
    ]
    (undo,) = phases[2].hosts["web1"].values()
    assert (undo.title, undo.state) == ("undo Restart", "running")


def test_what_is_told_before_any_phase_is_shown_too() -> None:
    (phase,) = tree((Event(NOW, "warning", "the freeze is broken"),))
    assert phase.title == "before"
    assert [leaf.state for leaf in phase.hosts[""].values()] == ["unknown"]
