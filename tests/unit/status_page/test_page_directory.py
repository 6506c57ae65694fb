"""The directory of the status page: what is somebody else's there stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from backout.adapters.web.html import Pages, Site
from backout.status_page import views
from support.project import Project

CHECKS = {"alive": {"command": "true", "expect": ["exit_code == 0"]}}


@pytest.fixture
def page() -> str:
    """A page as it is written."""
    view = views.status_view((), now=1_780_000_000.0, stale_after=90)
    return Pages(str).status(view)["index.html"]


def test_pages_of_runs_that_are_not_listed_are_removed_and_nobody_elses(
    tmp_path: Path, page: str
) -> None:
    site = Site(tmp_path)
    for run in ("a", "b"):
        site.write_run(run, page)
    (tmp_path / "runs/marathon.html").write_text("<h1>Marathon</h1>")

    site.keep(["b"])

    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"b.html", "marathon.html"}


def test_a_directory_with_somebody_elses_page_is_refused(tmp_path: Path, page: str) -> None:
    project = Project(tmp_path / "project")
    project.inventory("prod", {"checks": CHECKS})
    www = tmp_path / "www"
    www.mkdir()
    (www / "index.html").write_text("<h1>Shop</h1>")
    words = ("watch", "--once", "--page", str(www))

    said = project.say(*words)

    assert said.code == 3
    assert f"{www}/index.html is not Backout's" in said.err
    assert (www / "index.html").read_text() == "<h1>Shop</h1>"
    (www / "index.html").write_text(page)
    assert project.say(*words).code == 0
    assert project.say(*words).code == 0
