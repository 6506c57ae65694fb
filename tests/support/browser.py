"""A real browser: Debian's Chromium without a window, driven over its DevTools pipe."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .guard import guard
from .tools import node_modules, program, system_python
from .wait import eventually

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe"),
)

_PLUGGED = """
import fcntl, os, sys
reading, writing = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(reading, 3), os.dup2(writing, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads its commands from descriptor 3 and answers on 4."""


class Browser:
    """One window with one page. Whatever the page logs, asks or runs into is kept."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        profile = directory / "profile"
        ours, theirs = os.pipe(), os.pipe()  # what we say, what it says
        argv = [program("chromium"), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with (directory / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [system_python(), "-c", _PLUGGED, str(ours[0]), str(theirs[1]), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=(ours[0], theirs[1]),
                start_new_session=True,
            )
        self._token = guard.add(["kill", "-KILL", "--", f"-{self._process.pid}"])
        os.close(ours[0])
        os.close(theirs[1])
        self._out = os.fdopen(ours[1], "wb", buffering=0)
        self._in = os.fdopen(theirs[0], "rb", buffering=0)
        self._unread = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        pages = self.call("Target.getTargets")["targetInfos"]
        page = next(each["targetId"] for each in pages if each["type"] == "page")
        found = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.call(f"{domain}.enable")

    # --- the protocol ----------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One DevTools command, and what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            chunk = self._in.read(1 << 20)
            assert chunk, "the browser is gone"
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    # --- what tests say --------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Go there, and wait until all of it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        eventually(
            lambda: self.run("document.readyState === 'complete' && location.href") == url,
            within=60,
            saying=f"{url} loads",
            ignoring=(OSError, AssertionError),
        )

    def run(self, expression: str) -> Any:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int = 800, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def prefer(self, scheme: str) -> None:
        """`dark` or `light`."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def style(self, selector: str, name: str) -> str:
        """The computed value of a property of the first element that matches."""
        found = f"getComputedStyle(document.querySelector({json.dumps(selector)}))"
        return str(self.run(f"{found}.getPropertyValue({json.dumps(name)})"))

    def screenshot(self, path: Path) -> Path:
        """The whole page as it looks."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def axe(self) -> list[Mapping[str, Any]]:
        """The violations that axe-core finds, each with its elements."""
        self.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8"))
        found: list[Mapping[str, Any]] = self.run(
            "axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => "
            "({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200) + ' ' +"
            " n.failureSummary)})))"
        )
        return found

    def asked(self) -> list[str]:
        """Every URL that the page asked for, and was let."""
        self.run("0")
        told = [(event.get("method"), event.get("params", {})) for event in self.events]
        refused = {
            params["requestId"]
            for method, params in told
            if method == "Network.loadingFailed" and params.get("blockedReason") == "csp"
        }
        return [
            params["request"]["url"]
            for method, params in told
            if method == "Network.requestWillBeSent" and params["requestId"] not in refused
        ]

    def complaints(self) -> list[str]:
        """What was logged, thrown or asked in a dialog: a page without script has none."""
        self.run("0")
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        dialogs = ("Page.javascriptDialogOpening",)
        return [
            json.dumps(event["params"])[:500]
            for event in self.events
            if event.get("method") in (*kinds, *dialogs)
        ]

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        guard.remove(self._token)
        self._out.close()
        self._in.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
