"""What checks said, as lines and as JUnit XML."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from backout.reports.lines import Report, one_line, page, table
from backout.reports.parts import count_of, evidence_lines, next_lines, proof_words

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verify_text(report: Report) -> str:
    """`{"target", "verdict", "checks"}`."""
    verdicts = Counter(check["verdict"] for check in report["checks"])
    count, target = len(report["checks"]), report["target"]
    said = ", ".join(f"{verdicts[each]} {each}" for each in _WORST if verdicts[each])
    match report["verdict"]:
        case "pass":
            first = f"{target} is healthy: {proof_words({}, report['checks'])}."
        case "fail":
            first = f"{target} is UNHEALTHY: of {count_of(count, 'check')}, {said}."
        case verdict:
            told = f"of {count_of(count, 'check')}, {said}" if said else "nothing was checked"
            first = f"{target}: cannot tell whether it is healthy ({verdict}): {told}."
    return page([first], check_lines(report["checks"]), next_lines(report))


_WORST = ("fail", "error", "inconclusive", "pass")


def check_lines(checks: Sequence[Report]) -> list[str]:
    """The worst first; what does not pass with its reason."""
    lines: list[str] = []
    order = sorted(checks, key=lambda check: _WORST.index(check["verdict"]))
    rows = table((c["verdict"], _check_name(c), _milliseconds(c)) for c in order)
    for check, row in zip(order, rows, strict=True):
        lines.append(row)
        if check["verdict"] != "pass":
            reasons = (check.get("reason"), *check.get("failed", ()))
            told = [one_line(each) for each in reasons if each]
            lines += [f"      {each}" for each in dict.fromkeys(told[:1] or told)]
            lines += [f"    {line}" for line in evidence_lines(check.get("excerpt") or "")]
    return lines


def _check_name(check: Report) -> str:
    return f"{check['name']} @ {check['host']}" if check.get("host") else str(check["name"])


def _milliseconds(check: Report) -> str:
    elapsed = check.get("elapsed_ms")
    return f"{elapsed:.0f} ms" if elapsed else ""


def verify_junit(report: Report) -> str:
    """The checks as JUnit XML. What cannot be told is an error there, never a pass."""
    checks = report["checks"]
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(report["target"]),
        tests=str(len(checks)),
        failures=str(sum(check["verdict"] == "fail" for check in checks)),
        errors=str(sum(check["verdict"] in ("error", "inconclusive") for check in checks)),
        time=_seconds(sum(check.get("elapsed_ms") or 0 for check in checks)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_xml(report["target"]),
            name=_xml(_check_name(check)),
            time=_seconds(check.get("elapsed_ms") or 0),
        )
        if check["verdict"] != "pass":
            tag = "failure" if check["verdict"] == "fail" else "error"
            reason = check.get("reason") or "; ".join(check.get("failed", ()))
            problem = ElementTree.SubElement(
                case, tag, type=_xml(check["verdict"]), message=_xml(reason)
            )
            problem.text = _xml("\n".join(check.get("failed", ())))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: object) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"
