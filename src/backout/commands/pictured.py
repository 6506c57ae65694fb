"""A plan's picture, as it is kept: with secrets by reference."""

from __future__ import annotations

import json

from backout.model import Target
from backout.project.project import Workplace
from backout.runs.parts import Parts
from backout.runs.picture import Picture, taken
from backout.runs.plan import Plan


def picture_of(workplace: Workplace, plan: Plan, parts: Parts) -> Picture:
    """The plan's picture in the world as it is. Raises Refused and Unreachable."""
    return by_reference(workplace, plan.target, taken(plan, parts))


def by_reference(workplace: Workplace, target: Target, picture: Picture) -> Picture:
    return Picture(json.loads(workplace.journal_of(target).text_of(picture.parts)))
