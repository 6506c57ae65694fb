"""The live screen: what runs now, as a tree; what has ended stays above it as plain text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text
from rich.tree import Tree

from backout.adapters.terminal.fitting import fitted
from backout.adapters.terminal.ui import Ui, clean, lines_of, one_line, title_of
from backout.model import Event, duration

_MARKS = {
    "done": ("✓", "green"),
    "pass": ("✓", "green"),
    "skipped": ("-", "dim"),
    "failed": ("✗", "bold red"),
    "fail": ("✗", "bold red"),
    "unreachable": ("✗", "bold red"),
    "warning": ("!", "bold yellow"),
    "note": ("·", "dim"),
}
_UNCLEAR = ("?", "bold yellow")
WATCH = "watch"
"""The place of the section that shows how the checks stand."""
_WELL = ("done", "pass", "skipped", "note", "running")
_ALARMS = (
    r"BACKING OUT IS INCOMPLETE|NOT FINISHED|NOT backed out|POINT OF NO RETURN"
    r"|UNHEALTHY|DIFFERS|MISSING|REFUSED"
)


@dataclass(slots=True)
class Row:
    """One step on one machine, one check, or one note. Its time is always to be seen."""

    title: str
    state: str
    host: str = ""
    seconds: float = 0.0
    since: float = 0.0
    detail: str = ""
    last: str = ""
    """What its command said last, while it runs."""
    key: tuple[str, ...] = ()
    spinner: Spinner = field(default_factory=lambda: Spinner("dots", style="cyan"))

    @property
    def said(self) -> str:
        return self.last if self.state == "running" else ""

    def mark(self, console: Console) -> Text:
        if self.state == "running":
            frame = self.spinner.render(console.get_time())
            return frame if isinstance(frame, Text) else Text("…")
        sign, style = _MARKS.get(self.state, _UNCLEAR)
        return Text(sign, style=style)

    def height(self) -> int:
        below = self.said or self.detail
        return 1 + (1 + below.count("\n") if below else 0)

    def tail(self, now: float) -> Text:
        """How it ended, and how long it took or has been taking."""
        seconds = now - self.since if self.state == "running" else self.seconds
        word = "" if self.state in (*_WELL, "warning") else f" {self.state}"
        return Text.assemble(
            (word, "bold red"), (f" {duration(seconds)}" if seconds else "", "dim")
        )


class Fitted:
    """A row on one line: when the screen is narrow its title gives way, not its time."""

    def __init__(self, row: Row, now: float, host: str = "") -> None:
        self.row, self.now, self.host = row, now, host

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        mark, tail = self.row.mark(console), self.row.tail(self.now)
        said = f": {self.row.said}" if self.host and self.row.said else ""
        title = Text.assemble(
            (f"{self.host}  " if self.host else "", "bold"), self.row.title, (said, "dim")
        )
        room = options.max_width - mark.cell_len - tail.cell_len - 1
        title.truncate(max(room, 1), overflow="ellipsis")
        line = Text.assemble(mark, " ", title, tail, no_wrap=True)
        line.truncate(options.max_width)
        yield line


@dataclass(slots=True)
class Section:
    """One phase, or one batch."""

    title: str
    since: float
    place: str = ""
    rows: list[Row] = field(default_factory=list)
    rows_by_key: dict[tuple[str, str], Row] = field(default_factory=dict)
    """Of a section that shows how things stand."""

    def find(self, key: tuple[str, ...]) -> Row | None:
        """The row that is still running under this key."""
        running = (row for row in reversed(self.rows) if row.state == "running")
        return next((row for row in running if row.key == key), None)

    def by_host(self) -> dict[str, list[Row]]:
        hosts: dict[str, list[Row]] = {}
        for row in self.rows:
            hosts.setdefault(row.host, []).append(row)
        return hosts

    def tree(self, now: float, *, ended: bool) -> Tree:
        """All of it."""
        tree = Tree(self._head(now, ended))
        for host, rows in self.by_host().items():
            branch = tree.add(Text(host, style="bold", no_wrap=True)) if host else tree
            for row in rows:
                leaf = branch.add(Fitted(row, now))
                if row.said:
                    leaf.add(Text(row.said, style="dim", no_wrap=True, overflow="ellipsis"))
                elif row.detail:
                    leaf.add(Text(row.detail, style="" if row.state in _WELL else "red"))
        return tree

    def digest(self, now: float, height: int) -> Tree:
        """What fits: a line for each host, those at work or in trouble first."""
        tree = Tree(self._head(now, False))
        latest = {host: self._telling(rows) for host, rows in self.by_host().items()}
        waiting = sorted(latest.items(), key=lambda each: _RANK.get(each[1].state, 0))
        for host, row in waiting[: max(1, height - 2)]:
            tree.add(Fitted(row, now, host))
        left = len(waiting) - max(1, height - 2)
        if left > 0:
            tree.add(Text(f"… and {left} more", style="dim"))
        return tree

    def _telling(self, rows: list[Row]) -> Row:
        """The one line for a host: what came last; where all stand side by side, the worst."""
        return min(rows, key=lambda row: _RANK.get(row.state, 0)) if self.rows_by_key else rows[-1]

    def height(self) -> int:
        return 1 + len(self.by_host()) + sum(map(Row.height, self.rows))

    def _head(self, now: float, ended: bool) -> Text:
        took = "" if ended else f" {duration(now - self.since)}"
        return Text.assemble((self.title, "bold"), (took, "dim"), no_wrap=True, overflow="ellipsis")


_RANK = {"running": 1, "done": 2, "pass": 2, "skipped": 2, "note": 3}


class Screen(Ui):
    """A live tree of the phase at hand. Phases that have ended are ordinary text above it."""

    tick_every = 0.125
    live = True

    def __init__(self, out: TextIO, err: TextIO, *, color: bool = True) -> None:
        super().__init__(out, err)
        self._color = color
        self._console = Console(
            file=self.out, force_terminal=True, no_color=not color, highlight=False, markup=False,
            emoji=False, legacy_windows=False,
        )  # fmt: skip
        self._live: Live | None = None
        self._section: Section | None = None

    # --- events --------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        if event.kind in ("phase", "batch"):
            self._begin(title_of(event))
            return
        if event.kind == "state":
            self._stand(event)
            return
        if event.kind == "saying":
            self._say(event)
            return
        if event.kind == "output":
            self._console.print(Text("\n".join(lines_of(event)), style="dim"), soft_wrap=True)
            return
        if self._section and self._section.place == WATCH:
            self._console.print(Text("\n".join(lines_of(event))), soft_wrap=True)
            return
        section = self._section_for(event)
        key = (event.kind, event.host, event.step or event.text, event.phase)
        row = section.find(key)
        if row is None:
            row = Row(title_of(event), "", one_line(event.host), since=self.monotonic(), key=key)
            section.rows.append(row)
        row.state = event.state or event.kind
        row.seconds = event.seconds
        row.detail = clean(event.detail).strip()

    def _say(self, event: Event) -> None:
        """What the command that runs on that host said last."""
        rows = reversed(self._section.rows if self._section else ())
        at_work = (row for row in rows if row.state == "running" and row.host == event.host)
        if row := next(at_work, None):
            row.last = one_line(event.text)

    def _stand(self, event: Event) -> None:
        """How a check stands now: its line is always the same one."""
        section = self._section
        if section is None or section.place != WATCH:
            section = self._begin("watching", WATCH)
        row = section.rows_by_key.get(key := (event.host, event.text))
        if not event.state:
            section.rows = [each for each in section.rows if each is not row]
            section.rows_by_key.pop(key, None)
            return
        if row is None:
            row = section.rows_by_key[key] = Row(title_of(event), "", one_line(event.host))
            section.rows.append(row)
        row.state, row.seconds = event.state, event.seconds
        row.detail = clean(event.detail).strip()

    def _section_for(self, event: Event) -> Section:
        """The phase at hand, or a new one when this plainly does not belong there."""
        place = "finally" if event.phase == "finally" else ""
        if event.kind == "step" and event.phase == "do" and not event.host:
            place = "here"
        titles = {"here": "on this machine", "finally": "at the end"}
        if self._section is None or (place and self._section.place != place):
            title = "checks" if event.kind == "check" else titles.get(place, "running")
            return self._begin(title, place)
        return self._section

    def _begin(self, title: str, place: str = "") -> Section:
        self._settle()
        self._section = Section(title, self.monotonic(), place)
        return self._section

    # --- drawing -------------------------------------------------------------------------

    def tick(self) -> None:
        if self._section is None:
            return
        live = self._live or self._start()
        live.update(self._view(self._section), refresh=True)

    def _view(self, section: Section) -> Tree:
        now, height = self.monotonic(), self._console.size.height - 1
        if section.height() <= height:
            return section.tree(now, ended=False)
        return section.digest(now, height)

    def _settle(self) -> None:
        """What has ended becomes plain text."""
        section, self._section = self._section, None
        if section is None:
            return
        if self._live:
            self._live.update(Text(""), refresh=True)
        self._console.print(section.tree(self.monotonic(), ended=True))

    def _start(self) -> Live:
        self._live = Live(
            Text(""), console=self._console, auto_refresh=False, transient=True,
            redirect_stdout=False,
        )  # fmt: skip
        self._live.start()
        return self._live

    def _stop(self) -> None:
        live, self._live = self._live, None
        if live:
            live.update(Text(""))
            live.stop()

    def finish(self) -> None:
        self._settle()
        self._stop()

    def stand_still(self) -> None:
        """Show what has ended, and stop drawing; the next tick starts again."""
        section = self._section
        if section:
            running = [row for row in section.rows if row.state == "running"]
            section.rows = [row for row in section.rows if row.state != "running"]
            self._settle()
            self._section = Section(section.title, section.since, section.place, running)
        self._stop()

    # --- text ----------------------------------------------------------------------------

    def print(self, text: str) -> None:
        with self.lock:
            self.finish()
            width = self._console.size.width
            self._console.print(self._styled(fitted(clean(text), width)), soft_wrap=True)

    def error(self, text: str) -> None:
        with self.lock:
            self.finish()
            if not self.err.isatty():
                self.write(self.err, clean(text))
                return
            first, _, rest = clean(text).partition("\n")
            console = Console(file=self.err, no_color=not self._color, highlight=False)
            told = Text.assemble((first, "bold red"), f"\n{rest}" if rest else "")
            console.print(told, soft_wrap=True)

    def _styled(self, text: str) -> Text:
        styled = Text(text)
        styled.highlight_regex(_ALARMS, "bold red")
        styled.highlight_regex(r"(?m)^(?:failed|refused|differs|unfinished)\b", "bold red")
        styled.highlight_regex(r"(?m)^  (?:fail|error|inconclusive)\b", "bold red")
        styled.highlight_regex(r"(?m)^  (?:pass|ok)\b", "green")
        styled.highlight_regex(r"(?m)^next:  .*", "bold")
        return styled
