"""A shell at work on a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from proof.worlds.baton import Life
from proof.worlds.commands import Leave, Return, Run
from proof.worlds.files import File, Folder, NoSpace
from proof.worlds.shell import said
from proof.worlds.words import NotTold, Word

if TYPE_CHECKING:
    from proof.worlds.machine import Machine


class Stream(Protocol):
    """Where text goes to."""

    def write(self, text: str) -> None: ...


class Source:
    """Where text comes from, line by line."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.at = 0

    def line(self) -> tuple[str, bool]:
        """The next line, and whether it is whole."""
        end = self.text.find("\n", self.at)
        if end < 0:
            rest, self.at = self.text[self.at :], len(self.text)
            return rest, False
        line, self.at = self.text[self.at : end], end + 1
        return line, True

    def rest(self) -> str:
        rest, self.at = self.text[self.at :], len(self.text)
        return rest

    def write(self, text: str) -> None:  # noqa: ARG002 - the seam's form
        raise NotTold("nobody writes there")


class Gathered:
    """Text that somebody reads later."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> None:
        self.parts.append(text)


class Nowhere:
    """`/dev/null`."""

    def write(self, text: str) -> None:
        """It is gone."""


class Into:
    """A file that was opened."""

    def __init__(self, machine: Machine, file: File) -> None:
        self.machine = machine
        self.file = file

    def write(self, text: str) -> None:
        self._put(self.file.text + text)

    def _put(self, text: str) -> None:
        self.machine.point()
        self.machine.disk.set(self.file, text, self.machine.wall())
        self.machine.point()


class Over(Into):
    """A file that was opened as it is, and is written from its begin on."""

    def __init__(self, machine: Machine, file: File) -> None:
        super().__init__(machine, file)
        self.at = 0

    def write(self, text: str) -> None:
        before, self.at = self.at, self.at + len(text)
        self._put(self.file.text[:before] + text + self.file.text[self.at :])


NOWHERE = Nowhere()


class Process(Life):
    """Runs one text; it leads a process group of its own, in which all that it starts is."""

    def __init__(self, machine: Machine, pid: int, out: Stream, err: Stream) -> None:
        super().__init__(f"{machine.name}:{pid}")
        self.machine = machine
        self.pid = pid
        self.began = round(machine.baton.now * 100) + pid
        self.vars: dict[str, str] = {"HOME": machine.home}
        self.args: list[str] = []
        self.functions: dict[str, Run] = {}
        self.descriptors: dict[int, Stream | Source] = {0: Source(), 1: out, 2: err}
        self.cwd: Folder = machine.disk.root
        self.code = 0
        self.asking = 0
        """Above zero, a command that fails is an answer."""
        self.asked = False
        """Whether the output of a command was asked for."""
        self.strict = False
        self.careful = False
        self.ends: int | None = None
        """Its exit status, once it has ended by itself."""

    def live(self, text: str) -> None:
        """From its first to its last command."""
        try:
            said(text, self)(self)
            self.ends = self.code
        except Leave as left:
            self.ends = left.code

    # --- commands ------------------------------------------------------------------------------

    def command(self, fields: list[str], values: list[tuple[str, Word]]) -> int:
        """A function, or a program, with values of its own. Raises Leave where a failure ends the
        shell."""
        if not fields:
            return 0
        before = {n: self.vars.get(n) for n, _ in values}
        for each, word in values:
            self.vars[each] = word.single(self)
        try:
            return self.ended(self.called(fields[0], fields[1:]))
        finally:
            for each, value in before.items():
                if value is None:
                    self.vars.pop(each, None)
                else:
                    self.vars[each] = value

    def called(self, name: str, args: list[str]) -> int:
        """A function, or a program."""
        body = self.functions.get(name)
        if body is None:
            program = self.machine.programs.get(name)
            if program is None:
                raise NotTold(f"{name} {' '.join(args)}")
            try:
                return program(self, args)
            except NoSpace as full:
                self.write(2, f"{name}: {full}\n")
                return 1
        mine, self.args = self.args, args
        try:
            return body(self)
        except Return as back:
            return back.code
        finally:
            self.args = mine

    def ended(self, code: int) -> int:
        """A command is over. Raises Leave where that ends the shell."""
        self.code = code
        if code and self.strict and not self.asking:
            raise Leave(code)
        return code

    def beneath(self, run: Run) -> int:
        """In a shell below this one."""
        kept = (self.vars, self.functions, self.args, self.cwd, self.strict, self.careful)
        self.vars, self.functions = dict(self.vars), dict(self.functions)
        try:
            return run(self)
        except Leave as left:
            return left.code
        finally:
            self.vars, self.functions, self.args, self.cwd, self.strict, self.careful = kept

    def output(self, run: Run) -> str:
        """What commands print, as `$(…)` has it."""
        self.code, text = self.apart(run, reads=None, gathers=True)
        self.asked = True
        return text.rstrip("\n")

    def apart(self, run: Run, *, reads: str | None, gathers: bool) -> tuple[int, str]:
        """In a shell below this one that reads something, and whose output is gathered."""
        before, gathered = self.descriptors, Gathered()
        self.descriptors = dict(before)
        if reads is not None:
            self.descriptors[0] = Source(reads)
        if gathers:
            self.descriptors[1] = gathered
        try:
            return self.beneath(run), "".join(gathered.parts)
        finally:
            self.descriptors = before

    # --- streams -------------------------------------------------------------------------------

    def write(self, number: int, text: str) -> None:
        stream = self.descriptors.get(number, NOWHERE)
        stream.write(text)

    def reads(self) -> Source:
        found = self.descriptors.get(0)
        return found if isinstance(found, Source) else Source()

    def redirect(self, number: int, mark: str, word: str) -> bool:
        """Whether it could be opened."""
        if mark == ">&":
            self.descriptors[number] = self.descriptors.get(int(word), NOWHERE)
            return True
        if mark == "<":
            text = self.machine.text(word, self.cwd)
            if text is None:
                self.write(2, f"sh: cannot open {word}: No such file\n")
                return False
            self.descriptors[number] = Source(text)
            return True
        if word == "/dev/null":
            self.descriptors[number] = NOWHERE
            return True
        file = self.machine.opened(word, self.cwd, mark, careful=self.careful)
        if file is None:
            self.write(2, f"sh: cannot create {word}\n")
            return False
        self.descriptors[number] = (Over if mark == "<>" else Into)(self.machine, file)
        return True

    def unopened(self, *, whole: bool) -> int:  # noqa: ARG002 - a group and a command fail alike
        return self.ended(2)

    def globbed(self, pattern: str) -> list[str]:
        return self.machine.matching(pattern, self.cwd)
