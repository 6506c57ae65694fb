"""A small service behind a balancer: quick pages, slow ones, and a WebSocket that echoes.

`app.py HOST PORT VERSION-FILE`: the version is read once, as the code of a process is. At SIGTERM
it is gone at once, with whatever was open: who takes it out of traffic first loses nothing. Of the
version `flaky` every fifth page fails, though it looks well. `/held/SECONDS` takes so long from
the moment on at which there is a file `go` beside the folder of that file.
"""

import asyncio
import base64
import hashlib
import itertools
import os
import pathlib
import signal
import sys

HOST, PORT, FILE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
VERSION = pathlib.Path(FILE).read_text().strip()
GO = pathlib.Path(FILE).resolve().parents[1] / "go"
TURNS = itertools.count(1)
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *rows = head.decode().split("\r\n")
            headers = {n.lower(): v.strip() for n, _, v in (row.partition(":") for row in rows)}
            path = first.split()[1]
            if headers.get("upgrade", "").lower() == "websocket":
                await echo(reader, writer, headers["sec-websocket-key"])
                return
            await page(writer, path)
            if headers.get("connection", "").lower() == "close" or first.endswith("1.0"):
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


async def page(writer: asyncio.StreamWriter, path: str) -> None:
    if path.startswith("/slow/"):
        await asyncio.sleep(float(path.removeprefix("/slow/")))
    if path.startswith("/held/"):
        while not GO.exists():
            await asyncio.sleep(0.05)
        await asyncio.sleep(float(path.removeprefix("/held/")))
    well = VERSION != "bad" or not path.startswith("/health")
    body = f"{HOST} {VERSION} {os.getpid()}".encode()
    if VERSION == "flaky" and path == "/":
        well = next(TURNS) % 5 > 0
    status = "200 OK" if well else "500 Ill"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
    """Each frame comes back as it is; the client masks, and this side does not."""
    accept = base64.b64encode(
        hashlib.sha1(key.encode() + MAGIC, usedforsecurity=False).digest()
    ).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while True:
        kind, size = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(size & 127)))
        writer.write(bytes((kind, len(data))) + data)
        await writer.drain()
        if kind & 15 == 8:
            return


async def main() -> None:
    server = await asyncio.start_server(serve, HOST, PORT, backlog=1024)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    async with server:
        await server.serve_forever()


asyncio.run(main())
