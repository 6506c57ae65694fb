"""Deployment notes as executable runbooks that cannot lose their way back.

What is named here is the typed API; it is loaded when it is first used, so that the command line
costs no more than it must.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backout.api import Project, Running
    from backout.errors import BackoutError, ExitCode, Mistakes, Refused
    from backout.model import Event, Outcome, Release, State, Verdict
    from backout.reports.approvals import Answered, ApprovalReport, Asked
    from backout.reports.objects import HistoryLine
    from backout.reports.plans import PlannedAction, PlanReport
    from backout.reports.report import (
        CheckReport,
        HostReport,
        Report,
        StepReport,
        VerifyReport,
    )
    from backout.reports.states import HostStatus, StatusReport

__version__ = "0.1.0"
__all__ = [
    "Answered",
    "ApprovalReport",
    "Asked",
    "BackoutError",
    "CheckReport",
    "Event",
    "ExitCode",
    "HistoryLine",
    "HostReport",
    "HostStatus",
    "Mistakes",
    "Outcome",
    "PlanReport",
    "PlannedAction",
    "Project",
    "Refused",
    "Release",
    "Report",
    "Running",
    "State",
    "StatusReport",
    "StepReport",
    "Verdict",
    "VerifyReport",
    "__version__",
]

_HOMES = {
    "backout.api": ("Project", "Running"),
    "backout.errors": ("BackoutError", "ExitCode", "Mistakes", "Refused"),
    "backout.model": ("Event", "Outcome", "Release", "State", "Verdict"),
    "backout.reports.approvals": ("Answered", "ApprovalReport", "Asked"),
    "backout.reports.objects": ("HistoryLine",),
    "backout.reports.plans": ("PlanReport", "PlannedAction"),
    "backout.reports.report": (
        *("CheckReport", "HostReport", "Report", "StepReport", "VerifyReport"),
    ),
    "backout.reports.states": ("HostStatus", "StatusReport"),
}


def __getattr__(name: str) -> object:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'backout' has no attribute {name!r}")
    return getattr(import_module(home), name)
