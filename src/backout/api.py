"""Backout from Python: the verbs of the command line, with typed words in and typed reports out.

    >>> from backout import Project
    >>> project = Project("/srv/ops")                            # doctest: +SKIP
    >>> report = project.deploy("prod", message="Fix the timeout")  # doctest: +SKIP
    >>> report.outcome                                           # doctest: +SKIP
    <Outcome.SUCCEEDED: 'succeeded'>

A call does what the command would: it takes the lock, proves the result, and goes back when that is
red. Nobody is asked: a protected target or a step that cannot be undone needs `yes=True`. While a
call runs, the process's directory is the project's, as on the command line, and what a git hook
says of another repository (`GIT_DIR`) is put aside. Calls of one project may run beside each
other, a call of another project meanwhile raises Refused.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from backout.commands import options as words
from backout.commands.called import checked, worded
from backout.commands.main import do
from backout.commands.options import Options
from backout.errors import Mistakes, Refused
from backout.model import Event
from backout.model.repository import OF_ANOTHER_REPOSITORY
from backout.ports import Operator
from backout.project.project import Workplace
from backout.reports.approvals import ApprovalReport
from backout.reports.objects import History, HistoryLine
from backout.reports.plans import PlanReport
from backout.reports.report import Report, VerifyReport
from backout.reports.states import Statuses, StatusReport
from backout.reports.told import Told

Told_ = TypeVar("Told_", bound=Told)


class Project:
    """A directory with `inventories/` and `runbooks/`, and the verbs that act on it.

    >>> Project("/nowhere").root.is_absolute()
    True
    """

    @checked
    def __init__(
        self, directory: str | Path = ".", *, listen: Callable[[Event], None] = lambda _: None
    ) -> None:
        """`listen` hears of every event as it happens, from several threads. What it raises is
        logged (`backout`), and changes nothing of the run."""
        self._start = Path(directory).absolute()
        self._listen = listen

    @property
    def root(self) -> Path:
        """The project's directory: the nearest one at or above the one that was given."""
        return Workplace(self._start).root

    # --- verbs that change a target ------------------------------------------------------

    @checked
    def deploy(
        self,
        target: str | None = None,
        *,
        message: str | None = None,
        hosts: Sequence[str] | None = None,
        params: Mapping[str, object] | None = None,
        accept_red: Sequence[str] = (),
        yes: bool = False,
    ) -> Report:
        """Run `runbooks/deploy.yaml`: ship, prove, or back out. Raises Mistakes, for `hosts` that
        are none too; a run that was refused, backed out or interrupted is a report."""
        return self._run(
            words.Deploy(
                target=target,
                message=message,
                **_chosen(hosts, params, accept_red),
                yes=yes,
            )
        )

    @checked
    def run(
        self,
        runbook: str,
        target: str | None = None,
        *,
        hosts: Sequence[str] | None = None,
        params: Mapping[str, object] | None = None,
        accept_red: Sequence[str] = (),
        yes: bool = False,
    ) -> Report:
        """Run any runbook, as `deploy` does."""
        return self._run(
            words.Run(
                runbook=runbook,
                target=target,
                **_chosen(hosts, params, accept_red),
                yes=yes,
            )
        )

    @checked
    def rollback(self, target: str, *, to: str | int | None = None, yes: bool = False) -> Report:
        """Back to the last known-good release, or to the number or commit `to`. Raises Refused
        when there is none, or when a run in between cannot be undone."""
        return self._run(words.Rollback(target=target, to=None if to is None else str(to), yes=yes))

    @checked
    def resume(self, target: str, *, yes: bool = False) -> Report:
        """Finish an unfinished run. Raises Refused when there is none."""
        return self._run(words.Resume(target=target, yes=yes))

    @checked
    def abort(self, target: str, *, yes: bool = False) -> Report:
        """Back an unfinished run out. Raises Refused when there is none."""
        return self._run(words.Abort(target=target, yes=yes))

    @checked
    def approve(self, run: str, *, refuse: str | None = None, yes: bool = False) -> ApprovalReport:
        """Say yes, or for the reason `refuse` no, to what somebody else's run asks; as the person
        whose process this is. Raises Mistakes when nothing was asked under that name, and Refused
        when it is your own, expired, answered or used, or without `yes`."""
        return self._told(words.Approve(run=run, refuse=refuse, yes=yes), ApprovalReport)

    # --- verbs that look -----------------------------------------------------------------

    @checked
    def verify(self, target: str | None = None, *, checks: Sequence[str] = ()) -> VerifyReport:
        """Run the target's checks once. Raises Mistakes for a check that it does not have."""
        return self._told(words.Verify(target=target, check=tuple(checks)), VerifyReport)

    @checked
    def show(self, run: str) -> Report:
        """One run whole. Raises Mistakes when there is none of that name."""
        return self._told(words.Show(run=run), Report)

    @checked
    def plan(self, target: str | None = None, *, runbook: str | None = None) -> PlanReport:
        """What would run where, and what lies between the releases; nothing is changed. Raises
        Mistakes."""
        return self._told(words.Plan(target=target, runbook=runbook), PlanReport)

    @checked
    def status(self, target: str) -> StatusReport:
        """What runs on a target, asked of its hosts. Raises Mistakes when there is none of that
        name."""
        return self._told(words.Status(target=target), StatusReport)

    def statuses(self) -> tuple[StatusReport, ...]:
        """What runs on each target that was deployed from here. Raises Mistakes when none was, and
        none is there."""
        told = self._do(words.Status())
        return told.targets if isinstance(told, Statuses) else (self._typed(told, StatusReport),)

    @checked
    def history(self, target: str | None = None) -> tuple[HistoryLine, ...]:
        """Past runs, newest first: of one target, or of all."""
        return self._told(words.History(target=target), History).runs

    # --- events --------------------------------------------------------------------------

    @checked
    @contextmanager
    def events(self, verb: Callable[[Project], Report]) -> Iterator[Running]:
        """A run beside this thread, whose events are iterated as they happen::

        with project.events(lambda p: p.deploy("prod")) as running:
            for event in running:
                print(event.text)
        print(running.report().outcome)
        """
        running = Running()
        beside = Project(self._start, listen=running.hear)
        thread = threading.Thread(target=running.drive, args=(verb, beside), name="run")
        thread.start()
        try:
            yield running
        finally:
            thread.join()

    # --- doing ---------------------------------------------------------------------------

    def _run(self, options: Options) -> Report:
        return self._told(options, Report)

    def _told(self, options: Options, kind: type[Told_]) -> Told_:
        return self._typed(self._do(options), kind)

    @staticmethod
    def _typed(told: Told, kind: type[Told_]) -> Told_:
        assert isinstance(told, kind), f"{type(told).__name__} is no {kind.__name__}"  # noqa: S101 - the verb's own promise
        return told

    def _do(self, options: Options) -> Told:
        workplace = Workplace(self._start)
        consent = isinstance(options, words.Confirmed) and options.yes is True
        try:
            with _DIRECTORY.at(workplace.root):
                answer = do(options, workplace, _Quiet(self._listen, yes=consent))
            return type(answer.told).read(_redacted(answer.data, workplace))
        finally:
            workplace.close()


class _Directory:
    """The directory of the process, which all calls in it share: the first takes it to its
    project, and the last one back. So are a git hook's variables, which would lead git elsewhere:
    they are put aside meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._root = Path()
        self._before: Path | None = None
        self._aside: dict[str, str] = {}

    @contextmanager
    def at(self, root: Path) -> Iterator[None]:
        """Raises Refused while calls of another project run, and Mistakes where none can be."""
        with self._lock:
            self._enter(root)
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._leave()

    def _enter(self, root: Path) -> None:
        if self._calls and root != self._root:
            raise Refused(
                f"a call of the project {self._root} is running in this process",
                where=str(root),
                next="the same call when it is over, or from a process of its own",
            )
        if not self._calls:
            self._before = _current_directory()
            try:
                os.chdir(root)
            except OSError as error:
                raise Mistakes(
                    f"the project's directory: {error.strerror}", where=str(root)
                ) from error
            self._root = root
            there = [name for name in OF_ANOTHER_REPOSITORY if name in os.environ]
            self._aside = {name: os.environ.pop(name) for name in there}
        self._calls += 1

    def _leave(self) -> None:
        os.environ.update(self._aside)
        if self._before is not None:
            os.chdir(self._before)


_DIRECTORY = _Directory()


def _current_directory() -> Path | None:
    """The directory of the process; None where it is gone."""
    try:
        return Path.cwd()
    except OSError:
        return None


class Running:
    """A run that is under way: an iterator of its events, and its report at the end."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._ended: Future[Report] = Future()

    def __iter__(self) -> Iterator[Event]:
        while (event := self._events.get()) is not None:
            yield event
        self._events.put(None)

    def report(self) -> Report:
        """How it ended; waits for it. Raises what the verb raised."""
        return self._ended.result()

    def hear(self, event: Event) -> None:
        """One more event, from any thread."""
        self._events.put(event)

    def drive(self, verb: Callable[[Project], Report], project: Project) -> None:
        """Run the verb to its end, in this thread."""
        try:
            self._ended.set_result(verb(project))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the report hears of it
            self._ended.set_exception(error)
        finally:
            self._events.put(None)


class _Nobody:
    """`ports.Operator` where no person is: what was not allowed beforehand is refused."""

    asking = False

    def __init__(self, *, yes: bool) -> None:
        self._yes = yes

    present = False

    def ask(self, question: str) -> str | None:  # noqa: ARG002 - nobody is asked here
        return None

    def line(self, question: str, over: Callable[[], bool]) -> str | None:  # noqa: ARG002
        return None

    def confirm(self, question: str, *, typed: str = "") -> bool:  # noqa: ARG002 - the seam's form
        if not self._yes:
            raise Refused(f"nobody can be asked: {question}", next="yes=True, when it is meant")
        return True


class _Quiet:
    """`ports.Screen` without a screen."""

    live = False

    def __init__(self, listen: Callable[[Event], None], *, yes: bool) -> None:
        self._listen = listen
        self._operator = _Nobody(yes=yes)

    def listen(self, event: Event) -> None:
        """A listener is a stranger: whatever it does, the run goes on."""
        try:
            self._listen(event)
        except KeyboardInterrupt:
            raise
        except BaseException:  # SystemExit too
            logging.getLogger("backout").exception("the listener of a run raised")

    @property
    def operator(self) -> Operator:
        return self._operator

    def print(self, text: str) -> None:
        """Answers are returned."""

    def over(self) -> None:
        """Signals are the caller's."""

    def interrupted(self) -> None:
        """Signals are the caller's."""

    def left(self, what: str, *, state: str, next: str) -> None:
        """Signals are the caller's."""


def _chosen(
    hosts: Sequence[str] | None, params: Mapping[str, object] | None, accept_red: Sequence[str]
) -> dict[str, Any]:
    """What a run is made with, as the command line words it. Raises Mistakes for a selection of
    hosts that has none."""
    chosen = None if hosts is None else tuple(hosts)
    if chosen == ():
        raise Mistakes("hosts: none is chosen; leave it out for all of the target")
    return {
        "hosts": ",".join(chosen) if chosen else None,
        "param": tuple(
            worded(name, value) for name, value in (params or {}).items() if value is not None
        ),
        "accept_red": tuple(accept_red),
    }


def _redacted(data: Any, workplace: Workplace) -> Any:
    """No secret leaves by a report either."""
    if isinstance(data, str):
        return workplace.redact(data)
    if isinstance(data, Mapping):
        return {name: _redacted(value, workplace) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_redacted(value, workplace) for value in data]
    return data
