"""The documents are a site one can search, without a warning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_site_is_built_strictly_and_finds_what_the_documents_say(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=390,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    index = json.loads((tmp_path / "search" / "search_index.json").read_text("utf-8"))
    told = " ".join(page["text"] for page in index["docs"])
    for words in ("It says two", "backing out is incomplete", "annotation"):
        assert words in told
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "fonts.googleapis" not in page, "nothing is fetched from elsewhere"
    assert "../README.md)" not in page
