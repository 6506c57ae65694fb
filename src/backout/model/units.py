"""Small types, and what every noun from a file is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.fields import FieldInfo

_DURATION = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d))")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST = 3650.0 * 86400.0
"""In seconds. No clock can be asked to wait for much more, and nobody means it."""
APART = 60.0
"""Seconds that two clocks may be apart before what one of them calls the future is doubted."""


def seconds(value: object) -> float:
    """A duration such as `500ms`, `5s`, `1m30s`, `2h` or a bare number of seconds.

    Raises ValueError when it is not a duration, or longer than ten years.
    """
    if value is None or isinstance(value, bool):
        raise ValueError("not a duration; write 5s, 2m or 1h30m")
    if isinstance(value, int | float):
        if value < 0 or value != value or value == float("inf"):
            raise ValueError("a duration cannot be negative or endless")
        return _sane(value)
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError(f"{value!r} is not a duration; write 5s, 2m or 1h30m")
    return _sane(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _sane(length: float) -> float:
    if length > LONGEST:
        raise ValueError("longer than ten years is no duration")
    return float(length)


def duration(seconds: float) -> str:
    """Seconds as a person reads them: `12ms`, `0.4s`, `12s`, `1m12s`, `2h05m`."""
    if seconds < 0.0995:
        return f"{round(seconds * 1000)}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole}s" if whole < 60 else f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def _percent_or_count(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"(?:[1-9][0-9]?|100)%", value):
        return value
    shown = f"{value!r} is " if isinstance(value, str | int | float) else ""
    raise ValueError(f"{shown}not a batch; write a count of hosts (1) or a share (25%)")


NO_TEMPLATE = "not a {{ template }}"


def _template(value: str) -> str:
    if "{{" not in value:
        raise ValueError(NO_TEMPLATE)
    return value


def _octal(value: str) -> str:
    if not re.fullmatch(r"(0?[0-7]{3,4})?|.*\{\{.*", value, re.DOTALL):
        raise ValueError(f"{value!r} is no mode; write it in octal, such as 0640")
    return value


def _said(value: str | None) -> str | None:
    """Blanks alone say nothing."""
    return value if value and value.strip() else None


def _lasting(value: float) -> float:
    """Nothing can be done in no time."""
    if value <= 0:
        raise ValueError("must be longer than nothing")
    return value


def zone_name(value: str) -> str:
    """The name of a zone of workers. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", value):
        raise ValueError(f"{value!r} is no name of a zone: small letters, digits, - and _")
    return value


def known_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"{value!r} is not a timezone; write Europe/Berlin, or UTC") from None
    return value


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema({"type": ["number", "string"], "description": "5s, 2m, 1h30m, or seconds"}),
]
Span = Annotated[Duration, AfterValidator(_lasting)]
"""A duration in which something is done, or between two of them."""
Batch = Annotated[
    int | str,
    BeforeValidator(_percent_or_count),
    WithJsonSchema({"type": ["integer", "string"], "pattern": r"^(?:[1-9]\d?|100)%$"}),
]
Said = Annotated[str | None, AfterValidator(_said)]
"""Text that may be left out, and is left out where it is blank."""


def _port(value: int) -> int:
    if not 0 < value < 65536:
        raise ValueError("must be a port, 1 to 65535")
    return value


Port = Annotated[int, AfterValidator(_port)]
TemplateText = Annotated[str, AfterValidator(_template)]
Boolean = Annotated[bool, Strict()]
"""`true` or `false`: `yes`, `on` and 1 are not what they seem in YAML."""
Mode = Annotated[
    str,
    AfterValidator(_octal),
    WithJsonSchema({"type": ["string", "integer"], "description": "in octal, such as 0640"}),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Words = tuple[str, ...]
Severity = Literal["info", "warning", "critical"]
"""How much it matters."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
"""The least first."""
BaselinePolicy = Literal["passes", "fails", "any"]
"""What a check must say before a change."""


def frozen(value: Any) -> Any:
    """A JSON-like value as plain data that nobody is expected to change."""
    return value


Slips = Iterator[tuple[str, str]]
"""Fields, and what is wrong with each."""


def _wants_number(field: FieldInfo) -> bool:
    """Whether a whole number is among what it takes, and a boolean is not."""
    taken = set(_taken(field.annotation))
    return int in taken and not taken & {bool, Any}


def _taken(annotation: Any) -> Iterator[Any]:
    """Of `A | None`: A, and None."""
    inner = get_args(annotation) if get_origin(annotation) in (Union, UnionType, Annotated) else ()
    if not inner:
        yield annotation
    for each in inner:
        yield from _taken(each)


class Noun(BaseModel):
    """A thing read from a file: frozen, and strict about names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """To Python `true` is the number 1, and to nobody else."""
        if isinstance(value, bool) and _wants_number(cls.model_fields[info.field_name or ""]):
            raise ValueError("must be a whole number")
        return value


class Options(Noun):
    """The options of one kind of step, check or restart backend."""

    short: ClassVar[str] = ""
    """The field that a bare scalar or list fills: `run: "make"`."""
    shell_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are POSIX shell text: what `{{ … }}` puts into them is quoted."""
    told_fields: ClassVar[tuple[str, ...]] = ()
    """Fields that are shown or written down as they are, so that no secret may stand in them."""
    moves_traffic: ClassVar[bool] = False
    """True of a step that acts at the balancers of its host, on the machines where they run."""
    secret_fields: ClassVar[tuple[str, ...]] = ()

    """Of a restart backend: the fields that a secret may stand in."""

    def slips(self) -> Slips:
        """What cannot be right as it is written, whatever its templates will say."""
        yield from ()

    def misnamed(self, name: str) -> str:  # noqa: ARG002 - most names will do
        """Of a restart backend: why no one service can have this name; empty where one may."""
        return ""

    def needs(self, connection: str) -> str:  # noqa: ARG002 - most need none, however reached
        """The extra of Backout's that brings a library which this needs; empty for most."""
        return ""


class NoOptions(Options):
    """A kind that has nothing to say."""
