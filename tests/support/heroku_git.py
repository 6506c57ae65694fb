"""Heroku's git and its router beside the stand-in: a push is built, released, and answers.

Git's own HTTP server does the talking and asks for the token. The repository's hook has the
stand-in make the release before the push is accepted, as Heroku does.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from . import heroku, ports
from .git_origin import GitOrigin
from .tools import program, system_python

_HOOK = """\
#!{python} -SE
import os
import sys
from urllib.error import HTTPError
from urllib.request import urlopen
objects = os.environ["GIT_OBJECT_DIRECTORY"]
for line in sys.stdin:
    old, new, ref = line.split()
    try:
        print(urlopen("{url}/built", data=f"{{new}} {{ref}} {{objects}}".encode()).read().decode())
    except HTTPError as error:
        sys.exit(error.read().decode())
"""
RELEASE_LOG = "migrating\nFATAL: relation gigs does not exist\n"


class HerokuGit:
    """The git server of one stand-in's application, and where the application answers."""

    def __init__(self, platform: heroku.HerokuStandIn, directory: Path) -> None:
        self.platform = platform
        self.port = ports.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.repository = directory / f"{platform.app['name']}.git"
        self.refuses = False
        """Whether the next build fails."""
        self.crashes = False
        """Whether the dynos of the next release crash."""
        self.pushes: list[str] = []
        """The commits that were pushed, with the branch."""
        self._slugs: dict[str, str] = {}
        self._server: ThreadingHTTPServer | None = None
        self._git("init", "-q", "--bare", "-b", "main", str(self.repository))
        hook = self.repository / "hooks" / "pre-receive"
        hook.write_text(_HOOK.format(python=system_python(), url=self.url))
        hook.chmod(0o755)

    def serves(self, origin: GitOrigin) -> None:
        """Have a working copy find this server where it looks for Heroku's."""
        origin.git("config", f"url.{self.url}/.insteadOf", "https://git.heroku.com/")

    def built(self, commit: str, branch: str, objects: str) -> str:
        """Build and release a commit whose objects may still be set aside in the directory
        `objects`, for the push is not accepted yet. Raises ValueError when the build fails."""
        self.pushes.append(f"{commit} {branch}")
        if self.refuses:
            raise ValueError(" !     Push rejected, failed to compile Node.js app.")
        slug = heroku.identifier(f"slug {commit}")
        self._slugs[slug] = commit
        self.platform.slugs[slug] = self._archive(commit, objects)
        if self.crashes:
            self.platform.crashing.add(slug)
        self.crashes = False
        made = self.platform.release(f"Deploy {commit[:8]}", slug=slug)
        made["output_stream_url"] = f"{self.url}/output"
        return f"-----> Build succeeded!\n       Released v{made['version']}"

    @property
    def running(self) -> str:
        """The commit that the application's current release was built from."""
        return self._slugs.get(self.platform.current["slug"]["id"], "")

    def health(self) -> tuple[int, str]:
        """What the application answers."""
        up = any(dyno["state"] == "up" for dyno in self.platform.dynos.values())
        words = {"status": "ok" if up else "application error", "commit": self.running}
        return 200 if up else 503, json.dumps(words)

    def __enter__(self) -> Self:
        self._server = _Server(self)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        ports.release(self.port)

    def _archive(self, commit: str, objects: str) -> bytes:
        accepted = str(self.repository / "objects")
        places = {"GIT_OBJECT_DIRECTORY": objects, "GIT_ALTERNATE_OBJECT_DIRECTORIES": accepted}
        return subprocess.run(
            [program("git"), "-C", str(self.repository), "archive", commit],
            env={**os.environ, **places},
            check=True,
            capture_output=True,
        ).stdout

    def _git(self, *arguments: str) -> None:
        subprocess.run([program("git"), *arguments], check=True, capture_output=True)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, git: HerokuGit) -> None:
        super().__init__(("127.0.0.1", git.port), _Handler)
        self.git = git


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/health":
            self._say(*self.server.git.health())
        elif self.path == "/output":
            assert "Authorization" not in self.headers, "the token goes to Heroku alone"
            self._say(200, RELEASE_LOG)
        else:
            self._git()

    def do_POST(self) -> None:
        if self.path != "/built":
            self._git()
            return
        commit, ref, objects = self._body().decode().split(maxsplit=2)
        branch = ref.removeprefix("refs/heads/")
        try:
            self._say(200, self.server.git.built(commit, branch, objects))
        except ValueError as error:
            self._say(422, str(error))

    def _git(self) -> None:
        """Let git's own server answer whoever knows the token."""
        token = f"backout:{self.server.git.platform.token}".encode()
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(token).decode()}":
            self._body()
            self._say(401, "", {"WWW-Authenticate": 'Basic realm="Heroku"'})
            return
        asked, body = urlsplit(self.path), self._body()
        environment = {
            "GIT_PROJECT_ROOT": str(self.server.git.repository.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "backout",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": asked.path,
            "QUERY_STRING": asked.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            [program("git"), "http-backend"], env=environment, input=body, capture_output=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200 OK").split()[0])
        self._say(status, content, headers)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, status: int, text: str | bytes, headers: dict[str, str] | None = None) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
