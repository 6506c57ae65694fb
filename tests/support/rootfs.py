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

SAMPLE = Path(__file__).with_name("sample")

_ASK = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import app, encodings.idna, stringprep, traceback, unicodedata
files = {module.__file__: getattr(module, "__cached__", None) for module in sys.modules.values()
         if getattr(module, "__file__", None) and module.__name__ not in ("__main__", "app")}
print(json.dumps([os.path.realpath(sys.executable), sys.platlibdir, sys.version_info[:2], files]))
"""
"""What Python reads to run the sample service, and what that has been compiled to."""
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
        """Add a copy of a file (what links point to, not the links), as old as it is: Python
        compiles anew what is not as old as it was when it was compiled."""
        seen = source.stat()
        content = source.read_bytes()
        self._data(path or str(source).lstrip("/"), content, seen.st_mode & 0o777, seen.st_mtime)

    def data(self) -> bytes:
        """The archive."""
        self._tar.close()
        return self._buffer.getvalue()

    def _data(self, path: str, content: bytes, mode: int, changed: float = 0) -> None:
        if path in self._seen:
            return
        self.directory(path.rpartition("/")[0])
        self._add(path, tarfile.REGTYPE, mode, content=content, changed=changed)

    def _add(
        self,
        path: str,
        kind: bytes,
        mode: int,
        *,
        target: str = "",
        content: bytes = b"",
        changed: float = 0,
    ) -> None:
        self._seen.add(path)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
        entry.mtime = int(changed)
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
    """A shell, and Python with as much of its library as the sample service reads, compiled: a
    container starts as quickly as a process does here."""
    tree = skeleton()
    tree.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    tree.text("etc/group", "root:x:0:\n")
    executable, platform, version, files = _python()
    tree.copy(Path(executable), "usr/bin/python3")
    tree.directory(f"usr/{platform}/python{version[0]}.{version[1]}/lib-dynload")
    tree.copy(Path(program("busybox")), "usr/bin/busybox")
    for name in ("sh", "kill", "sleep", "cat", "ls", "ps", "true"):
        tree.link(f"usr/bin/{name}", "busybox")
    for source, compiled in files.items():
        tree.copy(Path(source))
        if compiled and Path(compiled).exists():
            tree.copy(Path(compiled))
    extensions = [Path(source) for source in files if source.endswith(".so")]
    for library in _libraries([Path(executable), *extensions]):
        tree.copy(library, "usr/" + str(library).lstrip("/").removeprefix("usr/"))
    return tree


def _python() -> tuple[str, str, tuple[int, int], dict[str, str | None]]:
    argv = [system_python(), "-S", "-E", "-c", _ASK, str(SAMPLE)]
    answer = subprocess.run(argv, capture_output=True, text=True, check=True)
    executable, platform, version, files = json.loads(answer.stdout)
    return executable, platform, version, files


def _libraries(binaries: Iterable[Path]) -> Iterator[Path]:
    done = subprocess.run(
        [program("ldd"), *map(str, binaries)], capture_output=True, text=True, check=False
    )
    for name in sorted(set(re.findall(r"\s(/\S+\.so\S*)", done.stdout))):
        if not name.endswith(":"):
            yield Path(name)
