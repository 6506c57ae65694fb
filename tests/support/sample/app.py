"""A small HTTP service that tests deploy. What it does wrong is part of the deployed code.

It is started so often that it takes nothing along that a socket does not need.
"""

import os
import signal
import socket
import sys
import threading
import time

VERSION = "1"
BEHAVIOUR = "healthy"
AFTER = 0.5

HERE = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib costs as much as the rest
ANSWER = "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}"


def release() -> str:
    """The release this process was started from."""
    try:
        with open(HERE + "/RELEASE") as file:  # noqa: PTH123 - as above
            return file.read().strip()
    except FileNotFoundError:
        return VERSION


def log(*words: object) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


RELEASE = release()


def answer(path: str) -> tuple[str, str]:
    """The status, and a body of JSON."""
    if BEHAVIOUR == "hang":
        time.sleep(3600)
    told = f'"release": "{RELEASE}", "pid": {os.getpid()}'
    if BEHAVIOUR == "error-500":
        return "500 Internal Server Error", f'{{"status": "error", {told}}}'
    if path == "/health":
        return "200 OK", f'{{"status": "ok", {told}}}'
    return "404 Not Found", '{"status": "not found"}'


def serve(link: socket.socket) -> None:
    """Answer one request after the other, as long as the other side asks."""
    try:
        with link, link.makefile("rb") as lines:
            while asked := lines.readline().split():
                heads = b""
                while (line := lines.readline()).strip():
                    heads += line.lower()
                status, body = answer(asked[1].decode())
                log("request", asked[1].decode(), status[:3])
                link.sendall(ANSWER.format(status, len(body), body).encode())
                if asked[2] == b"HTTP/1.0" or b"connection: close" in heads:
                    return
    except OSError:
        pass  # whoever asked is gone


def main() -> None:
    log("starting release", RELEASE, "as", os.getpid())
    if BEHAVIOUR == "ignore-sigterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if BEHAVIOUR == "crash-at-start":
        sys.exit("boom: release " + RELEASE + " cannot start")
    if BEHAVIOUR == "crash-later":
        threading.Timer(AFTER, os._exit, (3,)).start()
    if BEHAVIOUR == "never-bind":
        time.sleep(3600)
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    with socket.create_server(address) as server:
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
