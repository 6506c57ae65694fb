"""YAML text -> a tree that knows the file and line of everything in it.

Only data: no tags beyond the plain ones, one document, each key once. Words mean what they say:
`on`, `yes` and `22:10` are text, `0644` is text, only `true` and `false` are booleans.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from backout.config.files import no_file
from backout.config.yaml_words import explained, marked, unseen
from backout.errors import Mistake, Mistakes

LARGEST = 1 << 20
"""Bytes of a file; a runbook is something that a person reads."""
DEEPEST, MOST = 40, 50_000
"""Levels, and values after aliases are filled in."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_REFERENCE_MARKS = re.compile("[\ue000\ue001]")


Trail = tuple[str | int, ...]
"""The keys and positions that lead to a value."""


@dataclass(slots=True)
class Node:
    """One value: a scalar, a list of nodes, or a mapping of names to nodes."""

    value: Any
    file: str
    line: int
    """Where its key stands, or itself."""
    text: str = ""
    """A scalar as written."""
    first: int = 0
    """The line of a scalar's first line of text."""
    size: int = field(default=1, compare=False)

    @property
    def unwritten(self) -> bool:
        """Whether nothing was written there; `null` and `""` are something."""
        return self.value is None and not self.text

    def data(self) -> Any:
        """The plain data."""
        if isinstance(self.value, dict):
            return {key: node.data() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.data() for node in self.value]
        return self.value

    def find(self, path: Trail) -> Node:
        """The node at `path`, or the last one on the way there."""
        node = self
        for step in path:
            inner = dict(enumerate(node.value)) if isinstance(node.value, list) else node.value
            if not isinstance(inner, dict) or step not in inner:
                break
            node = inner[step]
        return node

    def get(self, key: str) -> Node | None:
        """The value of a key, if this is a mapping that has it."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> Iterator[tuple[str, Node]]:
        """A mapping's pairs; nothing for anything else."""
        yield from self.value.items() if isinstance(self.value, dict) else ()

    def scalars(self, path: Trail = ()) -> Iterator[tuple[Trail, Node]]:
        """Every scalar within, with its path."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield from node.scalars((*path, key))
        elif isinstance(self.value, list):
            for index, node in enumerate(self.value):
                yield from node.scalars((*path, index))
        else:
            yield path, self

    def without(self, *keys: str) -> Node:
        """This mapping without some keys; what is no mapping is itself."""
        if not isinstance(self.value, dict):
            return self
        return replace(self, value={k: v for k, v in self.items() if k not in keys})


def shown_path(path: Trail) -> str:
    """`steps[3].run`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(
        "."
    )


def merged(base: Node, over: Node) -> Node:
    """`over` laid over `base`: mappings merge, everything else is replaced. A mapping of which
    nothing is written takes nothing away."""
    if over.unwritten and isinstance(base.value, dict):
        return base
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    value = dict(base.value)
    for key, node in over.value.items():
        value[key] = merged(value[key], node) if key in value else node
    return replace(over, value=value)


def read(path: Path, shown: str, mistakes: list[Mistake]) -> Node:
    """The tree of one file. Raises Mistakes where reading on makes no sense; lesser ones join
    `mistakes`."""
    try:
        if not path.is_file():
            raise FileNotFoundError
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise _one(shown, 0, error.strerror or no_file(path)) from None
    if len(content) > LARGEST:
        raise _one(shown, 0, f"larger than {LARGEST} bytes; a runbook is for people to read")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _one(shown, line, "not text in UTF-8") from None
    return parse(text, shown, mistakes)


def parse(text: str, shown: str, mistakes: list[Mistake]) -> Node:
    """The tree of a text, as `read` gives it."""
    if marked := _REFERENCE_MARKS.search(text):
        line = text.count("\n", 0, marked.start()) + 1
        raise _one(shown, line, "holds a private-use character (U+E000 or U+E001)")
    composer = _Composer(text, shown, mistakes)
    try:
        return composer.document()
    except yaml.MarkedYAMLError as error:
        raise _one(shown, *explained(text, error)) from None
    except yaml.YAMLError as error:
        at = getattr(error, "position", None)
        line = text.count("\n", 0, at) + 1 if isinstance(at, int) else 0
        reason = getattr(error, "reason", None) or str(error).partition("\n")[0]
        raise _one(shown, line, f"not YAML: {reason}") from None


def _one(file: str, line: int, message: str) -> Mistakes:
    return Mistakes(mistakes=[Mistake(file, line, "", message)])


class _Stop(yaml.MarkedYAMLError):
    """A mistake after which reading on makes no sense."""

    def __init__(self, problem: str, event: Any) -> None:
        super().__init__(problem=problem, problem_mark=event.start_mark)


class _Composer:
    """Builds the tree from the parser's events; it never recurses deeper than DEEPEST."""

    def __init__(self, text: str, file: str, mistakes: list[Mistake]) -> None:
        self.events = yaml.parse(text, Loader=_LOADER)
        self.lines = text.splitlines()
        self.file = file
        self.mistakes = mistakes
        self.anchors: dict[str, Node | None] = {}

    def document(self) -> Node:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return Node(None, self.file, 1)
        node = self.node(next(self.events), 0)
        next(self.events)  # the document's end
        if not isinstance(end := next(self.events), yaml.StreamEndEvent):
            raise _Stop("several documents in one file; keep one", end)
        return node

    def node(self, event: Any, depth: int) -> Node:
        if depth > DEEPEST:
            raise _Stop(f"nested deeper than {DEEPEST} levels", event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.anchor:
            self.anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self.sequence(event, depth)
        else:
            node = self.mapping(event, depth)
        if node.size > MOST:
            raise _Stop(f"more than {MOST} values once its aliases are filled in", event)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        if event.anchor not in self.anchors:
            raise _Stop(f"*{event.anchor} refers to nothing before it", event)
        node = self.anchors[event.anchor]
        if node is None:
            raise _Stop(f"*{event.anchor} refers to what it stands in", event)
        return replace(node, line=event.start_mark.line + 1)

    def sequence(self, event: Any, depth: int) -> Node:
        self.tagged(event, "seq")
        items = []
        while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
            items.append(self.node(inner, depth + 1))
        return self.made(items, event, sum(item.size for item in items))

    def mapping(self, event: Any, depth: int) -> Node:
        self.tagged(event, "map")
        found: dict[str, Node] = {}
        inherited: list[Node] = []
        while not isinstance(key := next(self.events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise _Stop("a key must be a word", key)
            self.tagged(key, "str", "int", "float", "bool", "null")
            if hidden := unseen(key.value):
                raise _Stop(f"a {hidden} stands in this key: write plain spaces", key)
            if key.anchor:
                self.anchors[key.anchor] = self.scalar(key)
            value = replace(self.node(next(self.events), depth + 1), line=self.line(key))
            if key.value == "<<" and not key.style:
                inherited += self.bases(value, key)
            elif key.value in found:
                before = found[key.value].line
                self.mistake(key, f"the key {key.value!r} is there twice, first in line {before}")
            else:
                found[key.value] = value
        for base in inherited:
            found = {**base.value, **found}
        return self.made(found, event, sum(node.size for node in found.values()))

    def bases(self, value: Node, key: Any) -> list[Node]:
        nodes = value.value if isinstance(value.value, list) else [value]
        if not all(isinstance(node.value, dict) for node in nodes):
            raise _Stop("<< takes a mapping, or a list of them", key)
        return nodes

    def scalar(self, event: Any) -> Node:
        self.tagged(event, "str", "int", "float", "bool", "null")
        text = event.value
        if "\0" in text:
            self.mistake(event, "a zero byte stands in this text: no command and no file takes it")
        plain = not event.style and event.tag in (None, *_UNQUOTED)
        node = self.made(_meant(text) if plain else text, event, 0)
        node.text = text
        node.first = node.line + (event.style in ("|", ">"))
        return node

    def made(self, value: Any, event: Any, size: int) -> Node:
        return Node(value, self.file, self.line(event), size=size + 1)

    def tagged(self, event: Any, *allowed: str) -> None:
        tag = event.tag
        if tag == "!" and not getattr(event, "style", ""):
            # YAML takes it away: `run: ! grep -q x` would run the opposite.
            self.mistake(event, "a value cannot begin with !: put it in quotes")
        elif tag and tag != "!" and tag not in {_PLAIN + name for name in allowed}:
            shown = tag.replace(_PLAIN, "!!")
            said = f"the tag {shown} is not allowed; files are plain data"
            self.mistake(event, f"{said}; for a ! in a text, put it in quotes")

    def mistake(self, event: Any, message: str) -> None:
        words = marked(self.lines, event.start_mark, message)
        self.mistakes.append(Mistake(self.file, self.line(event), "", words))

    def line(self, event: Any) -> int:
        return int(event.start_mark.line) + 1


_UNQUOTED = {_PLAIN + name for name in ("int", "float", "bool", "null")}


def _meant(text: str) -> Any:
    """What an unquoted word means."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return text if number in (float("inf"), float("-inf")) else number
    return text
