"""A look that a carrier makes for a driver elsewhere sees what the same look sees there."""

# ruff: noqa: ARG002 - the seams give their methods a form

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from backout.adapters.carrying import parcels
from backout.adapters.redactor import reference_to
from backout.adapters.transports.carried import CarriedTransport
from backout.adapters.vault import Vault
from backout.errors import Unreachable
from backout.language import templates
from backout.model import Check, Host, Observation, SecretSource, Ssh, Target
from backout.ports import ProbeRequest
from backout.probes import KINDS
from backout.project.carrying import _observed, question
from support.loopback import Answer, Web
from support.transports import Shell

HOST = Host(name="web9", address="nowhere.us", zone="us")
NEAR = HOST.model_copy(update={"address": "127.0.0.1"})
SECRET = "h0rse-stapler"


def request(kind: str, host: Host, **options: Any) -> ProbeRequest:
    """As a driver has it: secrets are references."""
    ready = KINDS[kind].Options.model_validate(options)
    vault = Vault({"key": SecretSource(env="KEY")}, environ={"KEY": SECRET})
    return ProbeRequest(
        check=Check(name="look", kind=kind, options=ready, timeout=5.0),
        options=ready,
        host=host,
        timeout=30.0,
        transport=Shell(),
        restarter=lambda: None,  # type: ignore[arg-type, return-value] # nobody asks it
        vault=vault,
        target=Target(name="prod"),
        memory={"at": 3},
    )


def carried(look: ProbeRequest) -> tuple[Observation, Any]:
    """What came back through a parcel, from where the host is `NEAR`."""
    names = templates.references(look.options.model_dump_json())
    words = parcels.asked(parcels.OBSERVE, HOST, Ssh(), mark="m", **question(look, names))
    return parcels.observed(parcels.read(_observed(parcels.read(words), NEAR, Shell())))


def test_a_look_from_there_sees_what_a_look_there_sees_with_the_secrets_that_it_needs() -> None:
    body = '{"ok": true, "n": 12345678901234567890.5, "n": 1, "gone": null}'
    asked = {
        "method": "POST",
        "url": "http://shop.example:{port}/health",
        "headers": {"X-Key": reference_to("key")},
        "json": {"key": reference_to("key")},
    }
    with Web(lambda _: Answer(body)) as web:
        port = web.url.rpartition(":")[2].strip("/")
        options = {**asked, "url": str(asked["url"]).format(port=port)}
        direct = KINDS["http"]().observe(request("http", NEAR, **options))
        seen, memory = carried(request("http", HOST, **options))
    assert direct.error == seen.error == ""
    assert memory == {"at": 3}
    for name in ("status", "body", "text"):
        assert (name, seen.facts[name]) == (name, direct.facts[name])
    here, there = web.asked
    assert (there.path, there.body) == (here.path, here.body)
    assert there.headers["x-key"] == SECRET
    assert there.headers["host"] == f"shop.example:{port}"


def test_what_is_refused_there_is_told_as_it_is_there() -> None:
    seen, _ = carried(request("tcp", HOST, address="1"))
    assert "refused by 127.0.0.1:1" in seen.error


@pytest.mark.parametrize(("cuts", "reached"), [(0, True), (1, True), (2, False)])
def test_a_carrier_that_is_lost_while_a_host_is_reached_for_the_first_time_is_no_bug(
    cuts: int, reached: bool
) -> None:
    class Lost:
        left = cuts

        def send(self, zone: str, host: str, words: bytes, within: float) -> tuple[bytes, str]:
            if self.left:
                self.left -= 1
                raise parcels.Cut("it gave no sign of life")
            return parcels.told(None), "cid@us"

    transport = CarriedTransport(HOST, Ssh(), "~/state", Vault({}), Lost())
    with nullcontext() if reached else pytest.raises(Unreachable, match="no sign of life"):
        transport.open()
