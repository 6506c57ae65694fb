"""Whether a command only looks: told by all of its words, for a look that is none would be a step
without a way back."""

from __future__ import annotations

import re

_FREELY = """
    ls cat pwd whoami id which df free uptime head tail grep egrep wc test [ echo printf stat du
    printenv ping dig nslookup uname ps readlink sha256sum md5sum true
""".split()  # noqa: SIM905 - programs, as a list of words
"""These only look, whatever they are given."""
_ANY = r"(?: \S.*)?"
_FORMS: tuple[str, ...] = (
    r"\S+ (?:--version|-v|-V|version)",
    r"command -v \S+",
    r"hostname(?: -\w+)?",
    r"date(?: (?:-u|-I\w*|-R|--utc|--iso\S*|\+\S+|\"\+[^\"]*\"|'\+[^']*'))*",
    r"env",
    r"git(?: -C \S+)? (?:status|log|diff|rev-parse|rev-list|show|describe|fetch|ls-files|ls-remote|"
    rf"shortlog|blame){_ANY}",
    r"git(?: -C \S+)? branch(?: (?:-a|-r|-v|-vv|--list|--show-current|--all|--merged|--contains))*",
    r"git(?: -C \S+)? (?:remote(?: -v| show \S+| get-url \S+)?|tag(?: -l.*| --list.*)?|stash list)",
    rf"git(?: -C \S+)? config (?:--get|--list|-l){_ANY}",
    r"(?:nginx -t|apachectl configtest|caddy validate)",
    r"(?:kubectl|oc)(?: -n \S+| --(?:namespace|context)[= ]\S+)* (?:get|describe|top|version|"
    rf"cluster-info|config (?:view|get-contexts|current-context)){_ANY}",
    rf"docker(?: container| image)? (?:ps|ls|images|version|info|inspect|pull|logs){_ANY}",
    rf"docker(?: |-)compose(?: -[fp] \S+)* (?:ps|ls|config|version|pull|images|logs){_ANY}",
    r"heroku (?:config|config:get|ps|releases|releases:info|info|apps|apps:info|auth:whoami|"
    rf"pg:info){_ANY}",
    rf"systemctl (?:--user )?(?:status|is-active|is-enabled|show|cat|list-units){_ANY}",
    rf"pm2 (?:list|ls|status|describe|show|jlist|prettylist|info){_ANY}",
    rf"supervisorctl (?:status|pid|avail){_ANY}",
    rf"(?:npm (?:ls|list|outdated|view)|pip3? (?:list|show|freeze|check)){_ANY}",
)
_LOOKS = re.compile("|".join((*(re.escape(name) + _ANY for name in _FREELY), *_FORMS)))
_MORE = re.compile(r"[;&|>`\n]|\$\(")


def only_looks(text: str) -> bool:
    """Whether a command changes nothing; one that holds others is not looked into."""
    bare = re.sub(r"^sudo (?:-u \S+ )?", "", text.strip())
    return bool(_LOOKS.fullmatch(bare)) and not _MORE.search(bare)
