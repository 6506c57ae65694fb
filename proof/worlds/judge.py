"""Whether a world is as what was said of it; by what lies on its machines, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from proof.worlds.files import Folder
from proof.worlds.machine import Machine
from proof.worlds.world import NAME, Typed, World

from backout.commands.status import differences
from backout.model import Outcome, Verdict
from backout.reports.report import Report
from backout.reports.states import HostStatus
from backout.runs import release_file
from backout.runs.release_file import HostRecord

OVER = (Outcome.SUCCEEDED, Outcome.BACKED_OUT)
WHOLE = (*OVER, Outcome.REFUSED)
NOTHING = ("backed out", "withdrawn", "unchanged")
LOST = ("fenced: ", "has taken the lock of", "the lease on")
KEPT = ("deploy", "resume", "abort")
A_WHILE = 0.5
"""Seconds after which whoever lost its lock must know of it."""
CODES = {0, 3, 4, 5, 7, 8}


def steps_on(world: World, machine: Machine) -> list[str]:
    """The steps that leave an effect there."""
    on_hosts = machine.name in world.hosts
    return [name for name, where in world.steps.items() if where is on_hosts]


def left(world: World, machine: Machine, run: str) -> dict[str, int]:
    """How often each effect of a run is there."""
    return {s: machine.service.effects.get((run, s), 0) for s in steps_on(world, machine)}


def at_an_end(world: World, typed: Typed) -> Iterator[str]:
    """What one verb said, held against its hosts at that moment."""
    if typed.broke:
        yield f"{typed.who.name}: {typed.verb}: a traceback: {typed.broke}"
    if typed.code is not None and typed.code not in CODES:
        yield f"{typed.who.name}: {typed.verb}: exit code {typed.code}"
    yield from _robbed(world, typed)
    report = typed.report
    if report is None:
        return
    yield from _taken(world, typed, report)
    late = typed.robbed is not None and world.baton.now - typed.robbed > A_WHILE
    if typed.code == 0 and late and not world.apart:
        yield f"{typed.who.name}: {typed.verb} has lost its lock, and ends with 0"
    for name, told in report.hosts.items():
        found = left(world, world.hosts[name], report.run)
        wrong = _untrue(told.state, found)
        if wrong:
            yield f"{typed.who.name}: {typed.verb} says of {name} {told.state!r}, which has {found}"
        if told.state.startswith("deployed") and not world.hosts[name].service.well:
            yield f"{typed.who.name}: {typed.verb} says of {name} {told.state!r}, which is not well"
    if report.verb == "rollback" and not world.forced:
        yield from _ill_after_rollback(world, typed, report)
    if report.outcome in OVER and typed.code != (0 if report.outcome is Outcome.SUCCEEDED else 4):
        yield f"{typed.verb}: {report.outcome} with exit code {typed.code}"
    undone = report.outcome in (Outcome.BACKED_OUT, Outcome.REFUSED) and typed.verb == "deploy"
    if undone and any(left(world, typed.who.machine, report.run).values()):
        yield f"{typed.verb}: {report.outcome}, and what was done here stays"


def _ill_after_rollback(world: World, typed: Typed, report: Report) -> Iterator[str]:
    """Every service was well before it. One that is over leaves none that is not; and whatever is
    in the way, none stays at a release that is not well while there is a way forward again, unless
    it could not be seen before that it was well, or in the end that it is not, or it is away."""
    one_way, unseen = not all(world.steps.values()), _unseen(typed, report)
    unseen |= {name for name, link in typed.who.links.items() if link.away}
    for name, told in report.hosts.items():
        back = told.state.startswith("rolled back") and not one_way and name not in unseen
        if (report.outcome in OVER or back) and not world.hosts[name].service.well:
            state = told.state.partition(":")[0]
            yield f"{typed.who.name}: {typed.verb} leaves {name} {state!r}, which is not well"


def _unseen(typed: Typed, report: Report) -> set[str | None]:
    """The hosts of which a check could not tell anything, before or in the end."""
    records = typed.who.journal.recall(report.run)
    before = next((record.body for record in records if record.kind == "baseline"), {})
    rows = [(row["host"], row["verdict"]) for row in before.get("findings", ())]
    rows += [(row.host, row.verdict) for row in report.checks]
    return {host for host, verdict in rows if verdict not in (Verdict.PASS, Verdict.FAIL)}


def _robbed(world: World, typed: Typed) -> Iterator[str]:
    """Whoever is alive, and can reach its hosts, keeps its lock, unless it was taken by force
    before."""
    if typed.verb != "unlock" or typed.code != 0 or world.apart:
        return
    for other in world.typed:
        if other is not typed and not other.over and other.holds and other.robbed is None:
            yield f"{other.who.name}: {other.verb} lives, and its lock was taken without force"


def _taken(world: World, typed: Typed, report: Report) -> Iterator[str]:
    """A lock is lost to whoever frees it, or goes on with the very run, and to nobody else. Whoever
    could not take it has none to lose."""
    others = (t for t in world.typed if t.who is not typed.who and t.verb in ("resume", "abort"))
    with_it = any(t.report is None or t.report.run == report.run for t in others)
    at_it = any(t.verb.startswith("unlock") and not t.over for t in world.typed)
    since = typed.since if typed.verb == "deploy" else 0.0  # who goes on tells of before as well
    away = with_it or at_it or any(when >= since for when in world.freed)
    told = typed.verb in KEPT and any(words in report.reason for words in LOST)
    if told and typed.holds and not away:
        yield f"{typed.who.name}: {typed.verb} lost its lock, and nobody took it: {report.reason}"


def _untrue(state: str, found: dict[str, int]) -> bool:
    if state.startswith("deployed"):
        return any(count != 1 for count in found.values())
    return state.startswith(NOTHING) and any(found.values())


def at_the_end(world: World) -> Iterator[str]:
    """What must hold when all is healed, and whoever could has ended what was unfinished."""
    yield from world.baton.crashed
    machines = [*world.hosts.values(), *(seat.machine for seat in world.seats)]
    yield from _beyond_the_hosts(world)
    for machine in machines:
        yield from machine.service.wrong if machine.name in world.hosts else ()
        if _held(world, machine):
            yield f"{machine.name} is still held"
        if machine.processes:
            yield f"{machine.name} has {len(machine.processes)} commands that never end"
    yield from _orders(world)
    yield from _records(world)
    yield from _named(world)
    yield from _a_few_first(world)
    yield from _ledger(world)


def _held(world: World, machine: Machine) -> bool:
    """What is left of a lease whose token was put away is nobody's."""
    lock = world.own(machine, "lock")
    return isinstance(lock, Folder) and ("token" in lock.names or "taken" not in lock.names)


def _named(world: World) -> Iterator[str]:
    """A run that was refused is named by no host: nobody would know what becomes of it."""
    outcomes: dict[str, set[str]] = {}
    for seat in world.seats:
        for row in seat.runs():
            outcomes.setdefault(row.id, set()).add(str(row.outcome))
    for host in world.hosts.values():
        for run in _on_record(world, host).during:
            if outcomes.get(run) == {"refused"}:
                yield f"{host.name} names run {run} as begun, which was refused"


def _a_few_first(world: World) -> Iterator[str]:
    """Where hosts go one after the other, a release that is not well is met by one of them."""
    met = [host.name for host in world.hosts.values() if host.service.fell]
    one_by_one = world.target.rollout.batches == (1,) and all(world.steps.values())
    if one_by_one and len(met) > 1 and not (world.apart or world.forced):
        yield f"a release that is not well was met by {' and '.join(met)}"


def _beyond_the_hosts(world: World) -> Iterator[str]:
    """Force takes hosts: what its owner is at on its own machine just then goes on, as is said."""
    for wrong in world.remote.wrong:
        if not (world.forced and wrong.startswith("two commands at one time")):
            yield wrong


def _orders(world: World) -> Iterator[str]:
    """Nothing is done, or undone, beneath another run; one that came and went back whole is on top
    of none."""
    orders = {}
    for host in world.hosts.values():
        blocks = _blocks([run for run, _, _ in host.service.log])
        left = {run for run, _ in host.service.effects}
        lasting = _blocks([run for run in blocks if run in left or blocks.count(run) > 1])
        if len(lasting) > len(set(lasting)):
            yield f"{host.name}: runs go on beneath others: {blocks}"
        orders[host.name] = list(dict.fromkeys(blocks))
    for one, first in orders.items():
        for other, second in orders.items():
            common = [run for run in first if run in second]
            if one < other and common != [run for run in second if run in first]:
                yield f"{one} and {other} had the runs in another order: {common}"


def _blocks(runs: list[str]) -> list[str]:
    """The same without what follows itself."""
    return [run for n, run in enumerate(runs) if not n or runs[n - 1] != run]


def _records(world: World) -> Iterator[str]:
    """What is on record of each run is what its machines have."""
    told: dict[str, dict[str, str]] = {}
    withdrawn: dict[str, set[str]] = {}
    verbs: dict[str, str] = {}
    half = False
    """Whether a rollback was given up."""
    for seat in world.seats:
        for row in seat.runs():
            half |= row.verb == "rollback" and row.outcome not in OVER
            told.setdefault(row.id, {})[seat.name] = str(row.outcome)
            verbs[row.id] = row.verb
            hosts = (row.report or {}).get("hosts", {})
            gone = {h for h, each in hosts.items() if str(each["state"]).startswith("withdrawn")}
            withdrawn.setdefault(row.id, set()).update(gone)
    over: set[str] = set()
    for seat in world.seats:
        rows = {row.run: row for row in seat.journal.releases(NAME, limit=-1)}
        over |= {run for run, row in rows.items() if row.undone_by}
        for row in seat.runs():
            if row.verb == "deploy" and row.outcome == Outcome.SUCCEEDED and row.id not in rows:
                yield f"{seat.name}: run {row.id} has succeeded, and made no release"
    seen = {run for host in world.hosts.values() for run, _, _ in host.service.log}
    for run in sorted(seen - told.keys()):
        yield f"run {run} is on no record, and was there"
    for run, words in told.items():
        ended = {word for word in words.values() if word in OVER}
        if len(ended) > 1:
            yield f"run {run} is recorded as {' and as '.join(sorted(ended))}"
        elif half or verbs[run] == "rollback":
            continue
        elif ended or set(words.values()) == {"refused"}:
            undone = run in over
            wanted = 1 if "succeeded" in ended and not undone else 0
            yield from _whole(world, run, words, wanted, withdrawn[run])


def _whole(
    world: World, run: str, words: dict[str, str], wanted: int, withdrawn: set[str]
) -> Iterator[str]:
    for host in world.hosts.values():
        found = left(world, host, run)
        count = 0 if host.name in withdrawn else wanted
        if found != dict.fromkeys(found, count):
            yield f"{host.name}: run {run} is {words}, and left {found}"
        running = {step: int((run, step) in host.service.running) for step in found}
        if not world.forced and running != dict.fromkeys(found, count):
            yield f"{host.name}: run {run} is {words}, and what runs there has {running}"
    here = left(world, world.ann.machine, run)
    if here != dict.fromkeys(here, wanted):
        yield f"run {run} is {words}, and from the operators' machines is {here}"


def _ledger(world: World) -> Iterator[str]:
    """Where one journal alone has runs, and all of them ended by themselves, the hosts have on
    record what it says of them: `status` finds no difference."""
    seat, *others = [seat for seat in world.seats if seat.runs()] or [world.ann]
    if others or any(row.outcome not in WHOLE for row in seat.runs()):
        return
    known = seat.journal.newest_on(NAME, world.hosts)
    for name, host in world.hosts.items():
        record = _on_record(world, host)
        named = (record.run or None, record.during)
        says = HostStatus(record.release, "reachable", *named)
        for words in differences(name, says, known.get(name), None, None, seat.journal.over):
            yield f"{seat.name}: status differs: {words}"


def _on_record(world: World, host: Machine) -> HostRecord:
    file = world.own(host, release_file.NAME)
    return release_file.parsed(getattr(file, "text", "")) or HostRecord()
