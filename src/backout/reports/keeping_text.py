"""What the verbs that move a journal and clear up answer, for people."""

from __future__ import annotations

from backout.reports.lines import one_line, page
from backout.reports.objects import Moved, Pruned, Uninstalled
from backout.reports.parts import next_lines


def moved_text(report: Moved) -> str:
    """How many runs, of which targets."""
    runs, names = report.runs, ", ".join(map(one_line, report.targets))
    what = f"{runs} run{'' if runs == 1 else 's'} of {names}"
    told = what if runs else f"nothing new of {names}"
    return page([f"{one_line(report.file)}: {told}."], next_lines(report.next))


def pruned_text(report: Pruned) -> str:
    """What was forgotten."""
    runs, outputs = len(report.runs), report.outputs
    people = report.requests, report.letters
    if not (runs or outputs or any(people)):
        return f"Nothing from before {report.before[:10]} can go."
    kib = report.bytes // 1024
    more = f", {people[0]} approvals and {people[1]} delivered messages" if any(people) else ""
    return f"Forgot the records of {runs} runs and the output of {outputs} steps{more} ({kib} KiB)."


def uninstalled_text(report: Uninstalled) -> str:
    """What was taken away, and what stays."""
    gone = [row for row in report.hosts if row.kib is not None]
    head = f"Took Backout away from {len(gone)} of {len(report.hosts)} hosts of"
    lines = [f"{head} {one_line(report.target)}, with {report.runs} runs here."]
    lines += [
        f"{row.host}: {row.directory} stays, it has more: {one_line(', '.join(row.left))}"
        for row in gone
        if row.left
    ]
    lines += [f"{row.host}: nothing was there" for row in report.hosts if row not in gone]
    return page(lines, next_lines(report.next))
