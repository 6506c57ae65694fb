"""A machine: its disk, what runs on it, its clocks; and the service that is deployed there."""

from __future__ import annotations

from proof.worlds.baton import Baton
from proof.worlds.files import Disk, File, Folder, NoSpace
from proof.worlds.process import Process, Stream
from proof.worlds.programs import PROGRAMS, Program
from proof.worlds.service import Service, served
from proof.worlds.threads import START

EPOCH = START.timestamp()
NOTES = (".start", ".end", ".out", ".err", ".void")


class Machine:
    """One host, or the machine of an operator."""

    def __init__(self, baton: Baton, name: str, service: Service | None = None) -> None:
        """`service` is what its steps act on: its own, unless it is given one."""
        self.baton = baton
        self.name = name
        self.home = "/root"
        self.disk = Disk()
        for path in ("/root", "/srv"):
            self.disk.make(path, self.disk.root)
        self.skew = 0.0
        """Seconds by which its wall clock is wrong."""
        self.up = True
        self.boots = 1
        self._since = 0.0
        self._pids = 1000
        self.processes: dict[int, Process] = {}
        self.service = service or Service(name)
        self.programs: dict[str, Program] = {**PROGRAMS, "work": served}

    # --- clocks --------------------------------------------------------------------------------

    @property
    def boot(self) -> str:
        return f"{self.name}-boot{self.boots}"

    def wall(self) -> float:
        return EPOCH + self.baton.now + self.skew

    def point(self) -> None:
        """Others may go on here."""
        self.baton.point()

    # --- processes -----------------------------------------------------------------------------

    def start(self, text: str, out: Stream, err: Stream) -> Process:
        """A shell that runs a text."""
        self._pids += 1
        process = Process(self, self._pids, out, err)
        self.processes[process.pid] = process
        self.baton.start(process, lambda: self._live(process, text))
        return process

    def _live(self, process: Process, text: str) -> None:
        try:
            process.live(text)
        finally:
            self._buried(process)

    def _buried(self, process: Process) -> None:
        self.processes.pop(process.pid, None)
        self.service.left(process)

    def end(self, process: Process) -> None:
        """Its group is killed."""
        self._buried(process)
        self.baton.kill(process)

    def power_off(self, *, loses: bool) -> None:
        """All is over at once; notes that were not synced may be lost."""
        self.up = False
        for process in list(self.processes.values()):
            self.end(process)
        for folder, name in self.disk.fresh if loses else ():
            if name.endswith(NOTES) and name in folder.names and self.baton.random.random() < 0.5:
                self.disk.remove(folder, name)
        self.disk.fresh.clear()

    def power_on(self) -> None:
        self.boots += 1
        self._since = self.baton.now
        self.up = True
        self.service.began()

    # --- files ---------------------------------------------------------------------------------

    def text(self, path: str, start: Folder) -> str | None:
        """What a file says; None where there is none."""
        if path.startswith("/proc/"):
            return self._proc(path)
        self.point()
        found = self.disk.find(path, start)
        return found.text if isinstance(found, File) else None

    def _proc(self, path: str) -> str | None:
        if path == "/proc/uptime":
            return f"{self.baton.now - self._since + 100:.2f} 0.00\n"
        if path == "/proc/sys/kernel/random/boot_id":
            return self.boot + "\n"
        if path == "/proc/sys/kernel/hostname":
            return self.name + "\n"
        pid = path.split("/")[2]
        process = self.processes.get(int(pid)) if pid.isdecimal() else None
        if process is None or not path.endswith("/stat"):
            return None
        rest = " ".join(["0"] * 16)
        return f"{pid} (sh) S 1 {pid} {rest} {process.began} 0\n"

    def found(self, path: str, start: Folder) -> File | Folder | None:
        """What a path names."""
        if path == "/proc/self/stat":
            return File(0.0)
        return self.disk.find(path, start)

    def matching(self, pattern: str, start: Folder) -> list[str]:
        if pattern.startswith("/proc/"):
            return [f"/proc/{pid}/stat" for pid in self.processes]
        return self.disk.matching(pattern, start)

    def opened(self, path: str, start: Folder, mark: str, *, careful: bool) -> File | None:
        """A file to write into; None where it cannot be."""
        self.point()
        holder, name = self.disk.place(path, start)
        if holder is None:
            return None
        found = holder.names.get(name)
        if isinstance(found, Folder) or (found is not None and careful and mark == ">"):
            return None
        if found is None:
            found = File(self.wall())
            holder.names[name] = found
            self.disk.fresh.append((holder, name))
        elif mark not in (">>", "<>"):
            self.disk.set(found, "", self.wall())
        self.point()
        return found

    def put(self, path: str, text: str) -> None:
        """A whole file. Raises NoSpace."""
        holder, name = self.disk.place(path, self.disk.root)
        if holder is None:
            raise NoSpace(f"{path}: no such folder")
        file = File(self.wall())
        self.disk.set(file, text, self.wall())
        holder.names[name] = file
