"""The least that Paramiko can do: one connection a host, one channel a command, no records.

python bare_paramiko.py HOSTS.json COMMANDS
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko


def visit(host: dict[str, str], commands: int) -> None:
    client = paramiko.SSHClient()
    client.load_host_keys(host["known_hosts"])
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    client.connect(
        host["address"],
        port=int(host["port"]),
        username="root",
        key_filename=host["identity"],
        look_for_keys=False,
        allow_agent=False,
    )
    for _ in range(commands):
        _, out, _ = client.exec_command(host["command"])
        out.read()
        if out.channel.recv_exit_status():
            raise SystemExit("a command failed")
    client.close()


def main() -> None:
    hosts = json.loads(Path(sys.argv[1]).read_text())
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: visit(host, int(sys.argv[2])), hosts))


main()
