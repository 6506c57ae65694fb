"""What was read of a note -> a runbook and inventory lines, as data, and where each line went.

What cannot be known is asked, never invented. As long as something is open, the preflight of the
runbook refuses: a command whose way back nobody has named is in it, and never runs by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from backout.documents import chains, phases, steps, whole
from backout.documents.bindings import Bindings
from backout.documents.draft import Built, Draft
from backout.documents.naming import check_name
from backout.documents.nouns import Found, Reading, is_probe
from backout.documents.pieces import follows, http_check
from backout.documents.way_back import goes_anyway, way_back

ACTING = ("build", "commit", "push", "update", "restart")
"""The phases of what changes something."""


def build(reading: Reading, decided: Mapping[str, str] | None = None) -> Built:
    """Steps, checks and ways back, in the order of the note; `decided`: which of alternatives is
    meant, by their group."""
    reading = replace(reading, found=tuple(map(whole.without_tail, reading.found)))
    draft = Draft(reading, Bindings(reading))
    chosen = dict(decided or {})
    into: dict[int, list[str]] = {}
    asked: set[str] = set()
    for at, each in enumerate(reading.found):
        if "warned" in each.flags:
            continue  # nowhere, and refused with that reason
        if phases.warns_of_something(each.lead) and each.lead not in asked:
            asked.add(each.lead)
            draft.blanks.ask(each, f"is this what the note means by {each.lead!r}?")
        if each.host and "interactive" in each.flags and each.commands[-1].head == "ssh":
            draft.hosts_of(each)
        elif "cwd" in each.flags:
            draft.directory(each)
        elif "setting" in each.flags:
            continue  # it stands where it is used
        elif _is_chosen(draft, each, chosen):
            if each.tail:
                draft.to_look_at(replace(each, text=each.tail))
            guard = _guards(reading.found[at : at + 2])
            parts = (replace(each, phase="update"),) if guard else _parts(draft, each)
            places = [*filter(None, (_place(draft, part) for part in parts))]
            into[at] = places
            acts = any(place.startswith(("settle", "steps")) for place in places)
            if acts and whole.goes_there(each):
                draft.hosts_of(each)
            elif places and each.host:
                draft.machines.guesses(each.host)
            for place in places if each.phase != "rollback" else ():
                draft.machines.reaches(place, each)
    return draft.finished(into)


def _is_chosen(draft: Draft, each: Found, chosen: dict[str, str]) -> bool:
    """Of alternatives the first is taken, and the choice is asked for."""
    if not each.alternative or each.phase in ("verify", "diagnose"):
        return True  # looks do not stand in each other's way
    group, _, branch = each.alternative.partition(":")
    if group not in chosen:
        chosen[group] = branch
        listed = ", ".join(branches(draft.reading, group))
        asked = f"which of these is meant: {listed}? {branch} is written down"
        draft.blanks.ask(each, asked, f"choice:{group}")
    return chosen[group] == branch


def branches(reading: Reading, group: str) -> tuple[str, ...]:
    said = (o.alternative.partition(":") for o in reading.found if o.alternative)
    return tuple(dict.fromkeys(branch for named, colon, branch in said if named == group and colon))


def _parts(draft: Draft, each: Found) -> tuple[Found, ...]:
    """What of a statement is written down by itself; a way back is one, unless a run goes a part
    of it anyway."""
    made = chains.parts(each)
    back = each.phase == "rollback" and not any(goes_anyway(draft, part) for part in made)
    return (each,) if back else made


def _guards(found: Sequence[Found]) -> bool:
    """Whether a look is there to keep the restart behind it from a bad configuration: it comes
    before that then, and is no check."""
    if len(found) < 2 or found[0].phase != "verify" or found[0].trail != found[1].trail:
        return False
    return found[1].phase == "restart" and phases.guards(found[0].commands)


def _place(draft: Draft, each: Found) -> str | None:
    """Writes one command down; where it went."""
    if each.phase == "rollback":
        return way_back(draft, each, _check)
    if each.sets:
        return steps.saved(draft, each)
    if each.phase == "diagnose" or ("follows" in each.flags and not _acts(each)):
        return draft.to_look_at(each)
    if {"interactive", "blocking"} & {*each.flags} or ("follows" in each.flags and not each.tail):
        return steps.by_hand(draft, each)
    if each.phase == "notify":
        return steps.told_at_end(draft, each)
    if each.phase in ("commit", "push") and (place := steps.commit(draft, each)):
        return place
    if each.phase == "update" and steps.brings_code(draft, each):
        return steps.update(draft, each)
    return steps.run(draft, each) if "destructive" in each.flags else _kept(draft, each)


def _kept(draft: Draft, each: Found) -> str:
    """A command that destroys nothing, as the kind of step or check that it is."""
    if each.phase == "push" and (place := steps.push(draft, each)):
        return place
    if each.phase == "restart" and (place := steps.restart(draft, each)):
        return place
    if each.phase == "verify" and _only_shows(each):
        return draft.to_look_at(each)
    if each.phase == "verify" and not _makes(each):
        return _check(draft, each)
    return steps.run(draft, each)


def _acts(each: Found) -> bool:
    """Whether a command that never ends changes something before it looks at it."""
    return phases.of_command(each.commands, each.text) in ACTING


def _only_shows(each: Found) -> bool:
    """Whether a look proves nothing: it shows what was written down, and somebody reads it."""
    own = phases.of_command(each.commands, each.text)
    return own == "diagnose" and len(each.commands) == 1 and not each.script.startswith("!")


def _makes(each: Found) -> bool:
    """Whether a command under "Verify" makes something: a check may run at any time."""
    return phases.of_command(each.commands, each.text) == "build"


def _check(draft: Draft, each: Found) -> str:
    name = check_name(each, draft.checks)
    request = whole.asks(each) if is_probe(each) else None
    if request:
        check = http_check(draft.blanks, each, request)
    else:
        look = replace(each, script=whole.judging(each.script))
        look = replace(look, script=whole.failing(look)) if is_probe(each) else look
        check = {
            "command": steps.script(draft, look, check=True),
            "expect": ["exit_code == 0"],
            **({"on": "all"} if each.host and not whole.goes_there(each) else {}),
        }
    lines = follows(draft.reading, each.line, each.last)
    draft.checks[name] = {**check, "follows": {"document": draft.reading.source, **lines}}
    return f"checks.{name}"
