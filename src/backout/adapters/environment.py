"""The environment that Backout was started in, freed of what was meant for another program."""

from __future__ import annotations

import getpass
import os
import pwd
from collections.abc import MutableMapping

from backout.model.repository import OF_ANOTHER_REPOSITORY


def settle(environ: MutableMapping[str, str] = os.environ) -> None:
    """Forget another repository's variables, so that git acts where it is told to. Where the
    user has no name and no home (a container's bare uid), say what a shell there would; where
    the home is only not said (`env -i`, a service), say the one on record."""
    for name in OF_ANOTHER_REPOSITORY:
        environ.pop(name, None)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        environ["LOGNAME"] = str(os.getuid())
    if not environ.get("HOME"):
        environ["HOME"] = _home()


def _home() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return "/"
