"""Pages as HTML: no script, nothing from elsewhere, every value redacted, cleaned and escaped.

What a template is given reaches the page through `Pages.show` alone, so no template can forget
it. The style sheet is allowed by its hash and nothing else is: a name that gets past the escaping
still runs and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backout.adapters.terminal.ui import clean
from backout.errors import BackoutError

if TYPE_CHECKING:
    from jinja2 import Environment

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")
LONGEST = 20_000
"""No more characters of one value are shown; the journal has all of them."""
GRACE = 5
"""Seconds that a fresh page may take to arrive, before the old one is called stale."""


class Pages:
    """Renders views. `redact` is asked about every text that is shown."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def status(self, view: Any) -> dict[str, str]:
        """The status page by file name: `index.html`, and the pair that follows by itself.

        The two of the pair load each other, under a fragment that names what was seen last. Is
        that what the next one shows too, nothing was written meanwhile: it is stale at once.
        """
        still, live = (self._status(view, then) for then in ("", "again.html"))
        again = live.replace("url=again.html#", "url=live.html#", 1)
        return {"index.html": still, "live.html": live, "again.html": again}

    def _status(self, view: Any, then: str) -> str:
        return self._render("status.html", view, limit=view.stale_after + GRACE, then=then)

    def run(self, view: Any) -> str:
        return self._render("run.html", view)

    def _render(self, name: str, view: Any, limit: int = 0, **names: Any) -> str:
        from markupsafe import Markup

        style = _source("style.css") + (f":root{{--limit:{limit}s}}" if limit else "")
        return self._environment.get_template(name).render(
            view=view,
            style=Markup(style),  # noqa: S704 - our own file
            csp=policy(style),
            **names,
        )

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, FunctionLoader, StrictUndefined

        return Environment(
            loader=FunctionLoader(_source),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=self.show,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def show(self, value: Any) -> Any:
        """What may be seen of a value."""
        if value is None:
            return ""
        if hasattr(value, "__html__") or isinstance(value, int | float):
            return value
        text = clean(self._redact(str(value)))
        if len(text) > LONGEST:
            return f"… {len(text) - LONGEST} characters before\n{text[-LONGEST:]}"
        return text


def policy(style: str) -> str:
    """The Content-Security-Policy of a page with this style sheet."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _source(name: str) -> str:
    return (files("backout.adapters") / "templates" / name).read_text("utf-8")


_OURS = b"base-uri &#39;none&#39;; form-action &#39;none&#39;"
"""Stands near the beginning of each page."""


def _is_ours(page: Path) -> bool:
    try:
        with page.open("rb") as file:
            return _OURS in file.read(1000)
    except OSError:
        return False


class Site:
    """The pages as files. They are as open as the directory they are in, which is for nobody else
    unless somebody made it otherwise."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, pages: Mapping[str, str]) -> None:
        """The status page, by file name. Raises BackoutError when it cannot be written."""
        for name, html in pages.items():
            self._replace(self.directory / name, html)

    def write_run(self, run: str, html: str) -> None:
        """The page of one run. Raises BackoutError when it cannot be written."""
        self._replace(self.path_of(run), html)

    def path_of(self, run: str) -> Path:
        if not RUN.fullmatch(run):
            raise BackoutError(f"{run!r} is no name of a run")
        return self.directory / "runs" / f"{run}.html"

    @property
    def foreign(self) -> Path | None:
        """A page of somebody else, in whose place ours would be written."""
        index = self.directory / "index.html"
        return index if index.exists() and not _is_ours(index) else None

    def keep(self, runs: Iterable[str]) -> None:
        """Remove the pages of all other runs, and nobody else's."""
        wanted = {f"{run}.html" for run in runs}
        for path in self.directory.glob("runs/*.html"):
            if path.name not in wanted and _is_ours(path):
                with suppress(OSError):
                    path.unlink()

    def _make_room(self, directory: Path) -> None:
        if directory != self.directory:
            self._make_room(self.directory)
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True)
            if directory != self.directory:
                directory.chmod(self.directory.stat().st_mode & 0o755)

    def _replace(self, path: Path, html: str) -> None:
        """A reader sees the old page or the new one, never half of one."""
        new = path.with_name(f".{path.name}.new")
        try:
            self._make_room(path.parent)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(html.encode("utf-8", "replace"))
            new.chmod(0o600 | path.parent.stat().st_mode & 0o044)
            new.replace(path)
        except OSError as error:
            raise BackoutError(
                f"the status page cannot be written: {error.strerror}",
                where=str(path),
                next=f"make {self.directory} writable",
            ) from error
