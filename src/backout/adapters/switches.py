"""Dead-man's switches: what is to hear from here now and then, or raises an alarm elsewhere."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

TIMEOUT = 10.0
"""Seconds that a switch is waited for."""


def ping(url: str, *, failed: str = "") -> str:
    """Tell a dead-man's switch that all is well, or with `failed` that it is not (`/fail` at the
    end of the URL's path); why it did not hear, or nothing."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return "not an http or https URL"
    if failed:
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))
    try:
        with _opener()(url, timeout=TIMEOUT):
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
