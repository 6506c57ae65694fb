"""A note that is imported twice in a process which hears of everything that its interpreter does.

Run in the project's directory. Prints as JSON what was run or reached, which files were written,
and which of them the import named. No interpreter is rid of such a hook again, and under one no two
threads can be traced: it is a process's own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from backout.api import _Quiet
from backout.commands.document import Document
from backout.commands.options import DocumentImport
from backout.project.project import Workplace

RUNNING = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.")
REACHING = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind", "urllib.")


class Listener:
    """Hears, while it listens."""

    def __init__(self) -> None:
        self.listening = False
        self.heard: list[str] = []
        self.written: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.listening:
            return
        if event.startswith((*RUNNING, *REACHING)):
            self.heard.append(f"{event} {arguments!r}")
        if event == "open" and isinstance(arguments[0], str) and set(str(arguments[1])) & {*"wxa+"}:
            self.written.append(arguments[0])


def main() -> None:
    listener, named = Listener(), []
    listener.listening = True
    for update in (False, True):
        options = DocumentImport(file="docs/note.md", update=update)
        screen = _Quiet(lambda _: None, yes=False)
        named += Document(Workplace(Path.cwd()), screen).import_(options).data["written"]
    listener.listening = False
    told = {"heard": listener.heard, "written": listener.written, "named": named}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
