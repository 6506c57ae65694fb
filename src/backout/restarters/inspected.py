"""What `docker inspect` says of a container, as far as it is needed."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.alias_generators import to_pascal

from backout.model import Boolean
from backout.restarters.foreign import Foreign

# Only what is needed: a container's environment, secrets and all, stays on the machine.
FORMAT = "".join(
    """{"Id":{{json .Id}},"Name":{{json .Name}},"Image":{{json .Image}},
"RestartCount":{{.RestartCount}},"State":{{json .State}},
"Config":{"Image":{{json .Config.Image}},"Labels":{{json .Config.Labels}}},
"HostConfig":{"NetworkMode":{{json .HostConfig.NetworkMode}},
"AutoRemove":{{json .HostConfig.AutoRemove}}},
"NetworkSettings":{"Ports":{{json .NetworkSettings.Ports}}},
"Mounts":{{json .Mounts}}}""".splitlines()
)


class _Named(Foreign):
    model_config = ConfigDict(alias_generator=to_pascal)


class _Health(_Named):
    status: str = ""


class _State(_Named):
    status: str = ""
    started_at: str = ""
    health: _Health = _Health()


class _Config(_Named):
    image: str = ""
    labels: dict[str, str] = {}  # noqa: RUF012 - pydantic copies it


class _HostConfig(_Named):
    network_mode: str = ""
    auto_remove: Boolean = False


class _Binding(_Named):
    host_port: str = ""


class _NetworkSettings(_Named):
    ports: dict[str, tuple[_Binding, ...] | None] = {}  # noqa: RUF012 - pydantic copies it


class _Mount(_Named):
    source: str = ""


class Inspected(_Named):
    """What is needed of `docker inspect`, in the Engine's own words."""

    id: str = ""
    name: str = ""
    image: str = ""
    restart_count: int = 0
    state: _State = _State()
    config: _Config = _Config()
    host_config: _HostConfig = _HostConfig()
    network_settings: _NetworkSettings = _NetworkSettings()
    mounts: tuple[_Mount, ...] = ()
