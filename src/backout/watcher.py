"""The watcher: looks when looks are due, weighs what comes back, writes it down, tells it.

One thread decides and writes (`turn`); looks are made by others and come back through a queue.
What a turn makes of the looks that came back is one transaction: when it cannot be written it did
not happen, and is tried again with the next turn.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from backout import alerting, bake, schedule
from backout.alerting import Flip, Policy, Pulse
from backout.bake import Deployed
from backout.checks import drift
from backout.errors import Unwritten
from backout.model import Finding, Incident, Letter, Sample, Spot, Target, Verdict, duration
from backout.ports import Clock, HealthChange, HealthStore
from backout.schedule import Rhythm, Tick, Timetable

JUMP = 5.0
"""When the clock goes this much faster or slower than time passes, it was set."""
NEWS_EVERY = 0.5
SOON = 30.0
"""Within so many seconds from the start everything is looked at once."""
REMIND_EVERY = 15.0
PING_EVERY = 60.0
LONGEST_WAIT = 1.0
KEPT = 20_000
"""So many looks are kept in memory while they cannot be written."""
STUCK = 60.0
"""When the watcher has not turned for so long, it is not well."""


@dataclass(frozen=True, slots=True)
class News:
    """What the journal says of a target."""

    held: str = ""
    """Which run holds it, in words; empty while it is free."""
    deployed: Deployed | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A look that came back."""

    ward: Ward
    spot: Spot
    due: float
    at: float
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class Ward:
    """One target as it is watched, until its inventory changes."""

    target: Target
    roots: tuple[Spot, ...]
    look: Callable[[Spot, Deployed | None], tuple[Finding, ...]]
    """Look at a spot, from any thread. Raises nothing."""
    destinations: tuple[str, ...] = ()
    memory: Callable[[str], Mapping[str, Any]] = lambda _: {}
    """What the probe of a finding's key wants to find again."""
    close: Callable[[], None] = lambda: None
    news: News = field(default_factory=News)
    baking: bool = False
    skipped: int = 0
    running: int = 0
    retired: bool = False

    @property
    def name(self) -> str:
        return self.target.name

    def rhythms(self) -> dict[Spot, Rhythm]:
        """When each spot is due; more often while baking."""
        checks, zone = self.target.checks, self.target.timezone
        rhythms = {s: Rhythm.of(str(s), checks[s.check], zone) for s in self.roots}
        if self.baking and self.target.bake:
            every = self.target.bake.every
            for spot, rhythm in rhythms.items():
                if rhythm.cron or rhythm.every > every:
                    rhythms[spot] = Rhythm(str(spot), every)
        return rhythms

    def blocked(self, findings: Sequence[Finding]) -> frozenset[str]:
        """The checks that were not looked at, because one that leads to them did not pass."""
        blocked: set[str] = set()
        ahead = [f.check for f in findings if f.verdict is not Verdict.PASS]
        while ahead:
            check = self.target.checks.get(ahead.pop())
            new = set(check.then) - blocked if check else set()
            blocked |= new
            ahead += new
        return frozenset(blocked)


class Companion(Protocol):
    """Something that lives beside the watcher, such as its web server."""

    def begin(self, watcher: Watcher) -> None:
        """The watcher is about to start; its store and `health` may be read from any thread."""

    def ticked(self, now: datetime) -> None:
        """New looks are written. From the watcher's own thread: be quick."""

    def end(self) -> None:
        """The watcher has stopped."""


class Watcher:
    """Watches some targets; see `turn`."""

    def __init__(
        self,
        store: HealthStore,
        clock: Clock,
        *,
        submit: Callable[[Callable[[], None]], object],
        news: Callable[[Target], News] = lambda _: News(),
        said: Callable[[str, bool], None] = lambda _text, _warning: None,
        ping: Callable[[Ward, str], None] = lambda _ward, _failed: None,
        revert: Callable[[Ward, Deployed, Sequence[Spot]], str] | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`submit` has something done elsewhere; `ping` tells a target's dead-man's switch;
        `revert` reverts a deploy and says how that ended; `wake` wakes the sender."""
        self.store = store
        self.clock = clock
        self.wards: dict[str, Ward] = {}
        self.timetable: Timetable[Spot] = Timetable()
        self.pulses: dict[Spot, Pulse] = {}
        self.done: dict[Spot, float] = {}
        self.trouble = ""
        """Why nothing can be written at the moment; empty when all is well."""
        self.companions: list[Companion] = []
        self._submit = submit
        self._news = news
        self._said = said
        self._ping = ping
        self._revert = revert
        self._wake = wake
        self._back: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._unwritten: list[Looked] = []
        self._memory: dict[Spot, Mapping[str, Any]] = {}
        self._latest: dict[Spot, Finding] = {}
        self._overlapping: set[Spot] = set()
        self._reverting: dict[str, threading.Thread] = {}
        self._holding: set[str] = set()
        self._turns: dict[str, float] = {}
        now, elapsed = clock.now().timestamp(), clock.monotonic()
        self._clock_read = (now, elapsed)
        self._began = now
        self._turned = elapsed
        self._hour = int(now // 3600)
        self._recall()

    def _recall(self) -> None:
        for spot, (pulse, memory, tick) in self.store.pulses().items():
            self.pulses[spot] = Pulse.of(pulse)
            self._memory[spot] = memory
            if tick is not None:
                self.done[spot] = tick
        self.reverted = {run for run, _, _ in self.store.reverts()}

    # --- what is watched -----------------------------------------------------------------

    def watch(self, ward: Ward) -> None:
        """Watch a target, or watch it by its new inventory."""
        old = self.wards.get(ward.name)
        if old is not None:
            ward.news, ward.baking, ward.skipped = old.news, old.baking, old.skipped
            self._retire(old)
        self.wards[ward.name] = ward
        self._plan()

    def forget(self, name: str) -> None:
        """Watch a target no longer."""
        self._retire(self.wards.pop(name))
        self._plan()

    def remembered(self, spot: Spot) -> Mapping[str, Any]:
        """What a probe left to be found again."""
        return self._memory.get(spot, {})

    def _retire(self, ward: Ward) -> None:
        ward.retired = True
        if not ward.running:
            ward.close()

    def _plan(self) -> None:
        now = self.clock.now().timestamp()
        rhythms = {s: r for ward in self.wards.values() for s, r in ward.rhythms().items()}
        fresh = rhythms.keys() - self.timetable.entries.keys()
        self.timetable.plan(rhythms, now)
        for spot in fresh:
            rhythm = rhythms[spot]
            if not rhythm.cron and now - self.done.get(spot, 0.0) > rhythm.every:
                soon = min(rhythm.every, SOON) * schedule.share(spot)
                self.timetable.hasten(spot, now + soon)

    # --- turning -------------------------------------------------------------------------

    def call(self, do: Callable[[], None]) -> None:
        """Have something done in the watcher's own thread, soon."""
        self._back.put(do)

    def wait(self, seconds: float) -> None:
        """Until something comes back, or so long."""
        try:
            do = self._back.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return
        do()

    def turn(self) -> float:
        """Do all that is to be done now; returns in how many seconds there is more."""
        now, self._turned = self.clock.now().timestamp(), self.clock.monotonic()
        self._mind_the_clock(now)
        if self._is_time("news", NEWS_EVERY):
            self._read_news(now)
        self.write()
        self._start_due(now)
        if self._is_time("remind", REMIND_EVERY):
            self._attempt(self._remind)
        if self._hour != int(now // 3600):
            self._attempt(self._keep_small)
        if self._is_time("ping", PING_EVERY):
            self._tell_switches(now)
        return self._pause()

    def look_once(self, spots: Sequence[Spot] | None = None) -> None:
        """Begin a look at every spot, or at these, whatever their schedule says."""
        now = self.clock.now().timestamp()
        for spot in self.timetable.entries if spots is None else spots:
            ward = self.wards[spot.target]
            if not ward.news.held:
                self._begin(ward, Tick(spot, now))

    def write(self) -> None:
        """Write down what came back, and start nothing."""
        while not self._back.empty():
            self._back.get()()
        self._take_in()

    def latest(self, target: str) -> tuple[Finding, ...]:
        """What the last look at each spot of a target found, as far as this process looked."""
        return tuple(f for spot, f in self._latest.items() if spot.target == target)

    @property
    def busy(self) -> int:
        """How many looks are under way or not written yet."""
        return sum(ward.running for ward in self.wards.values()) + len(self._unwritten)

    def _pause(self) -> float:
        if not self._back.empty():
            return 0.0
        following = self.timetable.next()
        now = self.clock.now().timestamp()
        wanted = LONGEST_WAIT if following is None else following - now
        return max(0.0, min(LONGEST_WAIT, wanted))

    def _is_time(self, what: str, every: float) -> bool:
        now = self.clock.monotonic()
        if what in self._turns and now - self._turns[what] < every:
            return False
        self._turns[what] = now
        return True

    def _mind_the_clock(self, now: float) -> None:
        before, then = self._clock_read
        elapsed = self.clock.monotonic()
        self._clock_read = (now, elapsed)
        jump = (now - before) - (elapsed - then)
        if abs(jump) < JUMP:
            return
        way = "forward" if jump > 0 else "back"
        self._say(f"the clock went {way} by {duration(abs(jump))}: the schedule is kept by it")
        if jump < 0:
            self.timetable.replan(now)
            self.done = {spot: min(at, now) for spot, at in self.done.items()}

    # --- looking -------------------------------------------------------------------------

    def _start_due(self, now: float) -> None:
        missed: dict[str, int] = {}
        for tick in self.timetable.take(now):
            ward = self.wards[tick.key.target]
            if ward.news.held:
                ward.skipped += 1 + tick.missed
                self._let_go(tick)
                continue
            lost = tick.missed + tick.late
            if lost:
                missed[ward.name] = missed.get(ward.name, 0) + lost
            self._mind_overlap(tick)
            if tick.runs:
                self._begin(ward, tick)
        for name, count in missed.items():
            self._say(
                f"{name}: {_count(count, 'look')} missed and skipped: nobody was there to look"
            )

    def _let_go(self, tick: Tick[Spot]) -> None:
        if tick.runs:
            self.timetable.ended(tick.key)
        self.done[tick.key] = tick.due

    def _mind_overlap(self, tick: Tick[Spot]) -> None:
        if tick.overlapped and tick.key not in self._overlapping:
            self._say(f"{tick.key} still runs when it is due again: skipped until it ends")
            self._overlapping.add(tick.key)
        elif tick.runs:
            self._overlapping.discard(tick.key)

    def _begin(self, ward: Ward, tick: Tick[Spot]) -> None:
        ward.running += 1
        deployed = ward.news.deployed
        due = self.clock.monotonic()

        def look() -> None:
            queued = (self.clock.monotonic() - due) * 1000
            first, *rest = ward.look(tick.key, deployed)
            findings = (replace(first, queued_ms=queued), *rest)
            at = self.clock.now().timestamp()
            looked = Looked(ward, tick.key, tick.due, at, findings)
            self.call(lambda: self._came_back(looked))

        self._submit(look)

    def _came_back(self, looked: Looked) -> None:
        looked.ward.running -= 1
        self.timetable.ended(looked.spot)
        self.done[looked.spot] = looked.at
        if looked.ward.retired:
            if not looked.ward.running:
                looked.ward.close()
            return
        self._unwritten.append(looked)

    # --- what came back ------------------------------------------------------------------

    def _take_in(self) -> None:
        if not self._unwritten:
            return
        if not self._attempt(self._write_looks):
            lost = len(self._unwritten) - KEPT
            if lost > 0:
                del self._unwritten[:lost]
                self._say(f"{_count(lost, 'look')} could not be kept", warning=True)
            return
        self._unwritten.clear()
        if self.trouble:
            self._say("it can be written again")
            self.trouble = ""
        for ward in self.wards.values():
            self._consider(ward)
        for companion in self.companions:
            companion.ticked(self.clock.now())

    def _write_looks(self) -> None:
        """All of them and whatever follows from them, or nothing."""
        turn = _Turn(self, {})
        with self.store.write() as change:
            for looked in self._unwritten:
                turn.take(change, looked)
        self.pulses.update(turn.pulses)
        self._memory.update(turn.memory)
        self._latest.update(turn.latest)
        for text, warning in turn.said:
            self._say(text, warning=warning)
        if turn.posted:
            self._wake()
        for spot, policy, rhythm in turn.doubtful:
            if alerting.in_doubt(self.pulses[spot], policy):
                self.timetable.hasten(spot, self.done[spot] + rhythm.quick())

    def _attempt(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except Unwritten as error:
            if not self.trouble:
                self._say(f"nothing can be written, going on: {error.what}", warning=True)
            self.trouble = error.what
            return False
        return True

    # --- telling -------------------------------------------------------------------------

    def _remind(self) -> None:
        now = self.clock.now().timestamp()
        if not self.store.incidents(open=True, limit=1):
            return
        posted = False
        with self.store.write() as change:
            for incident in change.incidents():
                posted |= self._mind(change, incident, now)
        if posted:
            self._wake()

    def _mind(self, change: HealthChange, incident: Incident, now: float) -> bool:
        """What an open incident asks for now."""
        ward = self.wards.get(incident.spot.target)
        if ward is None:
            return False
        check = ward.target.checks.get(incident.spot.check)
        if check is None and incident.kind != "notice":
            change.resolve(incident.id, now)
            change.pulse(incident.spot, {})
            self.pulses[incident.spot] = Pulse()
            return bool(self.tell(change, ward, incident, "gone", now))
        word = alerting.due_word(
            incident,
            Policy.of_check(check) if check else Policy(),
            now,
            silenced=change.silenced(incident.spot, now),
            waiting=change.in_hand(incident.id),
        )
        return bool(word and self.tell(change, ward, incident, word, now))

    def tell(
        self,
        change: HealthChange,
        ward: Ward,
        incident: Incident,
        kind: str,
        now: float,
        more: str = "",
    ) -> int:
        """Write to every destination of the target; how many letters that were."""
        if kind in ("open", "remind", "worse"):
            change.told(incident.id, now)
        deployed = ward.news.deployed
        key = f"{self.store.name}-{incident.id}-{kind}"
        letter = Letter(
            target=ward.name,
            destination="",
            kind="resolve" if kind == "gone" else kind,
            key=f"{key}-{now:.0f}" if kind == "remind" else key,
            title=alerting.title(incident, kind),
            body=alerting.body(incident, kind, now=now, last_deploy=_told(deployed), flaps=more),
            created=now,
            incident=incident.id,
        )
        for destination in ward.destinations:
            change.post(replace(letter, destination=destination))
        return len(ward.destinations)

    def note(self, ward: Ward, key: str, title: str, body: str) -> None:
        """A message that is no alert."""
        now = self.clock.now().timestamp()
        with self.store.write() as change:
            self._note(change, ward, key, title, body, now)
        self._wake()

    def _note(
        self, change: HealthChange, ward: Ward, key: str, title: str, body: str, now: float
    ) -> None:
        for destination in ward.destinations:
            key_of = f"{self.store.name}-{key}"
            letter = Letter(ward.name, destination, "note", key_of, title, body, now)
            change.post(letter)

    def notice(self, name: str, what: str, *, about: str, next: str = "") -> None:
        """Something beside the checks is wrong (`what`), or is well again (empty)."""
        ward, now = self.wards[name], self.clock.now().timestamp()
        spot = Spot(name, f":{about}")

        def write() -> None:
            with self.store.write() as change:
                incident = change.incident(spot)
                if what and incident is None:
                    seen = {"what": what, "next": next}
                    made = Incident(spot, "notice", now, now, seen)
                    made = replace(made, id=change.open(made))
                    self.tell(change, ward, made, "open", now)
                elif incident is not None and not what:
                    change.resolve(incident.id, now)
                    self.tell(change, ward, incident, "resolve", now)

        if self._attempt(write):
            self._wake()

    # --- deploys -------------------------------------------------------------------------

    def _read_news(self, now: float) -> None:
        for ward in self.wards.values():
            before, ward.news = ward.news, self._news(ward.target)
            self._say_held(ward, before.held)
            baking = bake.window(ward.target.bake, ward.news.deployed, now)
            if baking != ward.baking:
                ward.baking = baking
                self._plan()
                self._say_baking(ward)
            self._consider(ward)

    def _say_held(self, ward: Ward, before: str) -> None:
        held = ward.news.held
        if held and not before:
            self._say(f"{ward.name}: {held} holds it: its checks wait")
        elif before and not held:
            self._say(f"{ward.name} is free again: {_count(ward.skipped, 'look')} skipped")
            ward.skipped = 0

    def _say_baking(self, ward: Ward) -> None:
        deployed, plan = ward.news.deployed, ward.target.bake
        if ward.baking and deployed and plan:
            until = duration(plan.for_)
            self._say(f"{ward.name}: release {deployed.release} bakes for {until}")
        else:
            self._say(f"{ward.name}: the bake window is closed")

    def _consider(self, ward: Ward) -> None:
        """Revert a deploy that went bad, once."""
        deployed, revert = ward.news.deployed, self._revert
        if not (ward.baking and deployed and revert) or ward.news.held:
            return
        if deployed.run in self.reverted | self._reverting.keys() or not self._some_ill(ward):
            return
        pulses = {spot: p for spot, p in self.pulses.items() if spot.target == ward.name}
        past = self.store.incidents(
            ward.name, since=deployed.started - alerting.FLAPS_WITHIN, limit=1000
        )
        judged = bake.judge(deployed, pulses, past)
        if judged.held and not judged.red and deployed.run not in self._holding:
            self._hold(ward, deployed, judged.held)
        if judged.red:
            self._begin_revert(ward, deployed, judged.red, revert)

    def _some_ill(self, ward: Ward) -> bool:
        return any(p.ill for spot, p in self.pulses.items() if spot.target == ward.name)

    def _hold(self, ward: Ward, deployed: Deployed, spots: Sequence[Spot]) -> None:
        names = ", ".join(spot.key for spot in spots)
        if self._attempt(
            lambda: self.note(
                ward,
                f"hold-{deployed.run}",
                f"[{ward.name}] release {deployed.release} is not reverted: nobody can tell",
                f"inconclusive since the deploy: {names}\n"
                f"next: look, then perhaps: invoke rollback --target {ward.name}",
            )
        ):
            self._holding.add(deployed.run)

    def _begin_revert(
        self,
        ward: Ward,
        deployed: Deployed,
        red: Sequence[Spot],
        revert: Callable[[Ward, Deployed, Sequence[Spot]], str],
    ) -> None:
        names = ", ".join(spot.key for spot in red)
        self._say(f"{ward.name}: {names} went bad after {deployed.release}", warning=True)

        def work() -> None:
            try:
                outcome = revert(ward, deployed, red)
            finally:
                self.call(lambda: self._forget_revert(deployed.run))
            if outcome:
                self.call(lambda: self._say(f"{ward.name}: {outcome}", warning=True))

        thread = threading.Thread(target=work, name="revert")
        self._reverting[deployed.run] = thread
        thread.start()

    def _forget_revert(self, run: str) -> None:
        self._reverting.pop(run, None)

    def join(self) -> None:
        """Wait for the reverts under way."""
        for thread in list(self._reverting.values()):
            thread.join()

    # --- the rest ------------------------------------------------------------------------

    def _keep_small(self) -> None:
        now = self.clock.now().timestamp()
        self.store.roll_up(now)
        self._hour = int(now // 3600)

    def _tell_switches(self, now: float) -> None:
        switched = [ward for ward in self.wards.values() if ward.target.deadman]
        unwell = self.unwell(now) if switched else {}
        for ward in switched:
            words = "; ".join([*unwell.get("", ()), *unwell.get(ward.name, ())])
            self._submit(partial(self._ping, ward, words))

    def unwell(self, now: float) -> dict[str, list[str]]:
        """What is wrong with the watching itself, by target; what concerns all under ''."""
        found: dict[str, list[str]] = {}
        if self.trouble:
            found.setdefault("", []).append(f"nothing can be written: {self.trouble}")
        since = self.clock.monotonic() - self._turned
        if since > STUCK:
            found.setdefault("", []).append(f"the watcher has not turned for {duration(since)}")
        for spot, entry in list(self.timetable.entries.items()):
            ward = self.wards.get(spot.target)
            if ward is None or ward.news.held:
                continue
            last = max(self.done.get(spot, 0.0), self._began)
            allowance = schedule.LATE + ward.target.checks[spot.check].timeout
            if schedule.overdue(entry.rhythm, last, now, allowance):
                found.setdefault(spot.target, []).append(
                    f"{spot.key} is overdue since {_utc(last)}"
                )
        return found

    def health(self) -> dict[str, Any]:
        """The watcher's own health, for `/health`; from any thread."""
        unwell = self.unwell(self.clock.now().timestamp())
        reasons = [
            f"{name}: {words}" if name else words
            for name, several in unwell.items()
            for words in several
        ]
        return {
            "status": "overdue" if reasons else "ok",
            "reasons": reasons,
            "targets": sorted(self.wards),
            "checks": len(self.timetable.entries),
            "held": {w.name: w.news.held for w in self.wards.values() if w.news.held},
        }

    def _say(self, text: str, *, warning: bool = False) -> None:
        self._said(text, warning)


@dataclass(slots=True)
class _Turn:
    """What a turn makes of the looks that came back: nothing of it counts until it is written."""

    watcher: Watcher
    pulses: dict[Spot, Pulse]
    memory: dict[Spot, Mapping[str, Any]] = field(default_factory=dict)
    latest: dict[Spot, Finding] = field(default_factory=dict)
    said: list[tuple[str, bool]] = field(default_factory=list)
    doubtful: list[tuple[Spot, Policy, Rhythm]] = field(default_factory=list)
    posted: bool = False

    def take(self, change: HealthChange, looked: Looked) -> None:
        blocked = looked.ward.blocked(looked.findings)
        for finding in looked.findings:
            if finding.check in looked.ward.target.checks:
                self._one(change, looked, finding, counts=finding.check not in blocked)

    def _one(self, change: HealthChange, looked: Looked, finding: Finding, *, counts: bool) -> None:
        ward, at = looked.ward, looked.at
        spot = Spot(ward.name, finding.check, finding.host or "")
        check = ward.target.checks[finding.check]
        policy = Policy.of_check(check)
        finding = self._held_against_snapshot(change, ward, spot, finding, at)
        pulse = self.pulses.get(spot) or self.watcher.pulses.get(spot) or Pulse()
        flip: Flip | None = None
        if counts:
            pulse, flip = alerting.weigh(pulse, finding.verdict, at, policy)
        self.pulses[spot] = pulse
        self.latest[spot] = replace(finding, facts={}, saved={})
        sample = Sample(
            spot, at, finding.verdict, finding.elapsed_ms, finding.queued_ms, _reason(finding)
        )
        change.look(
            sample,
            pulse.record(),
            memory=self._remember(ward, spot),
            tick=looked.due if spot == looked.spot else None,
        )
        if flip is not None:
            self._flip(change, ward, spot, finding, flip, policy, at)
        if spot == looked.spot and (entry := self.watcher.timetable.entries.get(spot)):
            self.doubtful.append((spot, policy, entry.rhythm))

    def _remember(self, ward: Ward, spot: Spot) -> Mapping[str, Any] | None:
        memory = ward.memory(spot.key)
        if memory == self.watcher.remembered(spot):
            return None
        self.memory[spot] = memory
        return memory

    def _held_against_snapshot(
        self, change: HealthChange, ward: Ward, spot: Spot, finding: Finding, at: float
    ) -> Finding:
        """Drift since the last known-good release is a failure."""
        deployed = ward.news.deployed
        if drift.FACT not in finding.facts:
            return finding
        release = deployed.release.number if deployed and deployed.known_good else 0
        reference = self.watcher.store.snapshot(spot)
        if reference is None or reference[0] != release:
            if finding.verdict is Verdict.PASS:
                change.snapshot(spot, release, at, finding.facts[drift.FACT])
            return finding
        return drift.judged(finding, release, reference)

    def _flip(
        self,
        change: HealthChange,
        ward: Ward,
        spot: Spot,
        finding: Finding,
        flip: Flip,
        policy: Policy,
        at: float,
    ) -> None:
        pulse, incident = self.pulses[spot], change.incident(spot)
        check = ward.target.checks[spot.check]
        if flip.kind == "resolve":
            if incident is not None:
                change.resolve(incident.id, at)
                if incident.told is not None:
                    self.posted |= bool(self.watcher.tell(change, ward, incident, "resolve", at))
            self.said.append((f"{spot} is healthy again", False))
            return
        seen = alerting.evidence(finding, check, pulse.bad)
        if incident is None:
            incident = Incident(spot, flip.ill, flip.since, at, seen)
            incident = replace(incident, id=change.open(incident))
        else:
            change.worsen(incident.id, flip.ill, seen)
            incident = replace(incident, kind=flip.ill, evidence=seen)
        self.said.append((f"{alerting.title(incident, flip.kind)}: {finding.reason}", True))
        if not change.silenced(spot, at):
            flaps = alerting.flapping(pulse, policy)
            self.posted |= bool(self.watcher.tell(change, ward, incident, flip.kind, at, flaps))


def _reason(finding: Finding) -> str:
    return "" if finding.verdict is Verdict.PASS else finding.reason


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _told(deployed: Deployed | None) -> str:
    if deployed is None:
        return ""
    by = f" by {deployed.by}" if deployed.by else ""
    return f"release {deployed.release} at {_utc(deployed.ended)}{by} (run {deployed.run})"


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
