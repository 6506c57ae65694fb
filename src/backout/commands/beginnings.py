"""The verbs for a first day: doctor, init, demo."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backout.adapters import extras, standings
from backout.adapters.storage import turns
from backout.commands import typed
from backout.commands.deploy import Operation
from backout.commands.inspections import Inspection
from backout.commands.main import text_of
from backout.commands.options import Demo, Deploy, Doctor, History, Init
from backout.errors import BackoutError, Mistakes, Refused
from backout.model import Command, Host, Service, Target
from backout.model.operands import at_home
from backout.ports import Screen
from backout.project import needs
from backout.project.machines import Machines
from backout.project.project import Workplace, is_ours
from backout.reports.answer import Answer
from backout.reports.objects import Played, Written
from backout.reports.states import Diagnosis, DoctorReport
from backout.restarters import BACKENDS
from backout.runs.parts import side_by_side
from backout.starter import sample, scaffold
from backout.starter.scaffold.detected import Detected, detect
from backout.watch import looking_over

PATIENCE = 30.0
"""How long, in seconds, a remote is waited for."""


class Beginning:
    """One verb for somebody who begins."""

    def __init__(self, workplace: Workplace, screen: Screen) -> None:
        self.workplace = workplace
        self.screen = screen

    def init(self, options: Init) -> Answer:
        """Write what is missing of a tasks.py, a runbook and an inventory."""
        directory = self.workplace.started_in
        _refuse_nested(directory, self.workplace.root)
        found = detect(directory)
        if options.backend:
            if options.backend not in BACKENDS:
                known = ", ".join(BACKENDS)
                what = f"there is no restart backend {options.backend!r}; there are: {known}"
                raise Mistakes(what, where="command line", next="backout --help init")
            found = replace(found, backend=options.backend, by="--backend")
        written, kept = scaffold.write(directory, found)
        foreign = "tasks.py" in kept and not is_ours(directory / "tasks.py")
        lint = "backout lint" if foreign else "invoke lint"
        told = Written(
            tuple(written),
            tuple(kept),
            found.backend,
            notes=(*_told(found), *(_BESIDE if foreign else ())),
            next=f"fill in inventories/prod.yaml, then: {lint}",
        )
        return Answer("init", told)

    def doctor(self, options: Doctor) -> Answer:
        target = self.workplace.target(options.target)
        machines = self.workplace.machines(target)
        findings = [*_this_machine(machines), *_libraries(target), *_secrets(machines)]
        findings += _ledger(self.workplace, target)
        for rows in side_by_side(
            lambda host: list(_on(machines, host)), tuple(target.hosts.values())
        ):
            findings += rows
        missing = any(row.ok is False for row in findings)
        following = "" if missing else f"invoke plan --target {target.name}"
        told = DoctorReport(target.name, tuple(findings), following)
        return Answer("doctor", told, 3 if missing else 0)

    def demo(self, _: Demo) -> Answer:
        """A good deploy, a bad one that backs itself out, the history, what to type next."""
        directory = Path(tempfile.mkdtemp(prefix="backout-demo-"))
        scaffold.write_local(directory, sample.free_port())
        place = Workplace(directory)
        place.state = directory / ".backout"
        os.chdir(directory)
        try:
            codes = [self._act(place, *act) for act in _ACTS]
        finally:
            place.close()
        sample.stop(directory / ".backout" / "sample")
        self.screen.print(typed.spell(_AFTERWARDS.format(directory=directory)))
        told = codes == [0, 4, 0]
        return Answer("demo", Played(str(directory), tuple(codes)), 0 if told else 1)

    def _act(self, place: Workplace, words: str, change: tuple[str, str] | None, verb: str) -> int:
        self.screen.print(f"\n== {words}\n")
        if change:
            app = place.state / "sample" / "work" / "app.py"
            app.write_text(app.read_text().replace(*change))
        if verb == "history":
            answer = Inspection(place, self.screen).history(History(target="local"))
            self.screen.print(text_of(answer))
        else:
            answer = Operation(place, self.screen).deploy(Deploy(target="local", message=words))
            self.screen.print(text_of(answer))
        return answer.exit_code


def _refuse_nested(directory: Path, root: Path) -> None:
    """Raises Refused inside a project: whoever types a verb below would mean another one."""
    folders = all((root / name).is_dir() for name in ("inventories", "runbooks"))
    if directory != root and (folders or is_ours(root / "tasks.py")):
        raise Refused(
            f"{root} is a project of Backout's already, and this would be another one inside it",
            state="nothing was written",
            next=f"cd {shlex.quote(str(root))}; or, for a project of its own here:"
            " mkdir inventories, then: backout init",
        )


_BESIDE = (
    "tasks.py is not Backout's and stays as it is: type `backout` instead of `invoke`,",
    "or add to it: from backout.tasks import ns, and ns.add_task(…) for each task of your own",
)


def _told(found: Detected) -> list[str]:
    by = f"told by {found.by}" if found.by else "nothing here tells; say it with --backend"
    return [f"backend: {found.backend} ({by})", f"ships {found.branch} of {found.remote}"]


_ACTS: tuple[tuple[str, tuple[str, str] | None, str], ...] = (
    ("A good deploy: a small service goes live, and proves itself", None, "deploy"),
    (
        "A bad one: the new code starts, and says that it is not well",
        ('STATUS = "ok"', 'STATUS = "degraded"'),
        "deploy",
    ),
    ("What happened", None, "history"),
)
_AFTERWARDS = """
The bad release was live for as long as the proof took; then the old one was back, \
and had to prove itself too. The published history was not rewritten: the bad commit was reverted.

All of it is in {directory}; remove it when you have seen enough.
next:  cd into your own repository and type: backout init"""


# --- doctor ------------------------------------------------------------------------------


def _row(name: str, ok: bool | None, detail: str, fix: str = "", host: str = "") -> Diagnosis:
    return Diagnosis(name, host or None, ok, detail, fix)


def _ledger(workplace: Workplace, target: Target) -> list[Diagnosis]:
    """The database that keeps the ledger of the team, where there is one, and what is known of
    checks, there or here."""
    try:
        looks = workplace.journal.looked_over() if workplace.shared.address() else ()
    except Refused as error:
        return [_row("ledger", False, error.what, error.next)]
    rows = [_row(look.name, look.ok, look.detail, look.fix) for look in looks]
    return [*rows, *looking_over.looked_over(workplace, target)]


def _this_machine(machines: Machines) -> Iterator[Diagnosis]:
    yield _row("Python", True, platform.python_version())
    yield _row("SQLite", True, turns.version())
    git = shutil.which("git")
    if git is None:
        yield _row("git", False, "not found", "apt-get install git")
        return
    version = subprocess.run([git, "--version"], capture_output=True, text=True, check=False)
    yield _row("git", True, version.stdout.strip().removeprefix("git version "))
    source = machines.target.source
    if source is None:
        return
    copy = at_home(source.repository)
    if not copy.exists() and machines.target.sample:
        yield _row("working copy", None, f"{copy} is made by the first deploy")
        return
    name, fix = f"{source.remote}/{source.branch}", f"git -C {copy} ls-remote {source.remote}"
    try:
        remote = subprocess.run(
            [git, "-C", str(copy), "ls-remote", "--", source.remote, f"refs/heads/{source.branch}"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        yield _row(name, False, f"it did not answer within {PATIENCE:g} s", fix)
        return
    words = remote.stderr.strip().splitlines()
    well = remote.returncode == 0
    said = remote.stdout.split("\t")[0][:7] if well else " ".join(words[:1])
    yield _row(name, well, said, "" if well else fix)


def _libraries(target: Target) -> Iterator[Diagnosis]:
    """The extras that the inventory needs; what only a watcher needs is a hint."""
    for needed, ok in ((needs.of_target(target), False), (needs.of_watching(target), None)):
        for extra in dict.fromkeys(each for each in needed if each):
            lacking = dict(extras.missing([extra])).get(extra)
            detail = f"not installed: {', '.join(lacking)}" if lacking else "there"
            fix = extras.hint(extra) if lacking else ""
            yield _row(f"extra {extra}", ok if lacking else True, detail, fix)


def _secrets(machines: Machines) -> Iterator[Diagnosis]:
    for name in machines.target.secrets:
        try:
            machines.vault.fetch([name])
        except BackoutError as error:
            yield _row(f"secret {name}", False, error.what, error.next)
        else:
            yield _row(f"secret {name}", True, "there")


def _on(machines: Machines, host: Host) -> Iterator[Diagnosis]:
    try:
        transport = machines.reach(host.name)
        system = transport.run(Command("uname -sr; git --version 2>&1 || true", timeout=30.0))
    except BackoutError as error:
        yield _row("reachable", False, error.what, error.next, host.name)
        return
    lines = system.stdout.strip().splitlines()
    yield _row("reachable", True, lines[0] if lines else "", host=host.name)
    if untaken := standings.ready(transport):
        yield _row("its own directory", False, untaken.what, untaken.next, host.name)
    if machines.target.source and machines.target.source.strategy in ("checkout", "releases"):
        git = next((line for line in lines if line.startswith("git version ")), "")
        fix = "" if git else "apt-get install git, on that host"
        yield _row(
            "git", bool(git), git.removeprefix("git version ") or "not found", fix, host.name
        )
    yield from _service(machines, host)


def _service(machines: Machines, host: Host) -> Iterator[Diagnosis]:
    service = machines.target.service_on(host)
    if service is None:
        return
    name = f"{service.backend} {service.name}"
    try:
        identity = machines.restarter(host.name).identity()
    except BackoutError as error:
        yield _row(name, False, error.what, error.next, host.name)
        return
    if identity.known:
        yield _row(name, not identity.obstacle, identity.detail, identity.obstacle, host.name)
        return
    found = list(_found(machines, host, service))
    detail, fix = identity.detail or "not known there", ""
    if identity.runs is None:
        detail = f"cannot tell whether it runs: {identity.detail or 'nobody answered'}"
        fix = identity.obstacle or _let_ask(service, host)
    fix = "; ".join(found) or fix or f"{service.backend} on {host.name} knows no {service.name}"
    first = None if machines.target.sample else False
    yield _row(name, first, detail, fix, host.name)


def _let_ask(service: Service, host: Host) -> str:
    """What lets a backend be asked that does not answer."""
    if getattr(service.options, "sudo", False):
        return f"on {host.name}, sudo -n has to work: NOPASSWD in sudoers, and no requiretty"
    return f"see that {service.backend} on {host.name} answers that login"


def _found(machines: Machines, host: Host, service: Service) -> Iterator[str]:
    """Whichever backend does serve an application of this name, as inventory lines."""
    for backend, kind in BACKENDS.items():
        other = Service(name=service.name, backend=backend, options=kind.Options())
        try:
            rows = kind(other, machines.reach(host.name)).find()
        except (BackoutError, Refused):
            continue
        for row in rows:
            yield "service: {" + ", ".join(f"{key}: {value}" for key, value in row.items()) + "}"
