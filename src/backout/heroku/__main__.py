"""One word to Heroku about one application. The token is in HEROKU_API_KEY; answers are JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from backout.heroku.client import API, Heroku, HerokuError
from backout.heroku.releases import Releases

TOKEN = "HEROKU_API_KEY"  # noqa: S105 - the name of a variable


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, or change, what the words say."""
    asked = _words().parse_args(arguments)
    try:
        answer = _answer(asked)
    except HerokuError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (LookupError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"Heroku's answer is not of the form that it publishes ({what})\n")
        return 1
    sys.stdout.write(answer if isinstance(answer, str) else f"{json.dumps(answer)}\n")
    return 0


def _words() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m backout.heroku")
    verbs = ["state", "restart", "logs", "releases", "made", "deployed", "back"]
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("app")
    parser.add_argument("--process", default="", help="restart, logs: of one process type")
    parser.add_argument("--lines", type=int, default=100, help="logs: how many")
    parser.add_argument("--commit", default="", help="made, deployed: of what")
    parser.add_argument("--after", type=int, default=0, help="made, deployed: since which version")
    parser.add_argument("--to", default="", help="back: to the release with this id")
    parser.add_argument("--within", type=float, default=600.0, help="how many seconds to wait")
    parser.add_argument("--api", default=API)
    return parser


def _answer(asked: argparse.Namespace) -> object:
    token = os.environ.get(TOKEN, "")
    if not token:
        raise HerokuError(f"no token: {TOKEN} is not set", status=401)
    heroku = Heroku(token, api=asked.api)
    releases = Releases(heroku, asked.app, asked.within)
    match asked.verb:
        case "restart":
            heroku.restart(asked.app, asked.process)
            return ""
        case "logs":
            return heroku.logs(asked.app, asked.lines, asked.process)
        case "releases":
            return releases.state()
        case "made":
            return releases.made(asked.commit, asked.after)
        case "deployed":
            return f"v{releases.deployed(asked.commit, asked.after)['version']}\n"
        case "back":
            return f"v{releases.back(asked.to)['version']}\n"
        case _:
            return {"dynos": heroku.dynos(asked.app), "release": heroku.current(asked.app)}


if __name__ == "__main__":
    sys.exit(main())
