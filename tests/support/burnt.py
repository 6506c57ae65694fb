"""A deploy whose machine burns at one moment of its journal: before or after a record that is
durable there goes to the mirrors. Arguments: the number of the moment, then the words of the verb.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from backout.adapters.mirror import Mirror
from backout.adapters.storage.chain import Line
from backout.tasks import main


def burning(number: int, keep: Callable[[Mirror, Line], None]) -> Callable[[Mirror, Line], None]:
    left = [number]

    def moment() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    def kept(mirror: Mirror, line: Line) -> None:
        moment()
        keep(mirror, line)
        moment()

    return kept


if __name__ == "__main__":
    setattr(Mirror, "keep", burning(int(sys.argv.pop(1)), Mirror.keep))  # noqa: B010 - for it alone
    main()
