"""The example application on the stand-in for Heroku: a dyno that runs what was pushed, and the
router before it."""

from __future__ import annotations

import http.client
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from . import ports
from .heroku import Answer, HerokuStandIn
from .process import Process
from .tools import SYSTEM_PATH, MissingTool

_HOP = {"connection", "transfer-encoding", "content-length"}


class Dynos(HerokuStandIn):
    """One web dyno, a real process. Each start unpacks the slug of the current release anew and
    runs the Procfile's line on a port of its own; `code` leads to what was unpacked last."""

    formation: ClassVar[tuple[str, ...]] = ("web.1",)

    def __init__(self, code: Path, config: Mapping[str, str]) -> None:
        self.code = code
        self.dyno_port = 0
        self._config = {name: config[name] for name in config if name not in ("HOST", "PORT")}
        self._process: Process | None = None
        self._starts = 0
        super().__init__("gigz-api")

    def restart(self, name: str | None = None) -> None:
        super().restart(name)
        self._end()
        slug = self.slugs.get(self.current["slug"]["id"])
        if slug is not None:
            self._run(self._unpack(slug))

    def answer(self, method: str, path: str, headers: Message, body: Any) -> Answer:
        """Answer with the dyno's real state, and the log that it wrote."""
        self._look()
        return super().answer(method, path, headers, body)

    def stop(self) -> None:
        self._end()
        super().stop()

    def _unpack(self, slug: bytes) -> Path:
        self._starts += 1
        app = self.code.parent / "dynos" / str(self._starts)
        with tarfile.open(fileobj=io.BytesIO(slug)) as archive:
            archive.extractall(app, filter="data")
        self.code.unlink(missing_ok=True)
        self.code.symlink_to(app)
        return app

    def _run(self, app: Path) -> None:
        node = shutil.which("node")
        if node is None:
            raise MissingTool("node")
        kind, _, command = (app / "Procfile").read_text().strip().partition(": ")
        assert kind == "web", "the Procfile's only process"
        self.dyno_port = ports.free_port()
        own = {"PATH": f"{Path(node).parent}:{SYSTEM_PATH}", "PORT": str(self.dyno_port)}
        self._process = Process(
            ["/bin/sh", "-c", command],
            log=self.code.parent / "dynos" / "log",
            env={"HOME": str(app), **self._config, **own},
            cwd=app,
        )

    def _look(self) -> None:
        if self._process is None:
            self.dynos["web.1"]["state"] = "crashed"
            return
        up = ports.accepts("127.0.0.1", self.dyno_port)
        waiting = "starting" if self._process.running else "crashed"
        self.dynos["web.1"]["state"] = "up" if up else waiting
        self.log = self._process.output(last=100_000)

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop()
            ports.release(self.dyno_port)
        self._process, self.dyno_port = None, 0


@contextmanager
def router(dynos: Dynos, port: int) -> Iterator[None]:
    """Hand every request at this port on to the dyno that runs."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Router", (_Router,), {"dynos": dynos}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Router(BaseHTTPRequestHandler):
    dynos: Dynos

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dyno = http.client.HTTPConnection("127.0.0.1", self.dynos.dyno_port, timeout=30)
        try:
            dyno.request(self.command, self.path, body, dict(self.headers.items()))
            answer = dyno.getresponse()
            self._say(answer.status, answer.read(), dict(answer.getheaders()))
        except (OSError, http.client.HTTPException):
            self._say(503, b"Application error", {"Content-Type": "text/html"})
        finally:
            dyno.close()

    def _say(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = _forward

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""
