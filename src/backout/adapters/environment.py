"""The environment that Backout was started in, freed of what was meant for another program."""

from __future__ import annotations

import getpass
import os
from collections.abc import MutableMapping
from pathlib import Path

OF_ANOTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_LITERAL_PATHSPECS",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
"""What a git hook hands to whatever it starts; it beats `git -C`."""


def settle(environ: MutableMapping[str, str] = os.environ) -> None:
    """Forget another repository's variables, so that git acts where it is told to. Where the
    user has no name and no home (a container's bare uid), say what a shell there would."""
    for name in OF_ANOTHER_REPOSITORY:
        environ.pop(name, None)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        environ["LOGNAME"] = str(os.getuid())
    try:
        Path.home()
    except RuntimeError:
        environ["HOME"] = "/"
