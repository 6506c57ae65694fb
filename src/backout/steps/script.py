"""Scripts that only read, and what scripts say, in words for the operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from backout.errors import Refused
from backout.model import Command, Result, State, Undo
from backout.ports import StepContext, Transport
from backout.steps.base import place

LOOK = 120.0
"""How many seconds a look may take."""
SHOWN = 5
"""How many file names a message names."""

Facts = Mapping[str, Sequence[str]]
Env = tuple[tuple[str, str], ...]


def way_back(
    work: StepContext, text: str, data: Mapping[str, object] | None = None, summary: str = ""
) -> Undo:
    """The undo that the kind brings, unless the runbook words its own."""
    own = work.step.undo
    return Undo(
        text=text if own is None else own,
        data={**(data or {}), **({} if own is None else place(work))},
        irreversible=work.step.irreversible or "",
        summary=summary if own is None else "",
    )


def output(transport: Transport, script: str, what: str, env: Env = ()) -> str:
    """What a reading script prints. Raises Refused in its words."""
    result = transport.run(Command(script, env=env, timeout=LOOK))
    if not result.ok:
        raise Refused(f"{what}: {words(result) or result.reason}")
    return result.stdout


def read(transport: Transport, script: str, what: str, env: Env = ()) -> Facts:
    """The `name=value` lines that a reading script prints. Raises Refused in its words."""
    facts = defaultdict(list)
    for line in output(transport, script, what, env).split("\n"):
        name, _, value = line.partition("=")
        facts[name].append(value)
    return facts


def words(result: Result) -> str:
    """The last things that were said on stderr, without hints. git says what is wrong first, and
    then gives advice."""
    lines = (line.strip() for line in result.stderr.split("\n"))
    said = [line for line in lines if line and not line.startswith("hint:")]
    wrong = [n for n, line in enumerate(said) if line.startswith("fatal:")]
    first = [said[wrong[-1]]] if wrong and wrong[-1] < len(said) - 4 else []
    return "; ".join((*first, *said[-4:]))


def told(result: Result) -> Result:
    """A failure gives its own words as the reason."""
    said = words(result)
    return replace(result, reason=said) if result.state is State.FAILED and said else result


def some(names: Sequence[str]) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
