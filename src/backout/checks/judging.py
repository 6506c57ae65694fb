"""Checks -> findings -> verdict.

The examiner looks; `judge` says what that proves; `required`, `after_backing_out` and
`baseline_refusals` say what a run makes of it. What cannot be told is never a pass. All of it is
pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from shlex import quote
from types import MappingProxyType
from typing import Any

from backout.checks import evidence
from backout.language import expressions
from backout.model import Check, Finding, Observation, Rule, Verdict, Words
from backout.model.values import restored

_WORST = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE)

JUDGING = 1.0
"""How many seconds there are for judging, at least, however long the look took."""

# --- judging -----------------------------------------------------------------------------


def judge(
    check: Check,
    observation: Observation,
    scope: Mapping[str, Any],
    expects: Words = (),
    offered: Mapping[str, str] = MappingProxyType({}),
) -> Finding:
    """What an observation proves about a check.

    `scope` holds the names that are always there; the observation's facts go on top. `expects`
    stands in when the check itself expects nothing, for the kinds that judge themselves.
    `offered` explains the names that this kind of check can have. What the look left of the
    check's timeout is for this.
    """
    with expressions.within(max(JUDGING, check.timeout - observation.elapsed_ms / 1000)):
        return _judged(check, observation, scope, expects, offered)


def _judged(
    check: Check,
    observation: Observation,
    scope: Mapping[str, Any],
    expects: Words,
    offered: Mapping[str, str],
) -> Finding:
    finding = Finding(
        check=check.name,
        host=(scope.get("host") or {}).get("name"),
        verdict=Verdict.INCONCLUSIVE,
        elapsed_ms=observation.elapsed_ms,
        excerpt=observation.excerpt,
        facts=observation.facts,
        queued_ms=observation.queued_ms,
    )
    if observation.error:
        return replace(finding, verdict=Verdict.ERROR, reason=observation.error)
    names = {**scope, **observation.facts}
    failed, untold = _weigh(check.expect or expects, names, offered)
    saved, unsaved = _save(check, names)
    finding = replace(finding, saved=saved, failed=tuple(failed))
    if failed:
        reason = "; ".join(evidence.told(each, names) for each in failed)
        return replace(finding, verdict=Verdict.FAIL, reason=reason)
    if untold or unsaved:
        return replace(finding, verdict=Verdict.ERROR, reason="; ".join((*untold, *unsaved)))
    if observation.unread:
        return replace(finding, reason=observation.unread)
    if not (check.expect or expects):
        return replace(finding, reason="it expects nothing, so it proves nothing")
    return replace(finding, verdict=Verdict.PASS)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The whole: the worst of all; nothing looked at is inconclusive."""
    return worst(finding.verdict for finding in findings)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The same of verdicts."""
    seen = set(verdicts)
    if not seen:
        return Verdict.INCONCLUSIVE
    return next((each for each in _WORST if each in seen), Verdict.PASS)


def diagnose(rules: Iterable[Rule], finding: Finding, log: str = "") -> str | None:
    """What the first rule that holds has to say; a rule that cannot be told is passed over.
    `log` is the end of the services' own logs."""
    failure = {
        **restored(finding.facts),
        "check": finding.check,
        "host": finding.host or "",
        "verdict": str(finding.verdict),
        "failed": list(finding.failed),
        "reason": finding.reason,
        "log": log,
    }
    return next((rule.say for rule in rules if _holds(rule.when, {"failure": failure})), None)


def _holds(expression: str, scope: Mapping[str, Any]) -> bool:
    try:
        return expressions.holds(expression, scope)
    except expressions.CannotTell:
        return False


def _weigh(
    expect: Words, names: Mapping[str, Any], offered: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The expectations that do not hold, and why the others cannot be told."""
    failed, untold = [], []
    for expression in expect:
        try:
            if not expressions.holds(expression, names):
                failed.append(expression)
        except expressions.CannotTell as error:
            reason = evidence.absent(expression, names, offered) or error.reason
            untold.append(f"cannot tell {expression}: {reason}")
    return failed, untold


def _save(check: Check, names: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    saved, unsaved = {}, []
    for name, expression in check.save.items():
        try:
            saved[name] = expressions.evaluate(expression, names)
        except expressions.CannotTell as reason:
            unsaved.append(f"cannot save {name}: {reason}")
    return saved, unsaved


# --- what a run makes of findings --------------------------------------------------------


def required(
    findings: Iterable[Finding],
    baseline: Iterable[Finding],
    checks: Mapping[str, Check],
    accept_red: Collection[str] = (),
    *,
    final: bool = True,
) -> frozenset[str]:
    """The keys of the findings that must pass after the change: all, except accepted ones that
    were red before, and, while batches are still to come (`final=False`), those that the change
    is there to turn green."""
    before = by_key(baseline)

    def must(finding: Finding) -> bool:
        was = before.get(finding.key)
        red = was is not None and was.verdict is not Verdict.PASS
        if red and finding.check in accept_red:
            return False
        return final or _policy(finding.check, checks) != "fails"

    return frozenset(finding.key for finding in findings if must(finding))


def after_backing_out(baseline: Iterable[Finding]) -> frozenset[str]:
    """The keys of the findings that must pass after backing out: those that passed before."""
    before = by_key(baseline)
    return frozenset(key for key, was in before.items() if was.verdict is Verdict.PASS)


def baseline_refusals(
    findings: Iterable[Finding],
    checks: Mapping[str, Check],
    accept_red: Collection[str] = (),
    first: bool = False,
    added: Collection[str] = (),
) -> tuple[str, ...]:
    """Why the baseline forbids the change; on a first deploy, and on hosts that were `added` since,
    it is recorded, not required."""
    if first:
        return ()
    known = (finding for finding in findings if finding.host not in added)
    reasons = (_refusal(finding, checks, accept_red) for finding in known)
    return tuple(reason for reason in reasons if reason)


def accepting(findings: Iterable[Finding], checks: Mapping[str, Check]) -> str:
    """How to go on all the same where a check is red that the change is to mend."""
    red = (f.check for f in findings if f.verdict is not Verdict.PASS)
    names = dict.fromkeys(name for name in red if _policy(name, checks) == "passes")
    words = " ".join(f"--accept-red {quote(name)}" for name in names)
    return f"; where this very change mends it: the same again, with {words}" if words else ""


def _refusal(finding: Finding, checks: Mapping[str, Check], accept_red: Collection[str]) -> str:
    policy, passes = _policy(finding.check, checks), finding.verdict is Verdict.PASS
    if policy == "fails" and passes and checks[finding.check].baseline == "fails":
        return f"check {finding.key} passes already: there is nothing to fix"
    if policy == "passes" and not passes and finding.check not in accept_red:
        word = "fails" if finding.verdict is Verdict.FAIL else f"is {finding.verdict}"
        return f"check {finding.key} {word} before the change: {finding.reason}"
    return ""


def _policy(name: str, checks: Mapping[str, Check]) -> str:
    """A check that others lead to shares their baseline, unless it has one of its own."""
    own = checks[name].baseline
    leading = [check.baseline for check in checks.values() if name in check.then]
    return next((each for each in (own, *leading) if each != "passes"), "passes")


def latest(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The last finding of each check on each host, whatever an earlier one was."""
    return tuple({finding.key: finding for finding in findings}.values())


def by_key(findings: Iterable[Finding]) -> dict[str, Finding]:
    """The last finding of each check on each host, unless an earlier one was red."""
    found: dict[str, Finding] = {}
    for finding in findings:
        if finding.key not in found or found[finding.key].verdict is Verdict.PASS:
            found[finding.key] = finding
    return found
