"""`status` and `restart` as supervisorctl has them, in a tenth of its time, most of which is a
Python that reads all of supervisor.

It stands alone: its text goes to the host, where supervisorctl's own Python runs it. Whatever is
not as usual it leaves to supervisorctl, which is asked after it and says so in its own words.
What it imports (no `re`, no `socket` for a Unix socket) is most of what it costs.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Iterator

NOT_MINE = 99
"""The exit code for what supervisorctl has to do."""
FAILED = 7
SEEN = "=== seen"
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


class Strange(Exception):
    """Something that supervisorctl has to see."""


class Fault(Exception):
    """What supervisord refused, by its code."""


WEIRD = (Strange, Fault, OSError, LookupError, StopIteration, ValueError)


class Server:
    """The supervisord that a configuration names for supervisorctl."""

    def __init__(self, config: str) -> None:
        """Raises Strange where that cannot be told from the plain text of the file."""
        values = dict(_section(config))
        self._url = values.get("serverurl", "").replace("%(here)s", os.path.dirname(config))
        login = values.get("username", ""), values.get("password", "")
        if "%" in self._url + "".join(login):
            raise Strange
        self._login = _base64(":".join(login)) if all(login) else ""

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

    def _connect(self) -> "_socket.socket":
        kind, _, where = self._url.partition("://")
        if kind == "unix":
            return _unix(where)
        host, _, port = (where[:-1] if where.endswith("/") else where).partition(":")
        if kind != "http" or not host or "/" in host or not port.isdecimal():
            raise Strange
        from socket import create_connection

        return create_connection((host, int(port)))


def _unix(path: str) -> "_socket.socket":
    from _socket import AF_UNIX, socket

    link = socket(AF_UNIX)
    try:
        link.connect(path)
    except OSError:
        link.close()
        raise
    return link


def _base64(text: str) -> str:
    from binascii import b2a_base64

    return b2a_base64(text.encode()).decode().strip()


def _section(config: str) -> "Iterator[tuple[str, str]]":
    inside = False
    with open(config, encoding="utf-8") as file:
        for line in file:
            if line.startswith("["):
                inside = line.startswith("[supervisorctl]")
            elif inside and not line.startswith((";", "#")):
                if line[:1].isspace() and line.strip():
                    raise Strange  # it goes on from the line above
                key, _, value = _without_remark(line).partition("=")
                yield key.strip(), value.strip()


def _without_remark(line: str) -> str:
    for at, sign in enumerate(line):
        if sign in ";#" and line[:at][-1:].isspace():
            return line[:at]
    return line


def _escaped(word: str) -> str:
    return word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _structs(text: str) -> "Iterator[dict[str, str]]":
    for struct in _between(text, "<struct>", "</struct>"):
        yield dict(map(_member, _between(struct, "<member>", "</member>")))


def _member(text: str) -> "tuple[str, str]":
    """Its name and its value, whether that is a string or a number."""
    name, value = (_between(text, *ends) for ends in (("<name>", "</name>"), ("<value><", "</")))
    return next(name, ""), _plain(next(value, "").partition(">")[2])


def _between(text: str, begin: str, end: str) -> "Iterator[str]":
    for rest in text.split(begin)[1:]:
        yield rest.partition(end)[0]


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
    """Stop and start, unless the section that supervisord has is another than that on disk. Says
    what is then, too, behind `SEEN`."""
    if group in map(_plain, _between(server.call("reloadConfig"), "<string>", "</string>")):
        return NOT_MINE
    code = _turn(server, "stop", group, name) or _turn(server, "start", group, name)
    print(SEEN)
    try:
        status(server, group, name)
    except WEIRD:
        pass  # it has restarted; whoever asks hears it from supervisorctl
    return code


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
    except WEIRD:
        return NOT_MINE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
