"""What the words of every verb are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


def word(help: str, default: Any = None) -> Any:
    """A field with its line of help."""
    return field(default=default, metadata={"help": help})


TARGET = "A name in inventories/, or a path. Default: $BACKOUT_TARGET."
RUNBOOK = "A name in runbooks/, or a path."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Options:
    """What every verb may be told."""

    name: ClassVar[str]
    """As it is typed: `deploy`, `alert.ack`."""
    room: ClassVar[str]
    """Who does it: `module:Class.method`, made with the project and the screen."""
    spared: ClassVar[Mapping[str, str]] = {}
    """A word said without its name -> the option with which it need not be said."""
    writes: ClassVar[bool] = True
    """False for verbs that leave no file behind, not even a journal."""
    json: bool = word("Print one JSON object on stdout, and nothing else there.", False)


MAY_BE_EMPTY = frozenset({"message"})


def refuse_unmeant(options: Options) -> None:
    """Raises Mistakes for a word that was said and is empty, as `--hosts "$HOSTS"` is when nobody
    set it: it would mean all of them; and for one that can not be passed on as it is."""
    from backout.errors import Mistakes  # late: listing the verbs needs no error
    from backout.model.operands import unsayable

    for each in fields(options):
        value = getattr(options, each.name)
        every = value if isinstance(value, tuple) else (value,)
        told = [one for one in every if isinstance(one, str)] if value != each.default else []
        wrong = next(filter(None, map(unsayable, told)), "")
        if each.name not in MAY_BE_EMPTY and any(not one.strip(", ") for one in told):
            wrong = "is empty"
        if wrong:
            raise Mistakes(
                f"--{each.name.strip('_').replace('_', '-')} {wrong}",
                where="command line",
                next=f"invoke --help {options.name}",
            )


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Aimed(Options):
    """A verb about one target."""

    target: str | None = word(TARGET)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Followed(Options):
    """A verb whose commands may take long."""

    follow: bool = word("Show every line that commands write, while they run.", False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Confirmed(Options):
    """A verb that may ask."""

    yes: bool = word("Answer every confirmation with yes.", False)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AsShown(Options):
    """What somebody has said yes to who was shown it elsewhere: that, or nothing."""

    shown: str = ""
    """The release in force, or the unfinished run. Nobody types it."""


def shown_to(options: Options) -> str:
    """Empty for whoever typed it."""
    return options.shown if isinstance(options, AsShown) else ""
