"""The words of every verb: one frozen class each.

The Invoke task with its help is made from it, `lint` of the words and `backout.Project` use it, and
a test holds docs/commands.md against it. A class's docstring is what `--help` says; a tuple is a
word that may be said several times; a field without a default is said without its name.
"""

from __future__ import annotations

from backout.commands.options.around import Exec, Logs, Ssh, Targets
from backout.commands.options.base import Aimed, Confirmed, Options, refuse_unmeant, word
from backout.commands.options.beginning import Completion, Demo, ExampleGigz, Init
from backout.commands.options.documents import DocumentImport, DocumentRender
from backout.commands.options.keeping import (
    HistoryExport,
    HistoryImport,
    LedgerCopy,
    Prune,
    Uninstall,
)
from backout.commands.options.looking import Doctor, History, Lint, Show, Status, Unlock, Verify
from backout.commands.options.people import Approve, Follow, Hold
from backout.commands.options.serving import Serve, TokenAdd, TokenList, TokenRemove
from backout.commands.options.shipping import (
    Abort,
    Deploy,
    Diff,
    Holding,
    Plan,
    Rehearse,
    Resume,
    Rollback,
    Run,
    Shipping,
    Starting,
)
from backout.commands.options.watching import (
    AlertAck,
    AlertList,
    AlertSilence,
    ScheduleInstall,
    ScheduleRemove,
    ScheduleShow,
    Watch,
)
from backout.commands.options.working import Worker, Workers

__all__ = [
    "VERBS",
    "Abort",
    "Aimed",
    "AlertAck",
    "AlertList",
    "AlertSilence",
    "Approve",
    "Completion",
    "Confirmed",
    "Demo",
    "Deploy",
    "Diff",
    "Doctor",
    "DocumentImport",
    "DocumentRender",
    "ExampleGigz",
    "Exec",
    "Follow",
    "History",
    "HistoryExport",
    "HistoryImport",
    "Hold",
    "Holding",
    "Init",
    "LedgerCopy",
    "Lint",
    "Logs",
    "Options",
    "Plan",
    "Prune",
    "Rehearse",
    "Resume",
    "Rollback",
    "Run",
    "ScheduleInstall",
    "ScheduleRemove",
    "ScheduleShow",
    "Serve",
    "Shipping",
    "Show",
    "Ssh",
    "Starting",
    "Status",
    "Targets",
    "TokenAdd",
    "TokenList",
    "TokenRemove",
    "Uninstall",
    "Unlock",
    "Verify",
    "Watch",
    "Worker",
    "Workers",
    "refuse_unmeant",
    "word",
]

VERBS: tuple[type[Options], ...] = (
    *(Plan, Diff, Deploy, Run, Follow, Approve, Hold, Rehearse, Rollback, Resume, Abort),
    *(Verify, Status, History, Show, Lint, Doctor, Unlock),
    *(Targets, Logs, Exec, Ssh, Completion),
    *(HistoryExport, HistoryImport, LedgerCopy, Prune, Uninstall),
    *(Watch, Init, Demo, ExampleGigz, AlertAck, AlertList, AlertSilence),
    *(Serve, TokenAdd, TokenList, TokenRemove),
    *(Worker, Workers),
    *(ScheduleInstall, ScheduleRemove, ScheduleShow),
    *(DocumentImport, DocumentRender),
)
"""Every verb; a new one is a class here and a method where it is done."""
