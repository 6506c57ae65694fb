"""A PgBouncer, which gives each transaction a session of its own, or as it is told."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from . import ports
from .postgres import Postgres
from .process import Process
from .tools import program
from .wait import eventually


@contextmanager
def pooled(server: Postgres, mode: str = "transaction") -> Iterator[int]:
    """Pool the server's databases in that mode, on a loopback port; yields the port."""
    port = ports.free_port()
    config = server.directory / f"pgbouncer-{port}.ini"
    config.write_text(f"""\
[databases]
* = host=127.0.0.1 port={server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
""")
    words = [program("pgbouncer"), str(config)]
    if os.geteuid() == 0:
        shutil.chown(config, "postgres", "postgres")
        words[:0] = [program("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    process = Process(words, log=server.directory / "pgbouncer.log")
    try:
        eventually(lambda: ports.accepts("127.0.0.1", port), saying="PgBouncer")
        yield port
    finally:
        process.stop()
        ports.release(port)
