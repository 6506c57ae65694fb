"""What is deployed in a world: a few targets and runbooks, read from real files once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from backout.config import loading
from backout.model import Runbook, Target
from backout.project.project import TABLES

CHECKS = ("", "is", "safe")
"""What is known of a step that was interrupted: nothing, its `check`, or that it may run again."""

SPOILT, RUINED = 0.5, 0.15
"""How many of the rollbacks meet that."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of deploy."""

    hosts: int = 2
    at_once: bool = True
    spare: int = 0
    """So many hosts may fail."""
    here: bool = False
    """Whether a step acts on the operator's machine."""
    known: str = ""
    ends: str = "well"
    """`well`; `ill`: its check is red; `fails`: its last step does."""
    back: bool = False
    """Whether it is a rollback that things go wrong in."""
    slow: float = 1.0
    """Seconds that a step takes, but for the last one."""
    spoilt: bool = False
    """Whether the release that it goes back to is not well any more."""
    ruined: bool = False
    """Whether the one that it leaves is not either, once the earlier one has run."""

    since: bool = False
    """Whether a colleague has deployed since the release that it leaves."""

    @property
    def steps(self) -> dict[str, bool]:
        last = "Ill" if self.ends == "ill" else "Last"
        return {**({"Here": False} if self.here else {}), "First": True, last: True}


def drawn(random: Random) -> Shape:
    """Any of them."""
    back = random.random() < 0.1
    shape = Shape(
        back=back,
        hosts=random.choice((1, 2, 2, 3)),
        at_once=random.random() < 0.5,
        spare=int(random.random() < 0.2),
        here=random.random() < 0.4,
        known=random.choice(CHECKS),
        ends="well" if back else random.choice(("well", "well", "well", "ill", "fails")),
        slow=random.choice((1.0, 1.0, 4.0, 70.0)),
    )
    fate = random.random() if back else 1.0
    return replace(shape, spoilt=fate < SPOILT, ruined=fate < RUINED)


@cache
def loaded(shape: Shape) -> tuple[Target, Runbook]:
    """The nouns of a shape, through the files that an operator would write."""
    with TemporaryDirectory() as directory:
        root = Path(directory)
        for folder, name, data in (
            ("inventories", "prod", _inventory(shape)),
            ("runbooks", "deploy", _runbook(shape)),
        ):
            (root / folder).mkdir()
            (root / folder / f"{name}.yaml").write_text(json.dumps(data))
        target, runbook, _ = loading.load_pair(
            lambda: root / "inventories" / "prod.yaml",
            lambda: root / "runbooks" / "deploy.yaml",
            [],
            TABLES,
            root,
        )
    # Where they stood is no part of a world.
    return (
        target.model_copy(update={"file": "prod.yaml"}),
        runbook.model_copy(update={"file": "deploy.yaml"}),
    )


def _inventory(shape: Shape) -> Mapping[str, Any]:
    names = [f"web{n}" for n in range(1, shape.hosts + 1)]
    return {
        "hosts": {name: {"address": f"192.0.2.{n}"} for n, name in enumerate(names, 1)},
        "service": {"name": "app", "backend": "pm2"},
        "rollout": {
            "batches": ["100%"] if shape.at_once else [1],
            "max_failures": shape.spare,
            "soak": "1s",
        },
        "checks": {
            "well": {
                "command": "work well",
                "on": "all",
                "expect": ["exit_code == 0"],
                "timeout": "20s",
            }
        },
    }


def _runbook(shape: Shape) -> Mapping[str, Any]:
    steps = [_step(name, shape, on_hosts=on_hosts) for name, on_hosts in shape.steps.items()]
    settle = [
        {"name": "Restart", "restart": {}, "on": "all"},
        {"name": "Prove", "verify": "all"},
    ]
    return {"summary": "A world's.", "steps": steps, "settle": settle}


def _step(name: str, shape: Shape, *, on_hosts: bool) -> Mapping[str, Any]:
    seconds = shape.slow if name != "Last" else 1.0
    code = int(shape.ends == "fails" and name == "Last")
    run = "{{ run.id }}"
    step: dict[str, Any] = {
        "name": name,
        "run": f"work do {run} {name} {seconds} {code}",
        "undo": f"work undo {run} {name} 1.0",
        "timeout": "60s" if on_hosts else "10m",
    }
    if on_hosts:
        step["on"] = "all"
    if shape.known == "safe":
        step |= {"run": f"work is {run} {name} || {step['run']}", "retry_safe": True}
    if shape.known == "is":
        step["check"] = f"work is {run} {name}"
    return step
