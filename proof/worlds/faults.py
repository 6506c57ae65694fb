"""What goes wrong in a world: drawn from its seed, each at some point of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from proof.worlds.links import Cut
from proof.worlds.machine import Machine
from proof.worlds.world import Seat, World

from backout.runs.decisions import FOUND

HOUR = 3600.0
LONG = (0.5, 8.0, 40.0, 0.0)
"""Seconds that something lasts; 0: until all is healed."""


def kill(world: World, random: Random) -> str:
    """The process of an operator is gone; perhaps the power of that machine too."""
    world.apart = True
    machine_too = random.random() < 0.3
    seat = world.ann
    for typed in world.typed:
        if typed.who is seat and not typed.over:
            world.baton.kill(typed.life)
    if machine_too:
        seat.machine.power_off(loses=random.random() < 0.5)
        seat.machine.power_on()
    return f"ann is killed{', with the power of her machine' if machine_too else ''}"


def cut(world: World, random: Random) -> str:
    """The next command to a host meets a cut."""
    world.apart = True
    seat = random.choice(world.seats[:1] * 3 + world.seats[1:])
    host = random.choice(list(seat.links))
    link = seat.links[host]
    link.next = random.choice(list(Cut))
    link.down_for, link.late = random.choice(LONG), random.choice((0.2, 3.0, 30.0))
    return f"the link of {seat.name} to {host} is cut for {link.down_for} s {link.next}"


def unplug(world: World, random: Random) -> str:
    """All links of one operator at once."""
    world.apart = True
    lasting = random.choice(LONG)
    for link in world.ann.links.values():
        link.down_for = lasting
        link.cut()
    return f"the cable of ann is pulled for {lasting} s"


def reboot(world: World, random: Random) -> str:
    """A host loses its power, and comes back."""
    world.apart = True
    host = random.choice(list(world.hosts.values()))
    if not host.up:
        return "nothing"
    loses, lasting = random.random() < 0.5, random.choice((0.5, 8.0, 40.0))
    host.power_off(loses=loses)
    world.baton.at(world.baton.now + lasting, lambda: _on(host))
    for seat in world.seats:
        _broken(seat, host.name)
    return f"{host.name} loses its power for {lasting} s{', and notes' if loses else ''}"


def _broken(seat: Seat, host: str) -> None:
    """Whoever waits for an answer of that host sees that there will be none."""
    for task in list(seat.links[host].waiting):
        seat.baton.wake(task)


def _on(host: Machine) -> None:
    if not host.up:
        host.power_on()


def slow(world: World, random: Random) -> str:
    """Each command takes its time on the way."""
    world.apart = True
    host = random.choice(list(world.ann.links))
    world.ann.links[host].slow = random.choice((2.0, 25.0))
    return f"the link of ann to {host} takes up to {world.ann.links[host].slow} s"


def full_host(world: World, random: Random) -> str:
    """The disk of a host is full, but for a little."""
    host = random.choice(list(world.hosts.values()))
    host.disk.free = random.choice((0, 0, 40, 200, 2000))
    if lasting := random.choice(LONG):
        world.baton.at(world.baton.now + lasting, lambda: setattr(host.disk, "free", None))
    return f"the disk of {host.name} has room for {host.disk.free}, for {lasting} s"


def full_here(world: World, random: Random) -> str:
    """The journal takes nothing more."""
    world.ann.full = True
    if lasting := random.choice(LONG):
        world.baton.at(world.baton.now + lasting, lambda: setattr(world.ann, "full", False))
    return f"the disk under the journal of ann is full for {lasting} s"


def clock(world: World, random: Random) -> str:
    """A wall clock is put wrong."""
    machine = random.choice([*world.hosts.values(), world.ann.machine])
    machine.skew = random.choice((-24, -1, 1, 24)) * HOUR
    return f"the clock of {machine.name} is wrong by {machine.skew:.0f} s"


def signal(world: World, random: Random) -> str:  # noqa: ARG001 - the seam's form
    """Ctrl-C."""
    for typed in world.typed:
        if typed.who is world.ann and typed.operation and not typed.over:
            stop = typed.operation.stop
            world.baton.start(typed.life, partial(stop, "interrupted by Ctrl-C"))
    return "ann presses Ctrl-C"


def stale(world: World, random: Random) -> str:
    """A restart that does nothing, and says that it did."""
    host = random.choice(list(world.hosts.values()))
    host.service.deaf = random.choice((1, 1, 2))
    return f"{host.service.deaf} restarts on {host.name} do nothing"


def suspend(world: World, random: Random) -> str:
    """The machine of an operator falls asleep."""
    world.apart = True
    lasting = random.choice((5.0, 70.0, 300.0))
    for typed in world.typed:
        if typed.who is world.ann and not typed.over:
            typed.life.asleep = True
            wake = partial(setattr, typed.life, "asleep", False)
            world.baton.at(world.baton.now + lasting, wake)
    return f"the machine of ann sleeps for {lasting} s"


def second(world: World, random: Random) -> str:
    """A colleague types something beside it, or a little later."""
    verb = random.choice(("deploy", "deploy", "resume", "abort", "unlock", "unlock --force"))
    later = random.choice((0.0, 0.0, 30.0, 100.0))
    world.baton.at(world.baton.now + later, lambda: _types(world.bob, verb))
    return f"bob will type {verb} in {later} s"


def _types(seat: Seat, verb: str) -> None:
    if seat.may_type(verb):
        seat.types(verb)


def late(world: World, random: Random) -> str:
    """A command arrives when nobody waits for it any more."""
    world.apart = True
    link = random.choice(list(world.ann.links.values()))
    link.next, link.down_for, link.late = Cut.LATE, 0.5, random.choice((3.0, 8.0, 30.0))
    return f"the link of ann is cut for {link.down_for} s {link.next}, in {link.late} s"


def take(world: World, random: Random) -> str:
    """A colleague takes the lock away by force."""
    when = _soon(world, random, lambda: _types(world.bob, "unlock --force"))
    return f"{when} bob types unlock --force"


def unlock(world: World, random: Random) -> str:
    """A colleague tries whether the lock is free."""
    later = random.choice((30.0, 62.0, 65.0, 100.0))
    world.baton.at(world.baton.now + later, lambda: _types(world.bob, "unlock"))
    return f"bob will type unlock in {later} s"


def take_over(world: World, random: Random) -> str:
    """An operator is killed, and a colleague goes on with the run; then both may."""
    words = kill(world, random)
    verb = random.choice(("resume", "abort"))
    after = random.choice((61.0, 65.0))
    world.baton.at(world.baton.now + after, lambda: _types(world.bob, verb))
    again = after + random.choice((0.5, 2.0, 5.0))
    world.baton.at(world.baton.now + again, lambda: _types(world.ann, "resume"))
    return f"{words}; bob will type {verb}, and ann resume"


def _in_turn(world: World, seat: Seat, *verbs: str) -> None:
    """Type one after the other, each when the one before it has ended."""
    if not verbs:
        return
    if seat.may_type(verbs[0]):
        typed = seat.types(verbs[0])
        typed.then = lambda: _in_turn(world, seat, *verbs[1:])


def rob(world: World, random: Random) -> str:
    """A colleague takes the lock by force, and deploys at once."""
    stalled = stall(world, random) if random.random() < 0.5 else ""
    _in_turn(world, world.bob, "unlock --force", "deploy")
    return f"bob types unlock --force, and deploy; {stalled}"


def stall(world: World, random: Random) -> str:
    """Something that is at work on a host stands still for a while: a slow disk."""
    alive = [each for host in world.hosts.values() for each in host.processes.values()]
    if not alive:
        return "nothing"
    lasting, process = random.choice((1.0, 6.0, 30.0)), random.choice(alive)
    world.apart = process.asleep = True
    world.baton.at(world.baton.now + lasting, lambda: setattr(process, "asleep", False))
    return f"{process.name} stands still for {lasting} s"


def inherit(world: World, random: Random) -> str:
    """An operator is killed; when the lease is over a colleague frees the hosts and deploys."""
    words, after = kill(world, random), random.choice((61.0, 63.0, 66.0, 100.0))
    world.baton.at(world.baton.now + after, lambda: _in_turn(world, world.bob, "unlock", "deploy"))
    return f"{words}; bob will type unlock, and deploy, in {after} s"


def race(world: World, random: Random) -> str:
    """An operator is killed and comes back, just when a colleague frees the hosts and deploys."""
    words, points = kill(world, random), random.randrange(10, 120)

    def meet() -> None:
        stall(world, random)
        _in_turn(world, world.bob, "unlock", "deploy")

    def come_back() -> None:
        _types(world.ann, "resume")
        world.baton.at_point(world.baton.points + points, meet)

    world.baton.at(world.baton.now + 62.0, come_back)
    return f"{words}; ann types resume, and bob unlock and deploy {points} points later"


def storm(world: World, random: Random) -> str:
    """An operator is killed, and a host loses its power with the notes of that moment."""
    host = random.choice(list(world.hosts.values()))

    def strike() -> None:
        kill(world, random)
        if host.up:
            host.power_off(loses=True)
            host.power_on()

    return f"{_soon(world, random, strike)} ann is killed, and {host.name} loses power and notes"


def kill_soon(world: World, random: Random) -> str:
    """The same while everybody waits for what is at work."""
    return f"{_soon(world, random, lambda: kill(world, random))} ann is killed"


def _soon(world: World, random: Random, do: Callable[[], object]) -> str:
    """At some time from now: points are where something begins or ends, and this is between."""
    later = random.uniform(0.0, 8.0)
    world.baton.at(world.baton.now + later, do)
    return f"in {later:.1f} s"


def cut_when_named(world: World, random: Random) -> str:
    """A link is cut when hosts are about to name a run."""

    def meet() -> None:
        if world.ann.journal.newest == FOUND:
            cut(world, random)
        else:
            world.baton.at_point(world.baton.points + 1, meet)

    meet()
    return "a link is cut when hosts are to name the run"


def go_on_twice(world: World, random: Random) -> str:
    """An operator is killed, and again as she goes on: what is on its way to a host just then
    arrives when she has gone on once more."""
    link = random.choice(list(world.ann.links.values()))

    def again() -> None:
        verb = random.choice(("resume", "abort"))
        world.baton.at(world.baton.now + 1.0, lambda: _types(world.ann, verb))

    def meet() -> None:
        if link.next is None:
            kill(world, random)
            again()
        else:
            world.baton.at_point(world.baton.points + 1, meet)

    words = kill(world, random)
    link.next, link.down_for, link.late = Cut.LATE, 0.5, random.choice((1.5, 3.0, 8.0))
    again()
    meet()
    return f"{words}; and again as she goes on; a command of then arrives in {link.late} s"


def kill_at_decision(world: World, random: Random) -> str:  # noqa: ARG001 - the seam's form
    """An operator is killed right after the outcome is on record."""
    world.ann.doom = -1
    return "ann is killed when the outcome is on record"


def kill_at_record(world: World, random: Random) -> str:
    """An operator is killed right after a record, whichever it is."""
    world.ann.doom = random.randrange(1, 45)
    return f"ann is killed after {world.ann.doom} more records"


Fault = Callable[[World, Random], str]
FAULTS: tuple[Fault, ...] = (
    *(
        kill,
        kill,
        kill_soon,
        kill_soon,
        kill_at_record,
        kill_at_decision,
        storm,
        cut,
        cut,
        cut,
        cut,
        unplug,
        reboot,
        reboot,
        slow,
    ),
    *(full_host, full_host, full_here, clock, signal, stale, suspend, second, second, second),
    *(rob, stall, inherit, race, take_over, unlock, late, take),
)
