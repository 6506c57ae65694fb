"""YAML as nodes that know their lines. Nothing is built from it, and an alias is never followed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

Node = yaml.Node


def composed(text: str) -> tuple[Node | None, str]:
    """The document's root, or why there is none."""
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return (
            None,
            f"no YAML: {getattr(error, 'problem', '')}, line {mark.line + 1 if mark else 1}",
        )
    except (RecursionError, ValueError):
        return None, "no YAML: it is nested too deep, or has characters that YAML has not"
    if root and _shared(root):
        return None, "an alias of YAML: write out what it stands for"
    return root, "" if root else "nothing stands in it"


def _shared(root: Node) -> bool:
    """Whether a node stands in two places, as only an alias can bring it about."""
    seen, open_ = set[int](), [root]
    while open_:
        node = open_.pop()
        if id(node) in seen:
            return True
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            open_ += [part for entry in node.value for part in entry]
        elif isinstance(node, yaml.SequenceNode):
            open_ += node.value
    return False


def pairs(node: Node | None) -> Iterator[tuple[str, Node, Node]]:
    """The entries of a mapping: key, its node, and the value's."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield str(key.value), key, value


def entry(node: Node | None, *keys: str) -> Node | None:
    """What a path of keys leads to."""
    for key in keys:
        node = next((value for name, _, value in pairs(node) if name == key), None)
    return node


def items(node: Node | None) -> Sequence[Node]:
    """The items of a sequence."""
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def text(node: Node | None) -> str:
    """A scalar's text."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def script(node: Node) -> tuple[int, tuple[str, ...]]:
    """The first line of a script and its lines; folded ones are the lines that they become."""
    first = node.start_mark.line + 1
    style = node.style if isinstance(node, yaml.ScalarNode) else None
    return first + (style in ("|", ">")), tuple(text(node).rstrip("\n").split("\n"))


def covered(*nodes: Node) -> set[int]:
    """The lines on which nodes stand."""
    return {n for node in nodes for n in range(node.start_mark.line + 1, _last(node) + 1)}


def _last(node: Node) -> int:
    """The last line of a node: the mark behind a block stands at the front of what follows."""
    block = (isinstance(node, yaml.CollectionNode) and not node.flow_style) or (
        isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    )
    return max(node.end_mark.line + (not block), node.start_mark.line + 1)
