"""The forms that a note may have, each with its reader: all give the same blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from backout.documents import actions, capistrano, makefile, markdown, playbooks, runme
from backout.documents.markdown import Block
from backout.documents.yaml_lines import Node, composed

_MAKEFILE = re.compile(r"^(?:GNU)?makefile$|\.mk$", re.IGNORECASE)
_RUBY = re.compile(r"\.(?:rb|rake|cap)$|^Capfile$")


def blocks(source: str, text: str) -> tuple[Block, ...]:
    """Every block of a note, in its order; by the name of its file, and what stands in it."""
    name = PurePath(source).name
    if _MAKEFILE.search(name):
        return makefile.blocks(text)
    if _RUBY.search(name):
        return capistrano.blocks(text)
    if name.endswith((".yml", ".yaml")):
        return _of_yaml(text)
    return runme.attributed(markdown.blocks(text))


_YAML: tuple[tuple[Callable[[Node], bool], Callable[[Node, list[str]], tuple[Block, ...]]], ...] = (
    (actions.matches, actions.blocks),
    (playbooks.matches, playbooks.blocks),
)


def _of_yaml(text: str) -> tuple[Block, ...]:
    lines = list(markdown.lines_of(text))
    root, trouble = composed(text)
    if root:
        for matches, read in _YAML:
            if matches(root):
                return read(root, lines)
        trouble = "neither a workflow of GitHub Actions nor a playbook of Ansible"
    return markdown.left(lines, (), {}, trouble)
