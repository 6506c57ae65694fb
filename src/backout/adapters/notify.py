"""How a letter leaves this machine: Apprise for people, a plain GET for dead-man's switches.

Neither raises: what went wrong comes back in words, and nothing means that it was taken.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

TIMEOUT = 30.0
"""The longest that one attempt may take."""
PING_TIMEOUT = 10.0
HEADER = "Idempotency-Key"
FIELD = "dedupe_key"
_TAKES_HEADERS = ("json", "jsons", "form", "forms", "xml", "xmls")
_TYPES = {"open": "failure", "worse": "failure", "remind": "warning", "resolve": "success"}


def post(url: str, kind: str, key: str, title: str, body: str) -> str:
    """Send one message to one Apprise URL; why it was not taken, or nothing. A receiver of our
    own (`json://` and its like) gets the key as a header and a field, everyone else as the last
    line."""
    try:
        apprise = _apprise()
    except ImportError:
        return "Apprise is not installed: pip install 'backout[watch]'"
    own = urlsplit(url).scheme.lower() in _TAKES_HEADERS
    try:
        sender = apprise.Apprise()
        if not sender.add(_with_key(url, key) if own else url):
            return "this is no URL that Apprise knows"
        done = sender.notify(
            title=title,
            body=body if own else f"{body}\nref: {key}",
            notify_type=_TYPES.get(kind, "info"),
            body_format="text",
            timeout=TIMEOUT,
        )
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and it is a failure
        return f"{type(error).__name__}: {error}"
    return "" if done else _reason(done)


def _apprise() -> Any:
    import logging
    import warnings

    # What it has to put in order, here or in a plug-in that it loads later, is its own concern.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"apprise(\.|$)")
    import apprise

    log = logging.getLogger("apprise")  # it speaks through its result, not on the screen
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return apprise


def _with_key(url: str, key: str) -> str:
    joint = "&" if urlsplit(url).query else "?"
    return f"{url}{joint}%2B{HEADER}={quote(key)}&%3A{FIELD}={quote(key)}"


def _reason(done: Any) -> str:
    logs = getattr(done, "logs", None)
    said = [str(entry.message) for entry in logs()] if callable(logs) else []
    return "; ".join(dict.fromkeys(said)) or "the receiver did not take it"


def ping(url: str, *, failed: str = "") -> str:
    """Tell a dead-man's switch that all is well, or with `failed` that it is not (`URL/fail`);
    why it did not hear, or nothing."""
    if urlsplit(url).scheme not in ("http", "https"):
        return "not an http or https URL"
    if failed:
        url = f"{url.rstrip('/')}/fail"
    try:
        with _opener()(url, timeout=PING_TIMEOUT):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(getattr(error, "reason", "") or error) or type(error).__name__


@lru_cache(maxsize=1)
def _opener() -> Callable[..., Any]:
    opener = urllib.request.build_opener()
    opener.addheaders = [("User-Agent", "backout")]
    return opener.open
