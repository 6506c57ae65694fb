"""What checks said, as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backout.model import Verdict
from backout.reports.lines import one_line, page, table
from backout.reports.parts import count_of, evidence_lines, next_lines, proof_words
from backout.reports.report import CheckReport, VerifyReport


def verify_text(report: VerifyReport) -> str:
    """Healthy or not, and a line for each check."""
    verdicts = Counter(check.verdict for check in report.checks)
    count, target = len(report.checks), report.target
    said = ", ".join(f"{verdicts[each]} {each}" for each in _WORST if verdicts[each])
    match report.verdict:
        case Verdict.PASS:
            first = f"{target} is healthy: {proof_words((), report.checks)}."
        case Verdict.FAIL:
            first = f"{target} is UNHEALTHY: of {count_of(count, 'check')}, {said}."
        case verdict:
            told = f"of {count_of(count, 'check')}, {said}" if said else "nothing was checked"
            first = f"{target}: cannot tell whether it is healthy ({verdict}): {told}."
    return page([first], check_lines(report.checks), next_lines(report.next))


_WORST = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS)


def check_lines(checks: Sequence[CheckReport]) -> list[str]:
    """The worst first; what does not pass with its reason."""
    lines: list[str] = []
    order = sorted(checks, key=lambda check: _WORST.index(check.verdict))
    rows = table((c.verdict, check_name(c), _milliseconds(c)) for c in order)
    for check, row in zip(order, rows, strict=True):
        lines.append(row)
        if check.verdict is not Verdict.PASS:
            reasons = (check.reason, *check.failed)
            told = [one_line(each) for each in reasons if each]
            lines += [f"      {each}" for each in dict.fromkeys(told[:1] or told)]
            lines += [f"    {line}" for line in evidence_lines(check.excerpt)]
    return lines


def check_name(check: CheckReport) -> str:
    """A check, and the host that it is of."""
    return f"{check.name} @ {check.host}" if check.host else check.name


def _milliseconds(check: CheckReport) -> str:
    return f"{check.elapsed_ms:.0f} ms" if check.elapsed_ms else ""
