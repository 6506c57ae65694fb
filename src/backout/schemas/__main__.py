"""`python -m backout.schemas`: write the JSON Schemas beside this file."""

from __future__ import annotations

import sys

from backout.adapters.transports import TRANSPORTS
from backout.balancers import BACKENDS as BALANCERS
from backout.probes import KINDS as PROBES
from backout.registry import Tables
from backout.restarters import BACKENDS
from backout.schemas import write
from backout.steps import KINDS as STEPS

for path in write(Tables(STEPS, BACKENDS, PROBES, TRANSPORTS, BALANCERS)):
    sys.stdout.write(f"{path}\n")
