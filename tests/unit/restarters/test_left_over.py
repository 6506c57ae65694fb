"""What a systemd unit left over from before its start, told by when each process began."""

from __future__ import annotations

import pytest

from backout.restarters import systemd
from backout.restarters.listeners import Holder

MAIN = 5_000
"""When the main process began, in ticks of a hundredth of a second."""


@pytest.mark.parametrize(
    ("told", "began", "left_over"),
    [
        ("50.03", MAIN, False),
        ("50.00", MAIN, False),
        ("49.00", MAIN - 90, False),
        ("49.00", MAIN - 110, True),
        ("50.03", MAIN - 110, True),
    ],
)
def test_systemd_may_tell_of_a_start_only_after_the_process_has_begun(
    told: str, began: int, left_over: bool
) -> None:
    """A second before the main process something that prepares may have begun."""
    unit = {
        "ControlGroup": "/system.slice/api.service",
        "InactiveExitTimestampMonotonic": str(int(float(told) * 1e6)),
        "ExecMainStartTimestampMonotonic": str(50_000_000),
    }
    holder = Holder((170, 1), ("/system.slice/api.service",), "python3", began)
    assert systemd._left_over(holder, unit, f"{MAIN}\n") is left_over
