"""Fabric's own ThreadingGroup, with known hosts enforced as Backout does.

python fabric_group.py HOSTS.json COMMANDS
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import paramiko
from fabric import Connection, ThreadingGroup


def connection(host: dict[str, str]) -> Connection:
    made = Connection(
        host["address"],
        port=int(host["port"]),
        user="root",
        connect_kwargs={
            "key_filename": host["identity"],
            "look_for_keys": False,
            "allow_agent": False,
        },
    )
    made.client.load_host_keys(host["known_hosts"])
    made.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    return made


def main() -> None:
    hosts = json.loads(Path(sys.argv[1]).read_text())
    group = ThreadingGroup.from_connections([connection(host) for host in hosts])
    for _ in range(int(sys.argv[2])):
        group.run(hosts[0]["command"], hide=True, in_stream=False)
    group.close()


main()
