"""A verb whose process is killed as it comes to that function. Arguments: `module:Class.name`, then
the words of the verb."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from backout.tasks import main


def killed(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    module, _, place = sys.argv.pop(1).partition(":")
    owner, _, name = place.partition(".")
    setattr(getattr(importlib.import_module(module), owner), name, killed)
    main()
