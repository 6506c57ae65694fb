"""What a service's containers were made from, as its definition has it."""

from __future__ import annotations

from backout.model import Result
from backout.restarters.backend import text_of
from backout.restarters.containers import Seen


def images(looked: Seen | Result, name: str) -> str | None:
    """The images by the names that they had then; None without a container. Raises Refused where
    nobody can tell, and Unreachable."""
    if isinstance(looked, Result):
        text_of(looked, f"the containers of {name}")
        return None
    found = sorted({f"{each.tag} {each.image}" for each in looked.mine})
    return "\n".join(found) or None
