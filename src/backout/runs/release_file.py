"""The file on a host that says which release is there; `status` holds it against the ledger."""

from __future__ import annotations

import json
import shlex

from backout.model import Command, Release, Result
from backout.ports import Transport

NAME = "release.json"


def write(transport: Transport, home: str, release: Release, run: str) -> Result:
    """Put the release on record; a torn record reads as none. Raises Unreachable."""
    text = json.dumps({"number": release.number, "commit": release.commit, "run": run})
    folder, path = _path(home), _path(f"{home}/{NAME}")
    script = f"[ -d {folder} ] || mkdir -p {folder}\nprintf '%s\\n' {shlex.quote(text)} > {path}"
    return transport.run(Command(script, timeout=60.0, brief=True))


def read(transport: Transport, home: str) -> Release | None:
    """The release on record, or None. Raises Unreachable."""
    path = _path(f"{home}/{NAME}")
    found = transport.run(Command(f"cat {path} 2>/dev/null || true", timeout=60.0, brief=True))
    try:
        data = json.loads(found.stdout)
        return Release(int(data["number"]), str(data["commit"]))
    except (ValueError, KeyError, TypeError):
        return None


def _path(path: str) -> str:
    """A path as shell text; `~/` is the login home."""
    home = path.startswith("~/")
    return f'"$HOME"/{shlex.quote(path[2:])}' if home else shlex.quote(path)
