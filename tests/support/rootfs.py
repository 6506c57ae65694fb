"""File trees for container images, made from the machine that the tests run on."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .tools import program, system_python

_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3"
    r"|dist-packages|site-packages|config-[^/]*)(/|$)"
)
_DIRECTORIES = ("usr", "etc", "proc", "sys", "dev", "tmp", "run", "root", "app", "opt", "srv")
_VAR_DIRECTORIES = ("var/log", "var/lib", "var/tmp")


class Tree:
    """A file tree that is collected in memory as a tar archive."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - closed by data()
        self._seen: set[str] = set()

    def directory(self, path: str, mode: int = 0o755) -> None:
        """Add a directory and its parents."""
        parent = path.rpartition("/")[0]
        if parent:
            self.directory(parent)
        if path not in self._seen:
            self._add(path, tarfile.DIRTYPE, mode)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        if "/" in path:
            self.directory(path.rpartition("/")[0])
        self._add(path, tarfile.SYMTYPE, 0o777, target=target)

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """Add a file with this content."""
        self._data(path, content.encode(), mode)

    def copy(self, source: Path, path: str | None = None) -> None:
        """Add a copy of a file (what links point to, not the links)."""
        mode = source.stat().st_mode & 0o777
        self._data(path or str(source).lstrip("/"), source.read_bytes(), mode)

    def data(self) -> bytes:
        """The archive."""
        self._tar.close()
        return self._buffer.getvalue()

    def _data(self, path: str, content: bytes, mode: int) -> None:
        if path in self._seen:
            return
        self.directory(path.rpartition("/")[0])
        self._add(path, tarfile.REGTYPE, mode, content=content)

    def _add(
        self, path: str, kind: bytes, mode: int, *, target: str = "", content: bytes = b""
    ) -> None:
        self._seen.add(path)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
        self._tar.addfile(entry, io.BytesIO(content))


def skeleton() -> Tree:
    """The directories that every image has, with the merged /usr layout."""
    tree = Tree()
    for path in (*_DIRECTORIES, *_VAR_DIRECTORIES):
        tree.directory(path, 0o1777 if path in ("tmp", "var/tmp") else 0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        tree.link(name, f"usr/{name}")
        tree.directory(f"usr/{name}")
    tree.link("var/run", "../run")
    return tree


def python_tree() -> Tree:
    """Python with its standard library, and a shell: enough to run the sample service."""
    tree = skeleton()
    tree.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    tree.text("etc/group", "root:x:0:\n")
    python = _python()
    tree.copy(Path(python["executable"]), "usr/bin/python3")
    tree.copy(Path(program("busybox")), "usr/bin/busybox")
    for name in ("sh", "kill", "sleep", "cat", "ls", "ps", "true"):
        tree.link(f"usr/bin/{name}", "busybox")
    stdlib = Path(python["stdlib"])
    extensions = []
    for path in sorted(stdlib.rglob("*")):
        if path.is_file() and not _LEFT_OUT.search(str(path.relative_to(stdlib))):
            tree.copy(path)
            extensions += [path] if path.suffix == ".so" else []
    for library in _libraries([Path(python["executable"]), *extensions]):
        tree.copy(library, "usr/" + str(library).lstrip("/").removeprefix("usr/"))
    return tree


def _python() -> dict[str, str]:
    ask = (
        "import json, os, sys, sysconfig; print(json.dumps({'stdlib': sysconfig.get_path('stdlib'),"
        " 'executable': os.path.realpath(sys.executable)}))"
    )
    answer = subprocess.run(
        [system_python(), "-S", "-E", "-c", ask], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def _libraries(binaries: Iterable[Path]) -> Iterator[Path]:
    done = subprocess.run(
        [program("ldd"), *map(str, binaries)], capture_output=True, text=True, check=False
    )
    for name in sorted(set(re.findall(r"\s(/\S+\.so\S*)", done.stdout))):
        if not name.endswith(":"):
            yield Path(name)
