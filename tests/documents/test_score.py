"""The corpus of notes is read as well as is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backout.documents.reading import read

ROOT = Path(__file__).parents[2]


def test_the_corpus_is_read_as_well_as_is_asked() -> None:
    argv = [sys.executable, "bench/documents.py", "--wrong"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Run `npm ci` first.", ["npm ci"]),
        ("Never run `rake db:reset` here.", []),
        ("The config is in `/etc/app/app.conf`.", []),
        ("```sh\ncat > f <<'EOF'\n$ x\nEOF\n```", ["cat > f <<'EOF'\n$ x\nEOF"]),
        ("```sh\na=1 ./x \\\n  --y # why\n```", ["a=1 ./x \\\n  --y"]),
        ("```console\n$ git pull\nAlready up to date.\n```", ["git pull"]),
        ('```\n{\n  "a": 1\n}\n```', []),
        ("- x\n  ```sh\n  make\n  ```", ["make"]),
        ("> ~~~bash\n> make\n> ~~~", ["make"]),
    ],
)
def test_commands_are_told_from_what_only_looks_like_them(text: str, found: list[str]) -> None:
    assert [each.text for each in read(text, "x").found] == found
