"""`status` and `restart` as supervisorctl has them, in a fifth of its time, most of which is a
Python that reads all of supervisor.

It stands alone: its text goes to the host, where supervisorctl's own Python runs it. Whatever is
not as usual it leaves to supervisorctl, which is asked after it and says so in its own words.
"""

import os
import re
import socket
import sys
from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_MINE = 99
"""The exit code for what supervisorctl has to do."""
FAILED = 7
PLACES = ("etc/supervisord.conf", "supervisord.conf")
EVERYWHERE = ("/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")
DONE = 80
HARMLESS = {60: "already started", 70: "not running"}
WORDS = {
    **HARMLESS,
    20: "no such file",
    21: "file is not executable",
    40: "abnormal termination",
    50: "spawn error",
}
STRUCT = re.compile(r"<struct>(.*?)</struct>", re.S)
MEMBER = re.compile(r"<name>(\w+)</name>\s*<value><(?:string|int)>(.*?)</", re.S)
STRING = re.compile(r"<string>(.*?)</string>", re.S)


class Strange(Exception):
    """Something that supervisorctl has to see."""


class Fault(Exception):
    """What supervisord refused, by its code."""


class Server:
    """The supervisord that a configuration names for supervisorctl."""

    def __init__(self, config: str) -> None:
        """Raises Strange where that cannot be told from the plain text of the file."""
        values = dict(_section(config))
        self._url = values.get("serverurl", "").replace("%(here)s", os.path.dirname(config))
        login = values.get("username", ""), values.get("password", "")
        if "%" in self._url + "".join(login):
            raise Strange
        self._login = b2a_base64(":".join(login).encode()).decode().strip() if all(login) else ""

    def call(self, method: str, *words: str) -> str:
        """What a method of supervisord's answers. Raises Fault, Strange and OSError."""
        values = (f"<value><string>{_escaped(word)}</string></value>" for word in words)
        params = "".join(f"<param>{value}</param>" for value in values)
        call = f"<methodName>supervisor.{method}</methodName><params>{params}</params>"
        body = f"<?xml version='1.0'?><methodCall>{call}</methodCall>".encode()
        head = f"POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n"
        if self._login:
            head += f"Authorization: Basic {self._login}\r\n"
        link = self._connect()
        try:
            link.sendall(f"{head}\r\n".encode() + body)
            heard = b"".join(iter(lambda: link.recv(65536), b"")).decode("utf-8", "replace")
        finally:
            link.close()
        status, _, text = heard.partition("\r\n\r\n")
        if " 200 " not in status.partition("\r\n")[0] or "</methodResponse>" not in text:
            raise Strange
        if "<fault>" in text:
            raise Fault(int(next(_structs(text))["faultCode"]))
        return text

    def _connect(self) -> socket.socket:
        kind, _, where = self._url.partition("://")
        if kind == "unix":
            link = socket.socket(socket.AF_UNIX)
            try:
                link.connect(where)
            except OSError:
                link.close()
                raise
            return link
        found = re.match(r"([^/:]+):(\d+)/?$", where)
        if kind != "http" or not found:
            raise Strange
        return socket.create_connection((found[1], int(found[2])))


def _section(config: str) -> "Iterator[tuple[str, str]]":
    inside = False
    with open(config, encoding="utf-8") as file:
        for line in file:
            if line.startswith("["):
                inside = line.startswith("[supervisorctl]")
            elif inside and not line.startswith((";", "#")):
                if line[:1].isspace() and line.strip():
                    raise Strange  # it goes on from the line above
                key, _, value = re.sub(r"\s[;#].*", "", line).partition("=")
                yield key.strip(), value.strip()


def _escaped(word: str) -> str:
    return word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _structs(text: str) -> "Iterator[dict[str, str]]":
    for found in STRUCT.findall(text):
        yield {name: _plain(value) for name, value in MEMBER.findall(found)}


def _title(group: str, name: str) -> str:
    return name if group == name else f"{group}:{name}"


def status(server: Server, group: str, name: str) -> int:
    """Say each process's state, as `supervisorctl status` does; `name` is empty for a group."""
    rows = [row for row in _structs(server.call("getAllProcessInfo")) if row["group"] == group]
    rows = [row for row in rows if name in ("", row["name"])]
    for row in rows:
        print(_title(group, row["name"]), row["statename"], row["description"])
    return 0 if rows else NOT_MINE


def restart(server: Server, group: str, name: str) -> int:
    """Stop and start, unless the section that supervisord has is another than that on disk."""
    if group in map(_plain, STRING.findall(server.call("reloadConfig"))):
        return NOT_MINE
    return _turn(server, "stop", group, name) or _turn(server, "start", group, name)


def _turn(server: Server, verb: str, group: str, name: str) -> int:
    code = 0
    for title, status in _turned(server, verb, group, name):
        if status != DONE and status not in WORDS:
            raise Strange
        done = "stopped" if verb == "stop" else "started"
        print(f"{title}: {done if status == DONE else f'ERROR ({WORDS[status]})'}")
        if status != DONE and status not in HARMLESS:
            code = FAILED
    return code


def _turned(server: Server, verb: str, group: str, name: str) -> "Iterator[tuple[str, int]]":
    if name:
        try:
            server.call(f"{verb}Process", f"{group}:{name}")
        except Fault as fault:
            yield _title(group, name), fault.args[0]
        else:
            yield _title(group, name), DONE
    else:
        for row in _structs(server.call(f"{verb}ProcessGroup", group)):
            yield _title(row["group"], row["name"]), int(row["status"])


def _found(program: str) -> str:
    """The file that supervisorctl would read."""
    above = os.path.dirname(os.path.dirname(program))
    places = (*(os.path.join(above, place) for place in PLACES), *reversed(PLACES), *EVERYWHERE)
    return next(place for place in places if os.path.exists(place))


def main(program: str, config: str, verb: str, name: str) -> int:
    """`program` is supervisorctl, `name` as it spells it."""
    group, _, process = name.partition(":")
    process = group if ":" not in name else "" if process == "*" else process
    try:
        server = Server(os.path.abspath(config or _found(program)))
        return (status if verb == "status" else restart)(server, group, process)
    except (Strange, Fault, OSError, LookupError, StopIteration, ValueError):
        return NOT_MINE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
