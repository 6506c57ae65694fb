"""The vault: fetched when needed, and never seen again."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backout.adapters.redactor import redact_data
from backout.adapters.vault import Vault
from backout.errors import Refused
from backout.model import SecretSource

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEF\nx\n-----END KEY-----"


def reference(name: str) -> str:
    return f"\ue000{name}\ue001"


def vault_of(**values: str) -> Vault:
    """A vault whose secrets come from the environment, and so are in force from the start."""
    return Vault(
        {name: SecretSource(env=f"V_{name}") for name in values},
        environ={f"V_{name}": value for name, value in values.items()},
    )


# --- fetching ------------------------------------------------------------------------------


def test_a_secret_comes_from_the_environment() -> None:
    vault = Vault({"app_id": SecretSource(env="APP_ID")}, environ={"APP_ID": "s3cret-id"})

    assert vault.reveal(f"id={reference('app_id')};") == "id=s3cret-id;"


@pytest.mark.parametrize(
    ("bytes_", "why"), [(r"Gr\374n", "is not text in UTF-8"), (r"a\000b", "holds a NUL")]
)
def test_a_secret_that_no_command_could_be_given_is_refused_when_it_is_fetched(
    bytes_: str, why: str
) -> None:
    vault = Vault({"key": SecretSource(command=f"printf '{bytes_}-secret'")})

    with pytest.raises(Refused, match=f"secret key {why}") as caught:
        vault.fetch(["key"])

    assert "-secret" not in str(caught.value)


def test_a_secret_comes_from_a_command_that_runs_once_beside_the_inventories(
    tmp_path: Path,
) -> None:
    command = 'echo asked >> asked; printf \'from %s\\n\' "$(basename "$PWD")"'
    vault = Vault({"session": SecretSource(command=command)}, tmp_path)

    first, again = vault.reveal(reference("session")), vault.reveal(reference("session"))

    assert first == again == f"from {tmp_path.name}"
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_a_command_is_not_run_before_its_secret_is_needed(tmp_path: Path) -> None:
    vault = Vault({"session": SecretSource(command="touch asked; echo value")}, tmp_path)

    assert vault.reveal("nothing to reveal") == "nothing to reveal"
    assert not (tmp_path / "asked").exists()


def test_a_secret_comes_from_a_file_under_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "url").write_text("postgres://here/db\n")
    (tmp_path / "url").chmod(0o600)
    vault = Vault({"database": SecretSource(file="~/url")}, "/nowhere")

    assert vault.reveal(reference("database")) == "postgres://here/db"
    assert vault.warnings == ()


def test_a_file_that_others_may_read_is_warned_about(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret-key")
    (tmp_path / "key").chmod(0o640)
    vault = Vault({"key": SecretSource(file="key")}, tmp_path)
    vault.fetch(["key"])

    assert [f"chmod 600 {tmp_path / 'key'}" in warning for warning in vault.warnings] == [True]


@pytest.mark.parametrize(
    ("source", "says", "next_step"),
    [
        (SecretSource(env="UNSET"), "environment variable UNSET", "export UNSET="),
        (SecretSource(env="EMPTY"), "environment variable EMPTY", "export EMPTY="),
        (SecretSource(file="no/such"), "No such file", "chmod 600"),
        (SecretSource(file="empty"), "empty gives nothing", "write the value into"),
        (SecretSource(file="binary"), "not UTF-8", "write the value into"),
        (SecretSource(command="true"), "`true` gives nothing", "true"),
        (SecretSource(command="echo locked >&2; exit 3"), "exited 3: locked", "exit 3"),
        (SecretSource(command="exec sleep 60"), "did not answer within 0.2 s", "sleep 60"),
    ],
)
def test_a_missing_secret_is_refused_by_name_with_its_source_and_a_way_to_provide_it(
    tmp_path: Path, source: SecretSource, says: str, next_step: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    within = 0.2 if says.startswith("did not answer") else 60.0
    vault = Vault({"session": source}, tmp_path, environ={"EMPTY": ""}, timeout=within)

    with pytest.raises(Refused) as refused:
        vault.reveal(reference("session"))

    assert "secret session" in refused.value.what
    assert says in refused.value.what
    assert next_step in refused.value.next


def test_a_secret_that_the_inventory_does_not_name_is_refused() -> None:
    with pytest.raises(Refused, match="no secret named nobody"):
        Vault({}).reveal(reference("nobody"))


def test_a_failed_fetch_is_tried_again_when_it_is_needed_again(tmp_path: Path) -> None:
    vault = Vault({"late": SecretSource(file="late")}, tmp_path)
    with pytest.raises(Refused):
        vault.fetch(["late"])
    (tmp_path / "late").write_text("here now")

    assert vault.reveal(reference("late")) == "here now"


def test_many_threads_that_need_one_secret_fetch_it_once(tmp_path: Path) -> None:
    vault = Vault({"s": SecretSource(command="echo x >> asked; echo s3cret")}, tmp_path)
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.append(vault.reveal(reference("s")))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == ["s3cret"] * 8
    assert (tmp_path / "asked").read_text() == "x\n"


def test_what_a_failing_command_prints_is_redacted() -> None:
    vault = Vault(
        {"a": SecretSource(env="A"), "b": SecretSource(command='echo "no: hunter22" >&2; exit 1')},
        environ={"A": "hunter22"},
    )
    with pytest.raises(Refused) as refused:
        vault.fetch(["b"])

    assert "hunter22" not in refused.value.what.split("exited 1")[1]


def test_nothing_about_a_vault_shows_a_value() -> None:
    vault = vault_of(app="s3cret-value")

    assert repr(vault) == "Vault(app)"
    assert "s3cret" not in f"{vault} {vault.warnings} {vault.stream()!r} {vault.redactor!r}"


# --- redacting -----------------------------------------------------------------------------


def test_a_value_from_the_environment_is_redacted_before_anybody_asked_for_it() -> None:
    assert vault_of(app="s3cret-value").redact("env: s3cret-value") == "env: [secret app]"


def test_a_reference_is_shown_to_a_person_by_name() -> None:
    assert vault_of(app="s3cret-value").redact(reference("app")) == "[secret app]"


def test_the_password_of_a_url_is_redacted_alone_too() -> None:
    vault = vault_of(database="postgres://app:Tr0ub4dor%263@db/prod")

    assert vault.redact("auth Tr0ub4dor&3 Tr0ub4dor%263") == "auth [secret database]" + (
        " [secret database]"
    )


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres://app:pa/ss-Word9@db/prod",
        "postgres://app:pass@Word-9@db/prod",
        "postgres://app:pass#Word-9@db/prod",
        "postgres://app:pass?Word-9@db/prod",
        "postgres://app:pass%Word-9@db/prod",
        "postgres://db/prod?user=app&password=pass-Word-9",
        "host=db user=app password=pass Word-9 dbname=prod",
        "host=db password='pass Word-9' user=app",
    ],
)
def test_no_part_of_a_password_is_told_that_its_database_url_ought_to_have_escaped(
    dsn: str,
) -> None:
    """The driver takes what follows an `@`, a `/` or a blank for a host, a name or a mistake."""
    psycopg = pytest.importorskip("psycopg")
    vault = vault_of(database=dsn)
    try:
        said = str(psycopg.conninfo.conninfo_to_dict(dsn))
    except psycopg.Error as error:
        said = str(error)

    assert "ord-9" not in vault.redact(said)
    assert "Word9" not in vault.redact(said)


def test_a_port_and_a_path_are_no_password() -> None:
    vault = vault_of(api="https://api.example:8443/hooks@v2?user=me")

    assert vault.redact("/hooks at 8443, v2") == "/hooks at 8443, v2"


def test_base64_that_is_broken_into_lines_is_redacted_line_by_line() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9." + "".join(map(str, range(100, 160)))
    vault = vault_of(token=token)
    encoded = base64.b64encode(token.encode()).decode()

    for columns in (64, 76):
        lines = [encoded[at : at + columns] for at in range(0, len(encoded), columns)]
        assert [vault.redact(line) for line in lines] == ["[secret token]"] * len(lines)


@pytest.mark.parametrize("value", ["s3cret-value-" + "x" * 90, 'a"s3cret"-value-' + "x" * 90])
def test_a_value_that_a_text_was_cut_in_is_no_less_a_secret(value: str) -> None:
    vault = vault_of(app=value)

    for text in (value, json.dumps(value)[1:-1]):
        for size in (4, 20, 60):
            shown = vault.redact(f"it said '{text[:size]}…' and '{text}'")
            assert shown == "it said '[secret app]…' and '[secret app]'"
    assert vault.redact("and so on…") == "and so on…"


def test_a_value_of_many_lines_is_redacted_line_by_line() -> None:
    shown = vault_of(key=KEY).redact("+ MIIEvQIBADANBgkq\r\n+   hkiG9w0BAQEF\n+ x")

    assert shown == "+ [secret key]\r\n+   [secret key]\n+ x"


def test_a_very_short_value_is_redacted_as_a_word_only_and_warned_about() -> None:
    vault = vault_of(pin="no")

    assert vault.redact("no, not now: bm8= no") == (
        "[secret pin], not now: [secret pin] [secret pin]"
    )
    assert "pin is shorter than 4" in vault.warnings[0]


def test_of_two_overlapping_values_no_part_is_left() -> None:
    shown = vault_of(one="abcdef", two="defghi").redact("<abcdefghi>")

    assert shown == "<[secret one]>"


def test_the_label_itself_cannot_leak() -> None:
    for value in ("secret", "[sec", "pass]", "]abc", "cret p"):
        vault = vault_of(password=value)
        assert value not in vault.redact(f"{value}abc[{value} {value}]abc")


def test_a_journaled_value_is_a_reference_that_can_be_revealed() -> None:
    vault = vault_of(one="abcdef", two='it\'s "x"')
    text = f"run 'abcdef' it's \"x\" {reference('one')}"

    referred = vault.refer(text)

    assert referred == f"run '{reference('one')}' {reference('two')} {reference('one')}"
    assert vault.reveal(referred) == text.replace(reference("one"), "abcdef")


def test_a_part_of_a_value_is_kept_by_its_place_and_of_another_value_there_is_none() -> None:
    url = "postgres://api:gigz-9@db/prod"
    vault = vault_of(database=url)

    referred = vault.refer("rm -r /srv/gigz-9/old")

    assert "gigz" not in referred
    assert vault.reveal(referred) == "rm -r /srv/gigz-9/old"
    assert vault.redact(referred) == "rm -r /srv/[secret database]/old"
    assert vault.refer(referred) == vault.hide(referred) == referred
    with pytest.raises(Refused, match="secret database is another one than when a part of it"):
        vault_of(database=url.replace("prod", "production")).reveal(referred)


def test_a_name_that_spells_a_value_stays_a_name_in_its_reference() -> None:
    vault = vault_of(database="database")

    assert vault.refer(reference("database")) == reference("database")
    assert "\ue000" not in vault.redact(reference("database"))


def test_data_is_redacted_to_its_leaves_and_keys() -> None:
    vault = vault_of(app="s3cret-value")
    data = {"s3cret-value": ("a", {"b": "x s3cret-value"}), "n": 7, "t": None, "f": True}

    assert redact_data(data, vault.redact) == {
        "[secret app]": ["a", {"b": "x [secret app]"}],
        "n": 7,
        "t": None,
        "f": True,
    }
    assert vault.reveal_data({"a": [reference("app")]}) == {"a": ["s3cret-value"]}


ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda v: base64.b64encode(v.encode()).decode(),
    "base64 for URLs": lambda v: base64.urlsafe_b64encode(v.encode()).decode().rstrip("="),
    "base64 after 1 byte": lambda v: base64.b64encode(b":" + v.encode()).decode()[2:],
    "base64 after 2 bytes": lambda v: base64.b64encode(b"u:" + v.encode()).decode()[3:],
    "URL": lambda v: quote(v, safe=""),
    "URL path": quote,
    "URL form": quote_plus,
    "URL form, lower case": lambda v: _lower_percent(quote_plus(v)),
    "JSON": lambda v: json.dumps(v)[1:-1],
    "JSON in UTF-8": lambda v: json.dumps(v, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda v: json.dumps(json.dumps(v)[1:-1])[1:-1],
    "PHP's JSON": lambda v: json.dumps(v)[1:-1].replace("/", "\\/"),
    "shell": shlex.quote,
    "Python": lambda v: repr(v)[1:-1],
    "Python bytes": lambda v: repr(v.encode())[2:-1],
    "HTML": html.escape,
    "hex": lambda v: v.encode().hex(),
    "JavaScript's URL": lambda v: quote(v, safe="!'()*~"),
    "Go's URL": lambda v: quote(v, safe="$&+,;="),
    "URL, every octet": lambda v: "".join(f"%{octet:02X}" for octet in v.encode()),
    "base64 in a URL": lambda v: quote(base64.b64encode(v.encode()).decode().rstrip("="), safe=""),
    "Go's JSON": lambda v: re.sub(
        "[<>&]", lambda match: f"\\u{ord(match[0]):04x}", json.dumps(v, ensure_ascii=False)[1:-1]
    ),
    "JSON, every character": lambda v: re.sub(
        "(....)", r"\\u\1", v.encode("utf-16-be", "surrogatepass").hex()
    ),
    "Flask's HTML": lambda v: html.escape(v).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "XML": lambda v: html.escape(v, quote=False),
}


def _lower_percent(text: str) -> str:
    return re.sub("%..", lambda match: match[0].lower(), text)


def _core(encoding: str, encoded: str) -> str:
    """The characters of an encoded value that no neighbour has a share in."""
    return encoded.rstrip("=")[:-1] if "base64" in encoding else encoded


values = st.text(min_size=4, max_size=40).filter(
    lambda value: value == value.rstrip("\r\n") and not set(value) & {"\ue000", "\ue001"}
)
texts = st.text(max_size=30).filter(lambda text: not set(text) & {"\ue000", "\ue001"})
names = st.sampled_from(sorted(ENCODINGS))


@given(value=values, before=texts, after=texts, encoding=names)
@example(value="]abc", before="", after="abc", encoding="raw")
@example(value="0000", before="0", after="0", encoding="raw")
@example(value="p/+ä\"'$", before="", after="", encoding="PHP's JSON")
def test_no_encoding_of_any_secret_survives_in_any_text(
    value: str, before: str, after: str, encoding: str
) -> None:
    encoded = ENCODINGS[encoding](value)

    shown = vault_of(name=value).redact(before + encoded + after)

    assert _core(encoding, encoded) not in shown
    assert value not in shown


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_every_encoder_escapes_otherwise_is_hidden_in_a_text_and_in_its_chunks(
    encoding: str,
) -> None:
    value = "p!s$&<w>0r\"d'/+*(~)=;:@,|^` \\nä€\U0001f600[%]#?9"
    vault = vault_of(name=value)
    encoded = ENCODINGS[encoding](value)
    for text in (f"said: {encoded}, and so on\n", encoded):
        core = _core(encoding, encoded)
        assert core not in vault.redact(text)
        assert "[secret name]" in vault.redact(text)
        for size in (1, 2, 3, 5, 7, 11):
            stream = vault.stream()
            shown = "".join(map(stream.feed, _chunks(text, [size]))) + stream.flush()
            assert shown == vault.redact(text)


@given(value=values, other=values, encoding=names, sizes=st.lists(st.integers(1, 9), min_size=1))
@example(value="0000", other="000000", encoding="raw", sizes=[1])
@example(value="no", other="nono", encoding="raw", sizes=[1, 2])
def test_chunks_are_redacted_exactly_as_the_whole_text(
    value: str, other: str, encoding: str, sizes: list[int]
) -> None:
    vault = vault_of(one=value, two=other)
    encoded = ENCODINGS[encoding](value)
    text = f"{other[:3]}{encoded}{other}{reference('one')} {encoded[:-1]}"
    stream = vault.stream()

    shown = "".join(stream.feed(chunk) for chunk in _chunks(text, sizes)) + stream.flush()

    assert shown == vault.redact(text)


def _chunks(text: str, sizes: list[int]) -> Iterator[str]:
    size = itertools.cycle(sizes)
    while text:
        chunk, text = text[: (step := next(size))], text[step:]
        yield chunk


def test_a_stream_holds_back_only_what_may_be_the_start_of_a_secret() -> None:
    stream = vault_of(app="s3cret-value").stream()

    assert stream.feed("building s3c") == "building "
    assert stream.feed("tion 9\n") == "s3ction 9\n"
    assert stream.feed("token s3cret-value, ") == "token [secret app], "
    assert stream.feed("s3cret") == ""
    assert stream.flush() == "s3cret"


def test_a_lone_private_use_character_does_not_stop_a_stream() -> None:
    stream = Vault({}).stream()

    assert stream.feed("\ue000 icon\n") == "\ue000 icon\n"


def test_a_secret_that_comes_into_force_is_redacted_in_a_running_stream(tmp_path: Path) -> None:
    vault = Vault({"late": SecretSource(command="echo s3cret-late")}, tmp_path)
    stream = vault.stream()
    stream.feed("begin ")
    vault.fetch(["late"])

    assert stream.feed("s3cret-late.") == "[secret late]."
