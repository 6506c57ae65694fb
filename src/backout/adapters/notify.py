"""How a message leaves this machine for people: by Apprise.

Nothing raises: what went wrong comes back in words, and none mean that it was taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache, wraps
from typing import Any
from urllib.parse import quote, urlsplit

from backout.model import Delivery

TIMEOUT = 30.0
"""The longest that one attempt may take."""
HEADER = "Idempotency-Key"
FIELD = "dedupe_key"
LEAST_ROOM, MOST_ROOM = 140, 40_000
UNFIT = frozenset({400, 406, 411, 413, 414, 415, 422, 431})
"""What these statuses find fault with is the message: it is refused for good."""
CLOSED = frozenset({401, 403, 404, 405, 410})
"""What these find fault with is the destination: nothing gets through until it is mended."""
_TAKES_HEADERS = ("json", "jsons", "form", "forms", "xml", "xmls")
_TYPES = {
    **{"open": "failure", "worse": "failure", "remind": "warning", "resolve": "success"},
    **{"deployed": "success", "rolled-back": "success", "backed-out": "warning"},
    "needs-person": "failure",
}
"""By the kind of a message; what is not here is to know."""
_ERROR = re.compile(r"\berror=(\d{3})\b")

_answers: ContextVar[list[tuple[int, Mapping[str, str]]] | None] = ContextVar(
    "answers", default=None
)
"""The HTTP answers of the attempt under way; Apprise carries it into its own threads."""


def post(url: str, kind: str, key: str, title: str, body: str) -> Delivery:
    """Send one message to one Apprise URL. A receiver of our own (`json://` and its like) gets
    the key as a header and a field, everyone else as the last line. What is longer than the
    service takes is shortened, its first lines and its last one kept."""
    try:
        apprise = _apprise()
    except ImportError:
        return Delivery("Apprise is not installed: pip install 'backout[watch]'")
    own = urlsplit(url).scheme.lower() in _TAKES_HEADERS
    reference = "" if own else f"\nref: {key}"
    answers: list[tuple[int, Mapping[str, str]]] = []
    token = _answers.set(answers)
    try:
        sender = apprise.Apprise()
        if not sender.add(_with_key(url, key) if own else url):
            return Delivery("this is no URL that Apprise knows", closed=True)
        room = min(_room(each, title) for each in sender) - len(reference)
        done = sender.notify(
            title=title,
            body=f"{shortened(body, room)}{reference}",
            notify_type=_TYPES.get(kind, "info"),
            body_format="text",
            timeout=TIMEOUT,
        )
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything, and it is a failure
        return Delivery(f"{type(error).__name__}: {error}")
    finally:
        _answers.reset(token)
    return Delivery() if done else _refusal(_reason(done), answers)


def room(url: str) -> int:
    """How many characters of title and body a destination takes at once."""
    try:
        sender = _apprise().Apprise()
        sender.add(url)
        return min((_room(each, "") - 60 for each in sender), default=MOST_ROOM)
    except Exception:  # noqa: BLE001 - whatever it is, `post` will say it
        return MOST_ROOM


def shortened(text: str, room: int) -> str:
    """`text` in `room` characters: the beginning, and the last line, which says what to type."""
    if len(text) <= room:
        return text
    last = (text.splitlines() or [""])[-1][: room // 3]
    mark = "\n… (shortened)\n"
    return f"{text[: max(0, room - len(last) - len(mark))]}{mark}{last}"[:room]


def _room(plugin: Any, title: str) -> int:
    """For the body; where the title counts too, without it."""
    limit = int(getattr(plugin, "body_maxlen", 0) or MOST_ROOM)
    together = getattr(plugin, "overflow_amalgamate_title", False) or not plugin.title_maxlen
    return max(LEAST_ROOM, min(MOST_ROOM, limit) - (len(title) + 8 if together else 0))


def _refusal(words: str, answers: list[tuple[int, Mapping[str, str]]]) -> Delivery:
    """What a failure means: by the last HTTP answer, or by what the plug-in says of one."""
    status, headers = answers[-1] if answers else (0, {})
    if not 400 <= status < 600:
        found = _ERROR.search(words)
        status = int(found[1]) if found else 0
    return Delivery(words, unfit=status in UNFIT, closed=status in CLOSED, wait=_patience(headers))


def _patience(headers: Mapping[str, str]) -> float:
    """Retry-After, in seconds or as a date."""
    said = headers.get("Retry-After", "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


@lru_cache(maxsize=1)
def _apprise() -> Any:
    import logging
    import warnings

    # What it has to put in order, here or in a plug-in that it loads later, is its own concern.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"apprise(\.|$)")
    import apprise
    import requests

    # Plug-ins keep what the service answered to themselves: its status and its Retry-After.
    requests.Session.send = _overheard(requests.Session.send)  # type: ignore[method-assign]
    log = logging.getLogger("apprise")  # it speaks through its result, not on the screen
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    return apprise


def _overheard(send: Callable[..., Any]) -> Callable[..., Any]:
    """Notes the answers to what is sent within `post`, and changes nothing."""

    @wraps(send)
    def sent(*args: Any, **how: Any) -> Any:
        answer = send(*args, **how)
        answers = _answers.get()
        if answers is not None:
            answers.append((int(answer.status_code), answer.headers))
        return answer

    return sent


def _with_key(url: str, key: str) -> str:
    joint = "&" if urlsplit(url).query else "?"
    return f"{url}{joint}%2B{HEADER}={quote(key)}&%3A{FIELD}={quote(key)}"


def _reason(done: Any) -> str:
    logs = getattr(done, "logs", None)
    said: Iterable[Any] = logs() if callable(logs) else ()
    words = [str(entry.message) for entry in said]
    return "; ".join(dict.fromkeys(words)) or "the receiver did not take it"
