"""A bare origin and a working copy of it that holds the sample service."""

from __future__ import annotations

import base64
import functools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import ports, sample_app
from .guard import guard
from .sample_app import Behaviour
from .tools import program


class GitOrigin:
    """Release 1 of the service is committed and pushed when the object is made."""

    def __init__(self, directory: Path, branch: str = "main", *, anew: bool = False) -> None:
        """Copied from one that was made before, unless it is made `anew`: git need not start
        a dozen times."""
        self.branch = branch
        self.origin = directory / "origin.git"
        self.copy = directory / "copy"
        self.version = 1
        if anew:
            self._make(directory, branch)
        else:
            self._copy(_made(branch), directory)

    def _copy(self, made: Path, directory: Path) -> None:
        shutil.copytree(made, directory, dirs_exist_ok=True, symlinks=True)
        config = self.copy / ".git" / "config"
        config.write_text(config.read_text().replace(str(made), str(directory)))
        self.git("update-index", "-q", "--refresh")  # it goes by inodes, which are others now

    def _make(self, directory: Path, branch: str) -> None:
        self.origin.mkdir(parents=True)
        self._git_in(self.origin, "init", "-q", "--bare", "-b", branch)
        self._git_in(directory, "clone", "-q", str(self.origin), str(self.copy))
        self.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.invalid")
        self.change("healthy")
        self.commit("Release 1")
        self.git("push", "-q", "-u", "origin", branch)

    def git(self, *arguments: str) -> str:
        """Run git in the working copy and return what it printed."""
        return self._git_in(self.copy, *arguments)

    def change(self, behaviour: Behaviour) -> None:
        """Rewrite the service in the working copy, without a commit."""
        sample_app.write(self.copy, str(self.version), behaviour)
        (self.copy / "RELEASE").write_text(f"{self.version}\n")

    def good_change(self) -> str:
        """Write the next release, a healthy one, into the working copy; return its number."""
        self.version += 1
        self.change("healthy")
        return str(self.version)

    def bad_change(self, kind: Behaviour = "crash-at-start") -> str:
        """Write the next release, one that misbehaves, into the working copy; return its number."""
        self.version += 1
        self.change(kind)
        return str(self.version)

    def commit(self, message: str) -> str:
        """Commit everything in the working copy and return the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.head()

    def push(self) -> None:
        self.git("push", "-q", "origin", self.branch)

    def head(self) -> str:
        """The working copy's commit."""
        return self.git("rev-parse", "HEAD").strip()

    def published(self) -> str:
        """The origin's commit."""
        return self._git_in(self.origin, "rev-parse", self.branch).strip()

    def clone(self, target: Path) -> Path:
        """Check the origin out somewhere, as on a host."""
        self._git_in(self.origin, "clone", "-q", "-b", self.branch, str(self.origin), str(target))
        return target

    def _git_in(self, directory: Path, *arguments: str) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            [program("git"), *arguments],
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout


@functools.cache
def _made(branch: str) -> Path:
    """One that nobody changes, for as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="origin-", dir="/tmp")
    guard.add(["rm", "-rf", folder])
    GitOrigin(Path(folder), branch, anew=True)
    for sample in Path(folder).rglob("hooks/*.sample"):
        sample.unlink()
    return Path(folder)


def every_file(directory: Path) -> list[Path]:
    """All files below a directory."""
    return [path for path in directory.rglob("*") if path.is_file()]


@contextmanager
def served(repository: Path, user: str, password: str) -> Iterator[str]:
    """Serve a bare repository over HTTP to who knows the password; yields its address."""
    port = ports.free_port()
    subprocess.run(["git", "-C", str(repository), "update-server-info"], check=True)
    word = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Files(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Authorization") == word:
                return super().do_GET()
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            return self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Files, directory=str(repository))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{port}/"
        server.shutdown()
    ports.release(port)
