"""What checks said, as JUnit XML."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from backout.model import Verdict
from backout.reports.checks_text import check_name
from backout.reports.report import VerifyReport

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verify_junit(report: VerifyReport) -> str:
    """The checks as JUnit XML. What cannot be told is an error there, never a pass."""
    checks = report.checks
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(report.target),
        tests=str(len(checks)),
        failures=str(sum(check.verdict is Verdict.FAIL for check in checks)),
        errors=str(sum(check.verdict in (Verdict.ERROR, Verdict.INCONCLUSIVE) for check in checks)),
        time=_seconds(sum(check.elapsed_ms for check in checks)),
    )
    for check in checks:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_xml(report.target),
            name=_xml(check_name(check)),
            time=_seconds(check.elapsed_ms),
        )
        if check.verdict is not Verdict.PASS:
            tag = "failure" if check.verdict is Verdict.FAIL else "error"
            reason = check.reason or "; ".join(check.failed)
            problem = ElementTree.SubElement(
                case, tag, type=_xml(check.verdict), message=_xml(reason)
            )
            problem.text = _xml("\n".join(check.failed))
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: object) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", str(text))


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.3f}"
