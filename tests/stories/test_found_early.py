"""What a step of `steps` or `settle` lacks is found before the first change, with how to get it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.yard import Yard

SETTLED: dict[str, dict[str, Any]] = {
    "docker": {"name": "Restart", "restart": {}, "on": "web"},
    "psycopg": {"name": "Seed", "sql": {"database": "postgresql://h/x", "script": "SELECT 1"}},
}
ROOT = Path(__file__).parents[2]
EXTRAS = {"docker": "docker", "psycopg": "postgres"}


@pytest.mark.parametrize("library", SETTLED)
def test_a_library_that_settle_needs_is_missed_before_anything_acts(
    yard: Yard, tmp_path: Path, library: str
) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{library}.py").write_text("raise ImportError('it is not installed')\n")
    yard.project.env["PYTHONPATH"] = str(hidden)
    yard.inventory(service={"name": "api", "backend": "docker"})
    prove = {"name": "Prove it", "verify": "all"}
    yard.runbook(yard.step("First"), settle=[{**SETTLED[library], "readonly": True}, prove])

    process = yard.start()
    out, err = process.communicate(timeout=60)

    assert process.returncode == 3, out + err
    install = f"-m pip install -e '{ROOT}[{EXTRAS[library]}]'"
    assert json.loads(out)["next"].endswith(install), "as this Backout was installed"
    assert yard.effects() == {}
