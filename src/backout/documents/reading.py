"""A note -> what was found in it, line by line: commands, blanks, requests, refusals, questions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from backout.documents import classify, phases, placeholders, session, shell, spoken, variables
from backout.documents.alternatives import alternatives, followed
from backout.documents.forms import blocks
from backout.documents.markdown import Block, lines_of
from backout.documents.nouns import Found, Question, Reading, Rejected
from backout.documents.requests import requests
from backout.documents.suspicion import LONGEST, TOO_LONG, suspicious
from backout.documents.words import simple

SHELLS = frozenset(
    [
        "sh",
        "bash",
        "shell",
        "zsh",
        "fish",
        "ksh",
        "dash",
        "console",
        "shell-session",
        "shellsession",
        "sh-session",
        "terminal",
        "bash-session",
        "term",
        "cmd",
        "command",
        "commands",
        "cli",
        "prompt",
        "sudo",
    ]
)
CONSOLES = frozenset(
    ["console", "shell-session", "shellsession", "sh-session", "terminal", "bash-session", "term"]
)
UNSAID = frozenset(("", "text", "txt", "plain", "plaintext", "none", "code", "raw"))
NEAREST = 8
"""Lines between a request and the answer that the note shows."""
_ANSWER = re.compile(
    r"(?:^[<\s]*HTTP/[\d.]+\s+|^#\s*(?:[-=]?>|→)\s*|^#.*\b(?:should|expect\w*|returns?|answers?|must|"
    r"erwartet\w*|liefert|sollte|doit|renvoie|debe|deve|devuelve|retorna)\b\D*)(?P<code>[1-5]\d\d)\b",
    re.IGNORECASE,
)
NEAR = 200
"""Characters around a command in a sentence that say whether it is to be run."""
_LABEL = re.compile(
    r"^#+\s*(?:[-*•]\s*|\d+[.)]\s*)?(?:(?P<label>[A-Za-z][\w .()/+-]{0,40}?)\s*(?::|->|=>|"
    r"→|–|—)\s+)?(?P<text>\S.*)$"
)
SPOKEN_OF = "the sentence speaks of it, and does not say to run it"
_SETTING = re.compile(r"^[A-Z][A-Z0-9_]*=\S*$")
"""A line of an environment file, among commands that nobody said to be some."""
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?P<code>.+?)(?<!`)\1(?!`)")
_PARENS = re.compile(
    r"(?<!\$)\((?P<code>(?:git|npm|pm2|docker|systemctl|heroku|kubectl|sudo|"
    r"supervisorctl)\s+[a-z][^()]*)\)"
)


def read(text: str, source: str) -> Reading:
    """Everything that a note says, in its order. Nothing of it is run; no input raises."""
    reader = _Reader(session.Session(variables.asked_for(text)))
    for block in blocks(source, text):
        reader.take(block)
    found = alternatives(followed(reader.found))
    defined = frozenset(name for each in found for name in placeholders.assigned(each.text))
    blanks = tuple(
        p for each in found for p in placeholders.found(each.text, each.line, defined=defined)
    )
    return Reading(
        source, lines_of(text), reader.title, found, blanks, tuple(reader.rejected),
        tuple(reader.questions), tuple(reader.way_back), defined,
    )  # fmt: skip


@dataclass(slots=True)
class _Reader:
    """Takes the blocks in their order, and remembers what was last done and where."""

    session: session.Session
    found: list[Found] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    way_back: list[Rejected] = field(default_factory=list)
    title: str = ""
    block: Block | None = None
    """Where the last command stood."""

    def take(self, block: Block) -> None:
        self.title = self.title or next(iter(block.trail), "")
        if block.kind == "prose":
            self._prose(block)
        elif block.kind == "left":
            self._reject(block, block.attributes)
        elif block.language in SHELLS or block.language in UNSAID:
            self._code(block)
        else:
            self._reject(block, f"{block.language}, not a shell command")

    def _reject(self, block: Block, reason: str) -> None:
        self.rejected += (
            Rejected(number, line.strip()[:LONGEST], reason)
            for number, line in enumerate(block.lines, block.first)
            if line.strip()
        )

    def _code(self, block: Block) -> None:
        block = replace(block, host=block.host or spoken.machines(block.lead))
        told = block.language in SHELLS
        pieces = shell.segment(
            tuple(line[:LONGEST] for line in block.lines),
            block.first,
            console=block.language in CONSOLES,
            loose=block.language in UNSAID,
        )
        statements = [piece for piece in pieces if isinstance(piece, shell.Statement)]
        variable = re.compile(r"[A-Z_][A-Z0-9_]*=" if told else r"[A-Za-z_]\w*=")
        environment = bool(statements) and all(
            variable.match(s.text) and classify.not_a_command(s.text, told=False)
            for s in statements
        )
        mostly = sum(
            classify.known(s.text) and not classify.not_a_command(s.text, told=True)
            for s in statements
        ) * 2 > len(statements)
        remark = answer = ""
        long = {n for n, line in enumerate(block.lines, block.first) if len(line) > LONGEST}
        for piece in pieces:
            if long and not long.isdisjoint(range(piece.line, piece.last + 1)):
                self.rejected.append(Rejected(piece.line, piece.text, TOO_LONG))
            elif isinstance(piece, shell.Output):
                self.rejected.append(Rejected(piece.line, piece.text, "output, not a command"))
            elif isinstance(piece, shell.Remark):
                if self._expected(piece.text, piece.line):
                    answer = piece.text.lstrip("#! ").strip()
                elif not ((told or mostly) and self._remark(piece, block, remark)):
                    remark = _said(piece.text) or remark
            else:
                trusted = (told or piece.prompted or mostly) and not environment
                alone = not told and not piece.prompted and _SETTING.match(piece.text)
                reason = classify.not_a_command(piece.text, told=trusted and not alone)
                if not reason and not trusted and re.fullmatch(r"\w[\w.-]*", piece.text):
                    reason = "a name among others, not a command"
                said = piece.comment.removeprefix(answer).strip() if answer else piece.comment
                self._judge(replace(piece, comment=said), block, reason)
                answer = ""

    def _judge(self, piece: shell.Statement, block: Block, reason: str) -> None:
        reason = suspicious(piece.text) or reason
        self.session.prompted(piece.who, piece.place)
        if not reason:
            self._add(piece.line, piece.last, piece.text, block, piece.comment)
            return
        for number, line in enumerate(piece.text.split("\n"), piece.line):
            if line.strip():
                self._expected(line, number)
                self.rejected.append(Rejected(number, line.strip(), reason))

    def _expected(self, text: str, line: int) -> bool:
        """Whether this says what the request before it answers; the request keeps it then."""
        before = self.found[-1] if self.found and self.found[-1].requests else None
        status = _ANSWER.search(text) if before and line - before.last <= NEAREST else None
        if before is None or status is None or (text.startswith("#") and line - before.last > 1):
            return False
        self.found[-1] = replace(before, comment=f"{before.comment} {status['code']}".strip())
        return True

    def _remark(self, piece: shell.Remark, block: Block, before: str) -> bool:
        """A command that stands in a comment, if one does: `# - Heroku: heroku restart`."""
        match = _LABEL.match(piece.text)
        if not match or suspicious(piece.text) or piece.text.startswith("#!"):
            return False
        label, text = match["label"] or "", match["text"].strip("`")
        if label and classify.known(label) and " " in label and not classify.known(text):
            label, text = "", piece.text.lstrip("# ").strip()
        if not spoken.commented(text, labelled=bool(label)):
            return False
        text = text.rstrip(".") if label else text
        said = f"{label} {before}".strip()
        self._add(piece.line, piece.line, text, block, said, ("commented",), label)
        return True

    def _prose(self, block: Block) -> None:
        if any(len(line) > LONGEST for line in block.lines):
            self._reject(block, TOO_LONG)
            return
        count = len(self.found)
        before = ""
        for number, line in enumerate(block.lines, block.first):
            quoted = _SPAN.sub(lambda span: " " * len(span.group()), line)
            for match in (*_SPAN.finditer(line), *_PARENS.finditer(quoted)):
                text = re.sub(r"^\$\s+", "", match["code"].strip())
                ahead = f"{before}{line[: match.start()]}"[-NEAR:]
                behind = line[match.end() :][:NEAR]
                if spoken.ordered(ahead, behind, text, parens=match.re is _PARENS):
                    own = _bare(_QUOTED.sub(_answer, line[: 2 * NEAR]))
                    lead = own if re.search(r"\w", own) else block.lead
                    self._add(number, number, text, replace(block, lead=lead), "", ("inline",))
                elif spoken.of_a_command(text):
                    self.rejected.append(Rejected(number, text, SPOKEN_OF))
            before = f"{before}{line} "[-NEAR:]
        if len(self.found) == count:
            self._bare_lines(block)
        if len(self.found) == count and phases.back(block.trail, "", ""):
            text = " ".join(line.strip() for line in block.lines)
            text = re.sub(r"^(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s*)?", "", text)
            self.way_back.append(Rejected(block.first, _bare(text), ""))

    def _bare_lines(self, block: Block) -> None:
        """Commands that stand in a paragraph as they are, without a fence or a quote."""
        lines = [
            (number, spoken.unlisted(line)) for number, line in enumerate(block.lines, block.first)
        ]
        typed = [(number, text) for number, text in lines if spoken.typed(text)]
        if 2 * len(typed) < len(lines):
            return
        said = " ".join(text for number, text in lines if (number, text) not in typed)
        block = replace(block, lead=f"{block.lead} {_bare(said)}".strip())
        for number, text in lines:
            if (number, text) in typed or spoken.of_a_command(text):
                self._add(number, number, text, block, "", ("inline",))
            elif text and not text.endswith(":"):
                self.rejected.append(Rejected(number, text, "no command, among others"))

    def _add(
        self, line: int, last: int, text: str, block: Block, comment: str = "",
        flags: tuple[str, ...] = (), label: str = "",
    ) -> None:  # fmt: skip
        script = variables.spelled(variables.put_in(text, self.session.known))
        commands = tuple(each for turn in variables.rounds(script) for each in simple(turn))
        own = phases.of_command(commands, text)
        last_phase = (
            self.found[-1].phase if self.found and self.found[-1].trail == block.trail else None
        )
        firm = phases.prepares(commands) or phases.installs(text)
        makes = phases.makes(commands)
        phase = phases.decide(
            own, block.trail, block.lead, comment, last_phase, firm=firm, makes=makes
        )
        flags = tuple(dict.fromkeys((*flags, *block.flags, *classify.flags_of(text, commands))))
        if phases.warned(block.trail, block.lead, comment):
            flags = (*flags, "warned")
            self.rejected.append(Rejected(line, text, "the note warns against it"))
        self.session.enters(block.trail, anew=self.block is not block)
        self.block = block
        at = self.session.comes_to(script, commands, flags, back=phase == "rollback")
        host = next((c.host for c in commands if c.host), "")
        found = Found(
            line, last, text, phase, at.flags, None, None, comment, block.trail, block.lead,
            commands, requests(script), classify.backend_of(commands), block.cwd or at.cwd,
            host or block.host or self.session.host, label, block.name, script, at.sets, at.told,
        )  # fmt: skip
        self.found.append(found)


_QUOTED = re.compile(r"`([^`]*)`")


def _answer(quoted: re.Match[str]) -> str:
    """Of what a sentence quotes only the answer that it asks for."""
    return quoted[1] if re.match(r"(?:HTTP/[\d.]+ )?[1-5]\d\d\b[\w ]{0,20}$", quoted[1]) else " "


def _said(remark: str) -> str:
    """What a comment says; the line that names a script's shell says nothing."""
    return "" if remark.startswith("#!") else remark.lstrip("# ").strip()


def _bare(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[*`>|]+|^\s*(?:[-+]|\d+[.)])\s+", " ", line)).strip()
