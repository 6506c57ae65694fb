"""A YAML text, changed so that it says something else; what stays is as it was, byte for byte.

The text is cut where its own parser says that values begin and end; only what differs is written
anew. Comments, blank lines, quotes and the order of what people wrote survive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from backout.config import yaml_tree
from backout.errors import Mistakes

Dump = Callable[[Any], str]
"""Plain data as YAML text in block style, ending with a line break."""
_KINDS: Mapping[Any, Any] = {yaml.MappingNode: dict, yaml.SequenceNode: list}


def edited(text: str, wanted: Mapping[str, Any], dump: Dump) -> str:
    """`text`, a mapping, so changed that it says `wanted`. Raises Mistakes where it is no YAML."""
    says = _data(text)
    if says == wanted:
        return text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode) and not root.flow_style and isinstance(says, dict):
        for deep in (True, False):  # with anchors, no smaller piece stands alone
            editor = _Editor(text if text.endswith("\n") else f"{text}\n", dump)
            editor.mapping(root, says, dict(wanted), deep=deep)
            made = editor.result()
            if _says(made, wanted):
                return made
    return dump(dict(wanted))


def _data(text: str) -> Any:
    return yaml_tree.parse(text, "the file", []).data()


def _says(text: str, wanted: Any) -> bool:
    try:
        return bool(_data(text) == wanted)
    except Mistakes:
        return False


@dataclass(slots=True)
class _Editor:
    """Gathers what is to be cut out and what is put in its place."""

    text: str
    dump: Dump
    cuts: list[tuple[int, int, str]] = field(default_factory=list)

    def result(self, start: int = 0, end: int | None = None) -> str:
        """A part of the text, changed; what has no cut is as it was."""
        end = len(self.text) if end is None else end
        made, at = list[str](), start
        for first, last, put in sorted(self.cuts, key=lambda cut: cut[:2]):
            if at <= first and last <= end:
                made += [self.text[at:first], put]
                at = last
        return "".join((*made, self.text[at:end]))

    # --- mappings ------------------------------------------------------------------------

    def mapping(self, node: Any, says: Any, wanted: Any, *, deep: bool = True) -> None:
        """A block mapping, key by key."""
        pairs = {str(key.value): (key, value) for key, value in node.value}
        after: int | None = None
        for name, value in wanted.items():
            if name not in pairs:
                self._add(node, name, value, after)
                continue
            key, old = pairs[name]
            after = self._end(old)
            if says.get(name) != value:
                self._change(key, old, says.get(name), value, deep=deep)
        for name, (key, old) in pairs.items():
            if name not in wanted:
                self._take_out(key, old)

    def _change(self, key: Any, old: Any, says: Any, value: Any, *, deep: bool) -> None:
        kind = _KINDS.get(type(old))
        same = kind is not None and isinstance(value, kind) and value and isinstance(says, kind)
        if same and deep and old.flow_style and self._in_flow(old, says, value):
            return
        if same and deep and not old.flow_style:
            change = self.mapping if kind is dict else self.sequence
            change(old, says, value)
        else:
            self._replace(key, old, value)

    def _in_flow(self, old: Any, says: Any, value: Any) -> bool:
        """`{lines: 41, sha256: …}` with other words in it; whether that was all there is to do."""
        if not isinstance(value, dict) or value.keys() != says.keys():
            return False
        changed = {name for name in value if says[name] != value[name]}
        words = {name: self.dump({name: value[name]}).strip() for name in changed}
        if any(isinstance(value[n], dict | list) or "\n" in words[n] for n in changed):
            return False
        for key, node in old.value:
            if key.value in changed:
                put = words[key.value].partition(": ")[2]
                self.cuts.append((node.start_mark.index, self._end(node), put))
        return True

    def _replace(self, key: Any, old: Any, value: Any) -> None:
        start, end = key.start_mark.index, self._end(old)
        put = _indented(self.dump({key.value: value}), key.start_mark.column).strip()
        rest = self.text[end : self._line_end(end)]
        if "\n" in put and rest.strip():  # a comment there would become a part of the text
            put = f"{rest.strip()}\n{' ' * key.start_mark.column}{put}"
            end += len(rest)
        self.cuts.append((start, end, put))

    def _add(self, node: Any, name: str, value: Any, after: int | None) -> None:
        column, start = node.start_mark.column, node.start_mark.index
        put = _indented(self.dump({name: value}), column)
        if after is None:
            self.cuts.append((start, start, put.lstrip() + " " * column))
            return
        at = min(self._line_end(after) + 1, len(self.text))
        self.cuts.append((at, at, put))

    def _take_out(self, key: Any, old: Any) -> None:
        start = key.start_mark.index - key.start_mark.column
        end = min(self._line_end(self._end(old)) + 1, len(self.text))
        first = self.text[start : key.start_mark.index]
        if first.strip():  # it shares its line with a dash
            end = self._next_key(end, key.start_mark.column)
            start = key.start_mark.index
        self.cuts.append((start, end, ""))

    def _next_key(self, at: int, column: int) -> int:
        """Where the next key of the same mapping begins, behind its indentation."""
        return at + column if self.text[at : at + column].isspace() else at

    # --- sequences -----------------------------------------------------------------------

    def sequence(self, node: Any, says: Sequence[Any], wanted: Sequence[Any]) -> None:
        """A block sequence, put together from its items' own lines and from new ones."""
        starts = [self.text.rfind("\n", 0, item.start_mark.index) + 1 for item in node.value]
        ends = [min(self._line_end(self._end(item)) + 1, len(self.text)) for item in node.value]
        begins = [starts[0], *ends[:-1]]
        column = node.start_mark.column
        pieces = list[str]()
        used = dict(_matched(says, wanted))
        for at, value in enumerate(wanted):
            if at not in used:
                pieces.append(_indented(self.dump([value]), column))
                continue
            old = used[at]
            self._item(node.value[old], says[old], value, column)
            pieces.append(self.result(begins[old], ends[old]))
        kept = {*used.values()}
        lost = (self._comments(begins[n], starts[n]) for n in range(len(says)) if n not in kept)
        inside = [cut for cut in self.cuts if begins[0] <= cut[0] and cut[1] <= ends[-1]]
        self.cuts = [cut for cut in self.cuts if cut not in inside]
        self.cuts.append((begins[0], ends[-1], "".join((*pieces, *lost))))

    def _item(self, node: Any, says: Any, value: Any, column: int) -> None:
        if says == value:
            return
        block = isinstance(node, yaml.MappingNode) and not node.flow_style
        if block and isinstance(value, dict) and isinstance(says, dict):
            self.mapping(node, says, value)
            return
        start, end = node.start_mark.index, self._end(node)
        put = _indented(self.dump([value]), column).strip().removeprefix("- ")
        self.cuts.append((start, end, put))

    def _comments(self, start: int, end: int) -> str:
        lines = self.text[start:end].splitlines(keepends=True)
        return "".join(line for line in lines if line.lstrip().startswith("#"))

    # --- where things end ----------------------------------------------------------------

    def _end(self, node: Any) -> int:
        """Where a value's own text ends; its parser counts what follows up to the next token."""
        children: Iterator[Any] = iter(())
        if isinstance(node, yaml.MappingNode) and not node.flow_style:
            children = (value for _, value in node.value)
        elif isinstance(node, yaml.SequenceNode) and not node.flow_style:
            children = iter(node.value)
        ends = [self._end(child) for child in children]
        start, end = int(node.start_mark.index), int(node.end_mark.index)
        if ends:
            return max(ends)
        return start + len(self.text[start:end].rstrip())

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end


def _indented(text: str, column: int) -> str:
    return "".join(
        f"{' ' * column}{line}" if line.strip() else line for line in text.splitlines(keepends=True)
    )


def _matched(says: Sequence[Any], wanted: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Which old item each wanted one is: the same, or one of its name, or one that follows the
    same lines."""
    free = dict(enumerate(says))
    left = dict(enumerate(wanted))
    traits: tuple[Callable[[Any], Any], ...] = (lambda each: each, _named, _following)
    for trait in traits:
        for at, value in tuple(left.items()):
            mark = trait(value)
            old = next((n for n, each in free.items() if mark and trait(each) == mark), None)
            if old is not None:
                del free[old], left[at]
                yield at, old


def _named(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else None


def _following(item: Any) -> Any:
    found = item.get("follows") if isinstance(item, dict) else None
    return found.get("sha256") if isinstance(found, dict) else None
