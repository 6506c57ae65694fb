"""Words of a file that become arguments of programs, and must not be taken for more. Pure.

A program takes a word that begins with `-` for an option, git takes `ext::COMMAND` for a program
to run, and the ssh configuration's ProxyCommand is a shell text that addresses and users go into.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

_SHELL = re.compile(r"[\s\x00-\x1f\x7f'`\"$;&<>|(){}]")
"""What OpenSSH, too, refuses in an address and a user."""
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_NO_BRANCH = re.compile(r"^/|//|\.\.|[\s\x00-\x1f\x7f~^:?*\[\\]|@\{|(^|/)\.|(\.lock|\.|/)$|^@$")
"""As git check-ref-format has it."""
_BYTES = re.compile("[\ud800-\udfff]")
"""As Python has bytes of a command line or an environment that are no UTF-8."""
_MARKS = re.compile("[\ue000\ue001]")
"""What a secret's reference begins and ends with."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def unsayable(text: str) -> str:
    """Why a text can neither be handed to a program nor written down as it is; empty when it can:
    what a YAML file cannot hold either."""
    if "\0" in text:
        return "holds a NUL character"
    if _MARKS.search(text):
        return "holds a private-use character (U+E000 or U+E001)"
    return "is not text in UTF-8" if _BYTES.search(text) else ""


def operand(value: str) -> str:
    """A word that no program takes for an option, in one line. Raises ValueError."""
    if value.startswith("-"):
        raise ValueError(f"{value!r} would be taken for an option: it cannot begin with '-'")
    if any(sign in value for sign in "\n\r\0"):
        raise ValueError("must be one line")
    return value


def remote(value: str) -> str:
    """The name of a git remote, or its address. Raises ValueError."""
    if _HELPER.match(operand(value)):
        raise ValueError(f"{value!r} names a program for git to run; write a remote's name")
    return value


def branch(value: str) -> str:
    """The name of a git branch. Raises ValueError."""
    if not operand(value) or _NO_BRANCH.search(value):
        raise ValueError(f"{value!r} is not the name of a branch")
    return value


def reached(value: str) -> str:
    """A host's address, or the user who logs in. Raises ValueError."""
    if found := _SHELL.search(operand(value)):
        raise ValueError(f"{value!r} cannot have {found[0]!r} in it")
    return value


def shell_path(path: str, *, here: bool) -> str:
    """A path as shell text. On a host what is relative starts at the login home, wherever a
    start-up file goes; `here`, on this machine, at the project."""
    if path.startswith("/") or (here and not path.startswith("~/")):
        return shlex.quote(path)
    return f'"$HOME"/{shlex.quote(path.removeprefix("~/"))}'


def at_home(path: str | Path) -> Path:
    """A path whose `~` is a home; that of somebody whom this machine does not know stays as it is,
    and is no file."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - the other one raises


def variable(name: str) -> bool:
    """Whether a shell can have a variable of that name."""
    return bool(_VARIABLE.fullmatch(name))


Operand = Annotated[str, AfterValidator(operand)]
Remote = Annotated[str, AfterValidator(remote)]
Branch = Annotated[str, AfterValidator(branch)]
Reached = Annotated[str, AfterValidator(reached)]
