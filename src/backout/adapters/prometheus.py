"""Prometheus, asked by its HTTP API: one instant query at a time.

https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import http.client
import json
import math
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from backout.errors import Refused
from backout.ports import Vault

TIMEOUT = 10.0
"""Seconds that an answer may take."""
LIMIT = 1 << 20


class Prometheus:
    """One Prometheus. Its address, headers and queries may refer to secrets."""

    def __init__(self, url: str, headers: Mapping[str, str], vault: Vault) -> None:
        self._url = url.rstrip("/")
        self._headers = headers
        self._vault = vault
        direct = urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(direct, _Stays())

    def ask(self, query: str) -> Sequence[tuple[Mapping[str, str], float]]:
        """See `ports.Metrics`."""
        try:
            return tuple(_samples(self._answer(query)))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise self._refused("its answer is not one of Prometheus") from error

    def _answer(self, query: str) -> Any:
        reveal = self._vault.reveal
        if not re.match("https?://", url := reveal(self._url)):
            raise self._refused("it begins with neither http:// nor https://")
        body = urlencode({"query": reveal(query)}).encode()
        headers = {name: reveal(value) for name, value in self._headers.items()}
        try:
            request = urllib.request.Request(  # noqa: S310 - its scheme is held to http and https
                f"{url}/api/v1/query", body, headers
            )
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                said = json.loads(answer.read(LIMIT))
        except urllib.error.HTTPError as error:
            raise self._refused(_why(error)) from None
        except urllib.error.URLError as error:
            raise self._refused(str(error.reason)) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._refused(str(error) or type(error).__name__) from None
        if said["status"] != "success":
            raise self._refused(str(said.get("error", said["status"])))
        return said["data"]

    def _refused(self, why: str) -> Refused:
        return Refused(self._vault.redact(f"Prometheus at {self._url} cannot be asked: {why}"))


class _Stays(urllib.request.HTTPRedirectHandler):
    """Its headers may hold credentials: they go nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _samples(data: Any) -> Iterator[tuple[Mapping[str, str], float]]:
    """What has a finite number. Raises ValueError for a range, or a text."""
    kind, result = data["resultType"], data["result"]
    if kind not in ("vector", "scalar"):
        raise ValueError(kind)
    rows = [{"metric": {}, "value": result}] if kind == "scalar" else result
    for row in rows:
        number = float(row["value"][1])
        if math.isfinite(number):
            yield row["metric"], number


def _why(error: urllib.error.HTTPError) -> str:
    """What it says is wrong with a query, else its status."""
    try:
        said = json.loads(error.read(LIMIT))["error"]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        said = ""
    return f"{error.code} {said or error.reason}"
