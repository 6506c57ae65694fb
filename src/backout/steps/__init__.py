"""The kinds of step. A kind is one file and one row here; it is imported when it is used."""

from __future__ import annotations

from backout.registry import Table

KINDS = Table(
    {
        "run": "backout.steps.run:Run",
        "commit": "backout.steps.commit:Commit",
        "push": "backout.steps.push:Push",
        "build": "backout.steps.build:Build",
        "update": "backout.steps.update:Update",
        "restart": "backout.steps.restart:Restart",
        "upload": "backout.steps.upload:Upload",
        "template": "backout.steps.template:Template",
        "sql": "backout.steps.sql:Sql",
        "traffic": "backout.steps.traffic:Traffic",
        "verify": "backout.steps.verify:Verify",
        "wait": "backout.steps.wait:Wait",
        "approve": "backout.steps.approve:Approve",
        "manual": "backout.steps.manual:Manual",
    },
    "backout.steps",
    "backout.ports.strangers:STEP",
)
