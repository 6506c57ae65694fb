"""A unit that is reloaded: its main process stays, so that it cannot tell that the new release
answers. Who serves are then the workers that hold its port; and what they answer is asked.
"""

from __future__ import annotations

from dataclasses import replace

from backout.model import Identity
from backout.restarters import listeners
from backout.restarters.backend import START_OF, Found, quote, section

_WORKERS, _PROOF = "workers", "proof"
_FAMILY_OF = """\
family_of() {
  for pid in "$@"; do
    echo "$pid.$(start_of "$pid")" "$(readlink "/proc/$pid/cwd")"
    family_of $(cat "/proc/$pid/task/$pid/children")
  done 2>/dev/null
}"""
"""A shell function: processes and their descendants, and where each of them is."""
NO_RELOAD = "its unit cannot be reloaded: give it an ExecReload, or leave `reload` out"
_ALONE = "only its main process listens there, which a reload leaves as it is: leave `reload` out"


def scan(main: str, prove: str) -> tuple[str, ...]:
    """Shell text that lists the descendants of the process that the shell word `main` gives, and
    asks `prove`, as sections."""
    return (
        START_OF,
        _FAMILY_OF,
        section(_WORKERS),
        f"family_of {main}",
        section(_PROOF),
        f"if sh -c {quote(prove)} >/dev/null 2>&1 </dev/null",
        'then echo well; else echo "exit $?"; fi',
    )


def serving(main: Identity, pid: str, found: Found) -> Identity:
    """With its workers as who serves, where it has some. One that has let go of the port, to end
    when it has answered what it took, does not count."""
    holders = {str(each) for each in listeners.holders(found)} - {pid}
    family = [line.partition(" ") for line in found[_WORKERS].splitlines()]
    words = [word for word, _, _ in family if word.partition(".")[0] in holders]
    alive = {pid, *holders}
    places = (place for word, _, place in family if word.partition(".")[0] in alive and place)
    paths = tuple(dict.fromkeys(places))
    return replace(main, value=" ".join(sorted(words)), paths=paths) if words else main


def proved(identity: Identity, main: Identity, found: Found) -> Identity:
    """Up only while its workers serve, and the service's own `prove` succeeds. `main` is the
    identity as its main process has it."""
    if not identity.up:
        return identity
    if identity.value == main.value:
        return replace(identity, up=False, detail=f"{identity.detail}; {_ALONE}", obstacle=_ALONE)
    said = found[_PROOF].strip()
    if said == "well":
        return identity
    words = f"{identity.detail}; `prove` does not succeed ({said})"
    return replace(identity, up=False, detail=words)
