"""Deploying to Heroku, and going back, told by an application's list of releases.

`git push` is no witness: Heroku makes no release of a commit that its git has already, and
goes on building when the connection is cut. The list of releases is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from backout.heroku.client import Heroku, HerokuError, Json

POLL = 2.0
"""Seconds between two looks at something that is pending."""
TAIL = 10
"""Lines of a failed release's own output that are shown."""


@dataclass(frozen=True, slots=True)
class Releases:
    """One application's releases. Methods raise HerokuError; none waits longer than `within`
    seconds."""

    heroku: Heroku
    app: str
    within: float = 600.0
    sleep: Callable[[float], None] = time.sleep

    def state(self) -> Json:
        """Where pushes go, what runs, what came last, and whether something is under way."""
        latest = next(self.heroku.releases(self.app), None)
        return {
            "git_url": self.heroku.app(self.app)["git_url"],
            "current": self.heroku.current(self.app),
            "latest": latest,
            "pending": _pending(latest) or self.heroku.building(self.app),
        }

    def deployed(self, commit: str, after: int) -> Json:
        """The release that brought `commit`, ended well. When none did since version `after`,
        because Heroku's git had the commit before, an earlier release of it is made again."""
        made = self.made(commit, after)
        return self._ended(made) if made else self._known_release(commit)

    def made(self, commit: str, after: int) -> Json | None:
        """The release since version `after` that a push of `commit` made."""
        for release in self.heroku.releases(self.app):
            if release["version"] <= after:
                return None
            if _brings(release, commit):
                return release
        return None

    def back(self, id: str) -> Json:
        """The release that has the code of the one with this id: the current one when that is
        so already, else a new one. Nothing overtakes it: what is under way is awaited first."""
        self.quiet()
        wanted = self.heroku.release(self.app, id)
        current = self.heroku.current(self.app)
        if current and _same_code(current, wanted):
            return current
        return self._ended(self.heroku.roll_back(self.app, id))

    def quiet(self) -> None:
        """Wait until nothing is under way."""
        self._until(
            lambda: not self.state()["pending"], f"a build or a release of {self.app} is pending"
        )

    def _known_release(self, commit: str) -> Json:
        short = commit[:7]
        found = (each for each in self.heroku.releases(self.app) if _brings(each, commit))
        earlier = next((each for each in found if each["status"] == "succeeded"), None)
        if earlier is None:
            raise HerokuError(
                f"Heroku has {short} already and made no release of it: commit something"
                " (git commit --allow-empty), so that there is something to push"
            )
        current = self.heroku.current(self.app)
        if current and _same_code(current, earlier):
            return current
        return self._ended(self.heroku.roll_back(self.app, earlier["id"]))

    def _ended(self, release: Json) -> Json:
        """The release when its own command has ended. Raises HerokuError unless it succeeded."""
        latest = release

        def over() -> bool:
            nonlocal latest
            latest = self.heroku.release(self.app, release["id"])
            return not _pending(latest)

        self._until(over, f"{_words(release)} is pending")
        if latest["status"] != "succeeded":
            said = self.heroku.output(latest).strip().splitlines()[-TAIL:]
            raise HerokuError("\n".join((*said, f"{_words(latest)} {latest['status']}")))
        return latest

    def _until(self, done: Callable[[], bool], still: str) -> None:
        waited = 0.0
        while not done():
            if waited + POLL > self.within:
                raise HerokuError(f"{still} still, after {self.within:g} s")
            self.sleep(POLL)
            waited += POLL


def _pending(release: Json | None) -> bool:
    return release is not None and release["status"] == "pending"


def _brings(release: Json, commit: str) -> bool:
    """Whether a push of this commit made the release: its description is `Deploy 5ce0a2c1`."""
    named = re.fullmatch(r"Deploy ([0-9a-f]{7,40})", release["description"])
    return named is not None and commit.startswith(named[1])


def _same_code(one: Json, other: Json) -> bool:
    """Whether two releases are known to run the same; configuration makes releases too. Of one
    that names neither a slug nor artifacts nobody can tell."""
    code = one["slug"] or one["artifacts"]
    return one["id"] == other["id"] or bool(code and code == (other["slug"] or other["artifacts"]))


def _words(release: Json) -> str:
    return f"release v{release['version']} ({release['description']})"
