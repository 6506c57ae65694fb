"""`update` by `heroku`: a commit pushed to the application's git, and its release awaited.

Heroku is asked from this machine, whatever `on` says, with the service's token. The way back is
Heroku's own: the release that runs now, made again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from shlex import join, quote
from typing import Any

from backout.errors import Refused
from backout.model import Command, Result, Source, State, Undo
from backout.ports import StepContext
from backout.steps.base import Kind
from backout.steps.git import QUIET, git, source
from backout.steps.script import Env, Facts, output, read, told, way_back

TOKEN = "HEROKU_API_KEY"  # noqa: S105 - the name of a variable

_ANSWER = f'[ "$1" != get ] || printf "username=backout\\npassword=%s\\n" "${TOKEN}"'
_SETTINGS = (
    "-c", "credential.helper=",
    "-c", f"credential.helper=!f() {{ {_ANSWER}; }}; f",
    "-c", "http.followRedirects=false",
)  # fmt: skip
"""Git is given the token, and only git.heroku.com is."""


class Heroku(Kind):
    """What Heroku's list of releases says is the outcome, not what `git push` said."""

    undoes = True

    def describe(self, work: StepContext) -> str:
        app, commit = _application(work).name, work.release.commit or "COMMIT"
        return f"git push https://git.heroku.com/{app}.git {commit}:refs/heads/main"

    def before(self, work: StepContext) -> Undo:
        app = _application(work)
        state = app.read(work, "releases")
        _may_push(source(work), app.git(work, state["git_url"]))
        current, after = state["current"], state["latest"]["version"] if state["latest"] else 0
        if state["pending"]:
            raise Refused(f"somebody deploys {app.name} right now: a build or release is pending")
        if work.step.undo is None and not work.step.irreversible:
            _may_go_back(app, current)
        version, id = (current["version"], current["id"]) if current else (0, "")
        text = f"heroku releases:rollback v{version} --app {quote(app.name)}"
        summary = f"Heroku: a new release with the code of v{version}"
        return way_back(work, text, {"release": id, "after": after}, summary)

    def act(self, work: StepContext) -> Result:
        app, where, commit = _application(work), source(work), work.release.commit
        if not commit:
            return Result(State.FAILED, reason="the release has no commit")
        try:
            state = app.read(work, "releases")
            branch = app.git(work, state["git_url"])["branch"][0]
        except Refused as error:
            return Result(State.FAILED, reason=error.what)
        after = state["latest"]["version"] if state["latest"] else 0
        push = f"{git(where.repository)} {join((*_SETTINGS, 'push', '-q', state['git_url']))}"
        script = f"""\
{QUIET}
said=$({push} {commit}:refs/heads/{branch} 2>&1) || {{ printf '%s\\n' "$said" >&2; exit 1; }}
printf '%s\\n' "$said"
{app.ask("deployed", "--commit", commit, "--after", str(after), *_within(work))}"""
        return _outcome(work.here.run(app.command(script, work)))

    def recall(self, work: StepContext, undo: Undo) -> Result | None:
        """The note on this machine knows; where it does not, the list of releases may."""
        noted = work.here.recall(work.key, work.step.timeout)
        if noted is None or noted.state is not State.UNKNOWN:
            return noted and _outcome(noted)
        words = ("--commit", work.release.commit, "--after", str(undo.data["after"]))
        try:
            release = _application(work).read(work, "made", *words)
        except Refused:
            return noted
        if release is None:
            return noted
        states = {"succeeded": State.DONE, "pending": State.UNKNOWN}
        reason = f"release v{release['version']} {release['status']}"
        return Result(states.get(release["status"], State.FAILED), reason=reason)

    def undo(self, work: StepContext, undo: Undo) -> Result:
        if work.step.undo is not None:
            return super().undo(replace(work, transport=work.here), undo)
        app = _application(work)
        asked = app.ask("back", "--to", undo.data["release"], *_within(work))
        return told(work.here.run(app.command(asked, work)))


@dataclass(frozen=True, slots=True)
class _Application:
    """One application, and how this machine asks about it."""

    name: str
    api: str
    token: str

    def ask(self, verb: str, *words: str) -> str:
        """Shell text that says one word to Heroku."""
        api = ("--api", self.api) if self.api else ()
        return join((sys.executable, "-m", "backout.heroku", verb, *words, *api, "--", self.name))

    @property
    def env(self) -> Env:
        return ((TOKEN, self.token),) if self.token else ()

    def command(self, script: str, work: StepContext) -> Command:
        """A command that changes something."""
        step = work.step
        return Command(script, env=self.env, timeout=step.timeout, key=work.key, title=step.name)

    def read(self, work: StepContext, verb: str, *words: str) -> Any:
        """What Heroku answers. Raises Refused in Heroku's words."""
        return json.loads(output(work.here, self.ask(verb, *words), self._heroku, self.env))

    def git(self, work: StepContext, url: str) -> Facts:
        """What Heroku's git has, and by which branch. Raises Refused."""
        where = source(work).repository
        branches = ("refs/heads/main", "refs/heads/master")
        script = f"""\
{QUIET}
listed=$({git(where)} {join((*_SETTINGS, "ls-remote", url, *branches))})
head=${{listed%%[!0-9a-f]*}}
echo "head=$head"
case $listed in "" | *refs/heads/main*) echo branch=main ;; *) echo branch=master ;; esac
ours() {{ {git(where)} merge-base --is-ancestor "$head" HEAD 2>/dev/null; }}
if [ -z "$head" ] || ours; then echo forward=yes; else echo forward=no; fi"""
        return read(work.here, script, self._heroku, self.env)

    @property
    def _heroku(self) -> str:
        return f"{self.name} on Heroku"


def _application(work: StepContext) -> _Application:
    """The source's, or the service's when that is on Heroku. Raises Refused."""
    service = work.target.service_on(work.host)
    name, api, token = source(work).app, "", ""
    if service and service.backend == "heroku":
        name = name or service.options.app or service.name
        api, token = service.options.api, service.options.token
    if not name:
        raise Refused("source.app is missing: which application on Heroku")
    return _Application(work.render(name), work.render(api), work.render(token))


def _may_push(where: Source, facts: Facts) -> None:
    if facts["forward"][0] == "no":
        raise Refused(
            f"Heroku's git has {facts['head'][0][:7]}, which {where.repository} at HEAD has not:"
            " a push would not be a fast-forward; take it in, or push by hand once"
        )


def _may_go_back(app: _Application, current: Any) -> None:
    if current is None:
        raise Refused(f"{app.name} has no release to come back to: deploy by hand once")
    if not current["eligible_for_rollback"]:
        raise Refused(
            f"Heroku says that release v{current['version']} of {app.name}"
            f" ({current['description']}) is not eligible for rollback: there would be no way back;"
            " deploy by hand once, or give the step `irreversible: WHY`"
        )


def _within(work: StepContext) -> tuple[str, str]:
    """How long the program waits: it says itself what is pending, before it is killed."""
    return "--within", f"{work.step.timeout * 0.9:g}"


def _outcome(result: Result) -> Result:
    if not result.ok:
        return told(result)
    return replace(result, saved={"release": result.stdout.split()[-1]})
