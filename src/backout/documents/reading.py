"""A note -> what was found in it, line by line: commands, blanks, requests, refusals, questions."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field, replace

from backout.documents import classify, phases, placeholders, shell
from backout.documents.alternatives import alternatives, followed
from backout.documents.markdown import Block, blocks, lines_of
from backout.documents.nouns import Found, Question, Reading, Rejected
from backout.documents.requests import requests
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
_LABEL = re.compile(
    r"^#+\s*(?:[-*•]\s*|\d+[.)]\s*)?(?:(?P<label>[A-Za-z][\w .()/+-]{0,40}?)\s*(?::|->|=>|"
    r"→|–|—)\s+)?(?P<text>\S.*)$"
)
_ORDER = re.compile(
    r"\b(?:run|first|execute|type|issue|use|with|then|via|call|do|using|enter|invoke|try|start|"
    r"by|fire|hit|and|need|apply|restart|deploy|revert|rollback|roll back|check|verify|"
    r"redeploy|(?:fuhre?n?|gib|tippe|starte|nutze|mit|dann|per|rufe?)|(?:execut\w*|"
    r"lanc\w*|tap\w*|avec|puis|ejecut\w*|corr\w*|con|usa\w*|rod\w*|execut\w*|com|entao|"
    r"luego|depois))\b[^.;]*$",
    re.IGNORECASE,
)
_NEVER = re.compile(
    r"\b(?:do not|don[’']t|never|instead of|not|avoid|without|nicht|niemals|ne pas|jamais|"
    r"no ejecut\w*|nunca|nao|não|used to|was|were|equivalent (?:of|to)|same as|like|means|"
    r"because|what|output of|from|after|before|when|since|"
    r"(?:is|are) \w+(?:ed|t|en|un) (?:with|by|via|using)|wird durch|wird mit)\b[^,;.:]{0,40}$",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"\s*(?:tells|shows|prints|gives|lists|will|should|must|does it|brings|zeigt|montre|affiche"
    r"|muestra|mostra)\b"
)
_SPOKEN_OF = re.compile(
    r"\s+(?:is|are|was|were|works|errors|fails|ist|wird|est|es|e|esta|foi)\b(?! (?:enough|done))"
)
NEAR = 200
"""Characters around a command in a sentence that say whether it is to be run."""
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?P<code>.+?)(?<!`)\1(?!`)")
_PARENS = re.compile(
    r"\((?P<code>(?:git|npm|pm2|docker|systemctl|heroku|kubectl|sudo|"
    r"supervisorctl)\s+[a-z][^()]*)\)"
)
_SLASHED = re.compile(r"^(?:/[\w{}<>.-]+)+/?$")


def read(text: str, source: str) -> Reading:
    """Everything that a note says, in its order. Nothing of it is run; no input raises."""
    reader = _Reader()
    for block in blocks(text):
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


_HIDING = frozenset(("Cc", "Cf", "Co", "Cs", "Zl", "Zp"))


@dataclass(slots=True)
class _Reader:
    """Takes the blocks in their order, and remembers what was last done and where."""

    found: list[Found] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    way_back: list[Rejected] = field(default_factory=list)
    title: str = ""
    cwd: str = ""
    host: str = ""

    def take(self, block: Block) -> None:
        self.title = self.title or next(iter(block.trail), "")
        if block.kind == "prose":
            self._prose(block)
        elif block.language in SHELLS or block.language in UNSAID:
            self._code(block)
        else:
            self._reject(block, f"{block.language}, not a shell command")

    def _reject(self, block: Block, reason: str) -> None:
        self.rejected += (
            Rejected(number, line.strip(), reason)
            for number, line in enumerate(block.lines, block.first)
            if line.strip()
        )

    def _code(self, block: Block) -> None:
        told = block.language in SHELLS
        pieces = shell.segment(
            block.lines,
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
        remark = ""
        for piece in pieces:
            if isinstance(piece, shell.Output):
                self.rejected.append(Rejected(piece.line, piece.text, "output, not a command"))
            elif isinstance(piece, shell.Remark):
                if not ((told or mostly) and self._remark(piece, block, remark)):
                    remark = piece.text.lstrip("#! ").strip() or remark
            else:
                trusted = (told or piece.prompted or mostly) and not environment
                reason = classify.not_a_command(piece.text, told=trusted)
                self._judge(piece, block, reason)

    def _judge(self, piece: shell.Statement, block: Block, reason: str) -> None:
        reason = "it hides characters from whoever reads it" if hides(piece.text) else reason
        if not reason:
            self._add(piece.line, piece.last, piece.text, block, piece.comment)
            return
        for number, line in enumerate(piece.text.split("\n"), piece.line):
            if line.strip():
                self.rejected.append(Rejected(number, line.strip(), reason))

    def _remark(self, piece: shell.Remark, block: Block, before: str) -> bool:
        """A command that stands in a comment, if one does: `# - Heroku: heroku restart`."""
        match = _LABEL.match(piece.text)
        if not match or hides(piece.text):
            return False
        label, text = match["label"] or "", match["text"].strip("`")
        if label and classify.known(label) and " " in label and not classify.known(text):
            label, text = "", piece.text.lstrip("# ").strip()
        if not _commented(text, labelled=bool(label)):
            return False
        text = text.rstrip(".") if label else text
        said = f"{label} {before}".strip()
        self._add(piece.line, piece.line, text, block, said, ("commented",), label)
        return True

    def _prose(self, block: Block) -> None:
        count = len(self.found)
        before = ""
        for number, line in enumerate(block.lines, block.first):
            for match in (*_SPAN.finditer(line), *_PARENS.finditer(line)):
                text = re.sub(r"^\$\s+", "", match["code"].strip())
                ahead = f"{before}{line[: match.start()]}"[-NEAR:]
                behind = line[match.end() :][:NEAR]
                if self._ordered(ahead, behind, text, parens=match.re is _PARENS):
                    lead = _bare(re.sub(r"`[^`]*`", " ", line[: 2 * NEAR]))
                    self._add(number, number, text, replace(block, lead=lead), "", ("inline",))
            before = f"{before}{line} "[-NEAR:]
        if len(self.found) == count:
            self._bare_lines(block)
        if len(self.found) == count and phases.back(block.trail, "", ""):
            text = " ".join(line.strip() for line in block.lines)
            text = re.sub(r"^(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s*)?", "", text)
            self.way_back.append(Rejected(block.first, _bare(text), ""))

    def _bare_lines(self, block: Block) -> None:
        """Commands that stand in a paragraph as they are, without a fence or a quote."""
        lines = [(number, _unlisted(line)) for number, line in enumerate(block.lines, block.first)]
        typed = [(number, text) for number, text in lines if _typed(text)]
        if 2 * len(typed) >= len(lines):
            for number, text in typed:
                self._add(number, number, text, block, "", ("inline",))

    def _ordered(self, before: str, after: str, text: str, *, parens: bool) -> bool:
        """Whether the sentence tells to run it."""
        words = text.split()
        bare = phases.folded(re.sub(r"`[^`]*`", "x", before))
        if text.endswith(("...", "…")) or (parens and "/" in "".join(words[1:2])):
            return False
        if hides(text) or (len(words) < 2 and not re.match(r"^\./\S+$|^\S+\.sh$", text)):
            return False
        if (
            not classify.known(text)
            or classify.not_a_command(text, told=False)
            or _SLASHED.match(text)
        ):
            return False
        if re.match(r"^[\w-]+ [\w-]+\.(?:md|ya?ml|json|ts|js|py)$", text) and not _ORDER.search(
            bare
        ):
            return False
        if _NEVER.search(bare) or _SPOKEN_OF.match(phases.folded(after)):
            return False
        led = re.match(
            r"^\s*(?:[-*+|]|\d+[.)])?\s*(?:\[[ xX]\]\s*)?(?:\**[\w /.()-]{1,30}\**\s*[:|"
            r"–—-]+\s*\**)?\s*$",
            before,
        )
        clause = re.search(r"(?:[,:;→]|^(?:\s*[-*]|\s*\d+[.)])\s+\w+)\s+$", before)
        named = re.search(r"[:—–→][*_]*\s+$", before)
        told = named or _TELLS.match(after) or (before.endswith("(") and after.startswith(")"))
        if len(words) < 2 and not text.startswith("./"):
            return bool(led and re.match(r"^[\s.|]*$", after)) or bool(_ORDER.search(bare))
        return (
            parens
            or bool(led)
            or bool(told)
            or (bool(clause) and re.match(r"^\W*$", after) is not None)
            or bool(_ORDER.search(bare))
        )

    def _add(
        self, line: int, last: int, text: str, block: Block, comment: str = "",
        flags: tuple[str, ...] = (), label: str = "",
    ) -> None:  # fmt: skip
        commands = simple(text)
        own = phases.of_command(commands, text)
        last_phase = (
            self.found[-1].phase if self.found and self.found[-1].trail == block.trail else None
        )
        firm = phases.prepares(commands)
        phase = phases.decide(own, block.trail, block.lead, comment, last_phase, firm=firm)
        flags = (*flags, *classify.flags_of(text, commands))
        if phases.warned(block.trail, block.lead, comment):
            flags = (*flags, "warned")
            self.rejected.append(Rejected(line, text, "the note warns against it"))
        host = next((c.host for c in commands if c.host), "")
        if "cwd" in flags:
            self.cwd = next(
                (c.words[1] for c in commands if len(c.words) > 1 and c.head != "popd"), ""
            )
        if commands and commands[0].head == "ssh" and "interactive" in flags:
            self.host = host
        found = Found(
            line, last, text, phase, flags, None, None, comment, block.trail, block.lead, commands,
            requests(text), classify.backend_of(commands), self.cwd, host or self.host, label,
        )  # fmt: skip
        self.found.append(found)


def hides(text: str) -> bool:
    """Whether a text holds what turns, hides or moves other text on a screen."""
    return any(sign not in "\n\t" and unicodedata.category(sign) in _HIDING for sign in text)


def _commented(text: str, *, labelled: bool) -> bool:
    """Whether a comment's text is a command that one could type."""
    words = text.split()
    if len(words) < 2 or not classify.known(text) or classify.not_a_command(text, told=False):
        return False
    if text.endswith((":", "?", "!")) or re.search(
        r"\b(?:the|is|are|this|that|your|we|you|it|to be|should|will|if|and then|because|"
        r"der|die|das|le|la|les|el|los)\b",
        re.sub(r"(['\"]).*?\1", "", text),
    ):
        return False
    if words[0][0].isupper():
        return False
    second = words[1]
    strict = (
        second.startswith(("-", "/", ".", "$", "<", "'", '"'))
        or bool(re.search(r"[/.=:]|-{1,2}\w", text))
        or len(words) <= 4
    )
    return labelled or (strict and words[0] not in _SPOKEN)


_LIST = re.compile(r"^\s*(?:>\s?)*(?:[-*+]|\d+[.)])?\s*(?:\[[ xX]\]\s*)?")


def _unlisted(line: str) -> str:
    return _LIST.sub("", line, count=1).removeprefix("$ ").strip()


_LINKING = re.compile(
    r"\s(?:and|or|to|with|on|in|into|for|from|via|as|und|oder|mit|et|ou|y|con|com|avec|no|na)\s"
)


def _typed(text: str) -> bool:
    """Whether a line of prose is nothing but a command, as one types it."""
    words = text.split()
    if hides(text) or text.endswith((".", ",", ";", ")")) or not _commented(text, labelled=False):
        return False
    if words[1][0].isdigit() or _LINKING.search(re.sub(r"(['\"]).*?\1", "", text)):
        return False
    commands = simple(text)
    head = commands[0].head if commands else ""
    if head in ("ssh", "curl", "wget"):
        return bool(re.search(r"[@/.]", text))
    marked = any(word.startswith(("-", "/", "./", "~", "$", "<")) for word in words[1:])
    if head == "export":
        return "=" in text
    return (
        marked
        or head == "cd"
        or phases.of_command(commands, text)
        not in (
            None,
            "setup",
        )
    )


_SPOKEN = frozenset(
    [
        "make",
        "test",
        "watch",
        "install",
        "set",
        "find",
        "open",
        "wait",
        "date",
        "say",
        "read",
        "sort",
        "host",
        "file",
        "start",
        "time",
        "just",
        "task",
        "print",
        "at",
        "while",
        "for",
        "if",
        "until",
        "let",
        "go",
    ]
)


def _bare(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[*`>|]+|^\s*(?:[-+]|\d+[.)])\s+", " ", line)).strip()
