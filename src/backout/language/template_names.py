"""Which names a template uses, and whether they can be there: known before anything runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from jinja2 import nodes

from backout.language.jinja import (
    BadTemplate,
    Expression,
    Known,
    Piece,
    pieces_of,
    tree_of,
)
from backout.language.quoting import HOLE, places
from backout.model.validation import did_you_mean


def mistakes(text: str, known: Known, *, in_shell: bool = False) -> tuple[tuple[int, str], ...]:
    """What is wrong with a template, as (line within the text, message): its syntax, names that
    nobody defines, and in a shell text a value that stands where quoting cannot save it."""
    try:
        pieces = pieces_of(text, "")
        found = [(1, _NO_BLOCKS)] if _BLOCK.search(text) else []
        for piece in pieces:
            if isinstance(piece, Expression):
                found += [(piece.line, message) for message in _names(piece, known)]
        return tuple([*found, *unquotable(pieces)] if in_shell else found)
    except BadTemplate as error:
        return ((error.line, str(error)),)


_BLOCK = re.compile(r"\{%-?\s*(?:if|for|raw|set|macro|include|import|block|endif|endfor|endraw)\b")
_NO_BLOCKS = "only {{ expressions }} are templates here; {% blocks %} belong into template files"


def _names(piece: Expression, known: Known) -> Iterator[str]:
    tree = tree_of(piece)
    lenient = {id(chain) for chain in _defaulted(tree)}
    for node, path in chains(tree):
        if node.name not in known:
            yield f"{node.name!r} is not defined here{did_you_mean(node.name, known)}"
            continue
        attributes = known[node.name]
        judged = path and attributes is not None and id(node) not in lenient
        if judged and path[0] not in (attributes or ()):
            near = did_you_mean(path[0], attributes or ()).replace("'", f"'{node.name}.", 1)
            yield f"'{node.name}.{path[0]}' is not defined{near}"
        if node.name == "secrets" and len(path) != 1:
            yield "name one secret: secrets.NAME"
    yield from _misused_secrets(tree)


def chains(tree: nodes.Node) -> Iterator[tuple[nodes.Name, tuple[str, ...]]]:
    """Every name with the constant attributes that follow it: `vars.a["b"]` is vars, (a, b)."""
    parents = {id(child): node for node in _all(tree) for child in node.iter_child_nodes()}
    for name in tree.find_all(nodes.Name):
        path: list[str] = []
        node: nodes.Node = name
        while (parent := parents.get(id(node))) is not None:
            step = _attribute(parent, node)
            if step is None:
                break
            path.append(step)
            node = parent
        yield name, tuple(path)


def printed(text: str, root: str, *, alone: bool) -> Iterator[str]:
    """The attributes of `root` that a template puts into its text as they are; `alone` says whether
    also where nothing stands beside them, as what is a value of its own may be null."""
    pieces = pieces_of(text, "")
    for piece in pieces:
        if isinstance(piece, Expression) and (alone or len(pieces) > 1):
            node = tree_of(piece).nodes[0]
            if isinstance(node, nodes.Filter) and node.name == "raw" and node.node is not None:
                node = node.node
            inner = getattr(node, "node", None)
            if isinstance(inner, nodes.Name) and inner.name == root:
                yield _attribute(node, inner) or ""


def roots(tree: nodes.Node) -> set[str]:
    return {name.name for name in tree.find_all(nodes.Name)}


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _all(child)


def _attribute(parent: nodes.Node, node: nodes.Node) -> str | None:
    if isinstance(parent, nodes.Getattr):
        return parent.attr
    if isinstance(parent, nodes.Getitem) and parent.node is node:
        constant = parent.arg.value if isinstance(parent.arg, nodes.Const) else None
        return constant if isinstance(constant, str) else None
    return None


def _defaulted(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Names that may be missing: `vars.x | default(1)`, `vars.x is defined`."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        if node.name in ("default", "d", "defined", "undefined") and node.node is not None:
            yield from node.node.find_all(nodes.Name)
            if isinstance(node.node, nodes.Name):
                yield node.node


_HARMLESS = {"raw", "default", "d"}


def _misused_secrets(tree: nodes.Node) -> Iterator[str]:
    """A secret's value is not there yet: it can be placed, not looked at."""
    for node in tree.find_all((nodes.Filter, nodes.Test, nodes.Compare, nodes.Call, nodes.Mod)):
        if isinstance(node, nodes.Filter) and node.name in _HARMLESS:
            continue
        if "secrets" in roots(node):
            yield "a secret is fetched later: it can be placed or joined with ~, nothing else"


_UNSAFE = {
    "single": "it is quoted already: remove the quotes around {{ … }}, or write | raw",
    "double": "it is quoted already: remove the quotes around {{ … }}, or write | raw",
    "escape": "a backslash before {{ … }} would undo its quoting; remove it, or write | raw",
    "comment": "{{ … }} in a shell comment cannot be quoted; remove it, or write | raw",
    "document": "{{ … }} in a here-document cannot be quoted; pass it by env:, or write | raw",
    "backtick": "{{ … }} in `…` cannot be quoted; write $(…), or | raw",
    "arithmetic": "{{ … }} in $(( )) cannot be quoted; pass it by env:, or write | raw",
}
_LOST = "in single quotes the shell does not see a secret; use double quotes around {{ … | raw }}"


def unquotable(pieces: Collection[Piece]) -> Iterator[tuple[int, str]]:
    text = "".join(piece.replace(HOLE, "") if isinstance(piece, str) else HOLE for piece in pieces)
    expressions = [piece for piece in pieces if isinstance(piece, Expression)]
    for piece, place in zip(expressions, places(text), strict=True):
        tree = tree_of(piece)
        last = tree.nodes[0]
        if not isinstance(last, nodes.Filter) or last.name != "raw":
            if place in _UNSAFE:
                yield piece.line, _UNSAFE[place]
        elif place == "single" and "secrets" in roots(tree):
            yield piece.line, _LOST
