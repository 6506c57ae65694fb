"""The console script `backout`, which is also `python -m backout`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import yaml

_MOCK = "unittest.mock"
_COPY = "invoke.vendor.yaml"


def main() -> None:
    """Do what the words say. Invoke reads `unittest.mock`, and with it all of asyncio, for a test
    double: a twelfth of what a deploy reads. Here that is read when somebody makes one. Nor does
    it read its own copy of PyYAML, which is read here anyway."""
    if _MOCK not in sys.modules:
        stand_in = sys.modules[_MOCK] = ModuleType(_MOCK)
        vars(stand_in)["Mock"] = _mock
        sys.modules.setdefault(_COPY, yaml)
        import invoke.context  # noqa: F401 - to be had without it

        del sys.modules[_MOCK]
    from backout.adapters.terminal.streams import lasting
    from backout.tasks import main as act

    with lasting():
        act()


def _mock(*args: Any, **words: Any) -> Any:
    from unittest.mock import Mock

    return Mock(*args, **words)


if __name__ == "__main__":
    main()
