"""What Runme says of a fence in its info string: a name, a folder, that it asks or never ends."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from backout.documents.markdown import Block

_PAIR = re.compile(r"(?P<key>[A-Za-z][\w-]*)\s*=\s*(?:\"(?P<quoted>[^\"]*)\"|(?P<bare>[^\s\"}]+))")


def attributed(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The same blocks, with what stands in their info strings where a reader looks for it."""
    return tuple(_attributed(each) if each.attributes else each for each in blocks)


def _attributed(block: Block) -> Block:
    told = words(block.attributes)
    if why := _why_not(told):
        return replace(block, kind="left", attributes=why)
    flags = [f for key, f in _FLAGS.items() if told.get(key) == "true"]
    return replace(
        block, name=told.get("name", ""), cwd=told.get("cwd", ""), flags=(*block.flags, *flags)
    )


_FLAGS = {"interactive": "interactive", "background": "blocking"}


def _why_not(told: dict[str, str]) -> str:
    if told.get("ignore") == "true":
        return "its fence says ignore"
    if told.get("excludeFromRunAll") == "true":
        return "its fence leaves it out of a whole run"
    interpreter = told.get("interpreter", "bash").split()[0].rpartition("/")[2]
    if interpreter not in ("sh", "bash", "zsh", "dash"):
        return f"run by {interpreter}, not by a shell"
    return ""


def words(attributes: str) -> dict[str, str]:
    """`{"name": "x"}` and `{ name=x cwd=/srv }`, as texts."""
    if not attributes.startswith("{"):
        return {}
    try:
        data = json.loads(attributes)
    except (ValueError, RecursionError):
        found = _PAIR.finditer(attributes)
        return {m["key"]: m["quoted"] if m["quoted"] is not None else m["bare"] for m in found}
    made = data if isinstance(data, dict) else {}
    return {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in made.items()}
