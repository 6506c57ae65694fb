"""Who is at work here.

What the system says comes first: the account that a session was opened with, which neither `su` nor
`sudo` changes where the system keeps it, else the account of the process. What the environment says
(`BACKOUT_PERSON`, a CI runner's actor) is a name beside it.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from backout.errors import Mistakes
from backout.model.people import Person, name_of, near

NAMED = "BACKOUT_PERSON"
CI = {"GITHUB_ACTIONS": "GITHUB_ACTOR", "GITLAB_CI": "GITLAB_USER_LOGIN"}
NOBODY = 2**32 - 1
"""The login of a process that no session began."""
PEOPLE = 1000
"""From this number on an account is somebody's own; below it are the system's."""


_acting: list[Person] = []
"""For whom this process acts, when that is nobody at its terminal."""


def act_as(somebody: Person) -> None:
    """From now on, and until its end, the process acts for them: whoever begins it has made sure
    who they are."""
    _acting[:] = [somebody]


def acting() -> Person | None:
    return _acting[0] if _acting else None


def person(environ: Mapping[str, str]) -> Person:
    """Raises Mistakes for a name that is none."""
    if somebody := acting():
        return somebody
    uid = _login() if _login() is not None else _sudoer(environ)
    uid = os.getuid() if uid is None else uid
    account = _account(uid)
    named, actor = environ.get(NAMED, ""), _actor(environ)
    try:
        claimed = [name_of(named)] if named else []
    except ValueError as error:
        raise Mistakes(str(error), where=NAMED, next=f"set {NAMED} to your own name") from None
    claimed += [near(actor)] if actor else []
    own = [near(account)] if uid >= PEOPLE or not claimed else []
    names = tuple(dict.fromkeys((*claimed, *own)))
    return Person(names[0], names, f"{account}@{socket.gethostname()}")


def _actor(environ: Mapping[str, str]) -> str:
    return next((environ.get(name, "") for ci, name in CI.items() if environ.get(ci)), "")


def _login() -> int | None:
    with suppress(OSError, ValueError):
        uid = int(Path("/proc/self/loginuid").read_text())
        return None if uid == NOBODY else uid
    return None


def _sudoer(environ: Mapping[str, str]) -> int | None:
    """Whoever became root by sudo."""
    with suppress(ValueError):
        return int(environ["SUDO_UID"]) if os.getuid() == 0 and "SUDO_UID" in environ else None
    return None


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
