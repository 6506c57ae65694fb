"""Whether words in prose or in a comment are a command that is to be run."""

from __future__ import annotations

import re

from backout.documents import classify, phases
from backout.documents.suspicion import suspicious
from backout.documents.words import simple

_ORDER = re.compile(
    r"\b(?:run|first|execute|type|issue|use|with|then|via|call|do|using|enter|invoke|try|start|"
    r"by|fire|hit|and|need|apply|restart|deploy|revert|rollback|roll back|check|verify|"
    r"redeploy|(?:fuhre?n?|gib|tippe|starte|nutze|mit|dann|per|rufe?)|(?:execut\w*|"
    r"lanc\w*|tap\w*|avec|puis|ejecut\w*|corr\w*|con|usa\w*|rod\w*|execut\w*|com|entao|"
    r"luego|depois|danach|anschliessend|afterwards|ensuite|despues))\b[^.;]*$",
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
    r"\s*(?:tells|shows|prints|gives|lists|will|should|must|does it|brings|returns|answers|"
    r"responds|zeigt|muss|soll|sollte|liefert|montre|affiche|doit|renvoie|muestra|debe|devuelve|"
    r"mostra|deve|retorna)\b"
)
_SPOKEN_OF = re.compile(
    r"\s+(?:is|are|was|were|works|errors|fails|ist|wird|est|es|e|esta|foi)\b(?! (?:enough|done))"
)
_ARTICLE = re.compile(
    r"\b(?:the|an?|this|that|its|der|die|das|den|dem|ein|le|les|un|une|el|los|las|os)"
    r"(?: x (?:\+|and|und|et|y|e))* $"
)
"""What makes a command a thing that is spoken of: `the npm ci of the build`."""
_DOER = re.compile(
    r"\b(?:which|that|que|qui|ci|pipeline|workflow|webhook|railway|vercel|netlify|render|it)"
    r"\W+(?:\w+ ){0,4}(?:runs?|calls?|executes?|starts|corre|ejecuta|executa|roda|lance|execute|"
    r"startet|ruft)\b[^.;]*$"
)
"""Somebody else who runs it: the pipeline, the host."""
_SETTING = re.compile(
    r"\b(?:build|start|run|install|release|(?:pre|post)-?deploy|deploy|entry|init) command\W*$"
)
"""What a platform asks for in its own form, and runs itself: `Start Command: npm start`."""
_SUBJECT = re.compile(r"\s+[a-z]+(?:s|ed)\b(?! (?:up|it|the server))")
_IMPERATIVE = re.compile(
    r"\b(?:run|execute|start|call|invoke|use|via|with|then|fuhre?|starte|nutze|lance[rz]?|execute[rz]?|"
    r"ejecuta|corre|usa|rode|execute|com|mit|avec|con)\W+$"
)
_RUN_AS_IT_IS = re.compile(r"^(?:\./|bin/)\S+$|^\S+\.sh$")
_SLASHED = re.compile(r"^(?:/[\w{}<>.-]+)+/?$")


def ordered(before: str, after: str, text: str, *, parens: bool) -> bool:
    """Whether the sentence tells to run it."""
    words = text.split()
    bare = phases.folded(re.sub(r"`[^`]*`", "x", before))
    if text.endswith(("...", "…")) or (parens and "/" in "".join(words[1:2])):
        return False
    if suspicious(text) or (len(words) < 2 and not re.match(r"^\./\S+$|^\S+\.sh$", text)):
        return False
    if not classify.known(text) or classify.not_a_command(text, told=False) or _SLASHED.match(text):
        return False
    if re.match(r"^[\w-]+ [\w-]+\.(?:md|ya?ml|json|ts|js|py)$", text) and not _ORDER.search(bare):
        return False
    if (
        _ARTICLE.search(bare)
        or _DOER.search(bare)
        or (not before.strip() and _SUBJECT.match(after))
    ):
        return bool(_TELLS.match(after))
    if _SETTING.search(bare) or _NEVER.search(bare) or _SPOKEN_OF.match(phases.folded(after)):
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
        return bool(led and re.match(r"^[\s.|]*$", after)) or bool(_IMPERATIVE.search(bare))
    return (
        parens
        or bool(led)
        or bool(told)
        or (bool(clause) and re.match(r"^\W*$", after) is not None)
        or bool(_ORDER.search(bare))
    )


def of_a_command(text: str) -> bool:
    """Whether words in prose are a command, whatever the sentence says of it."""
    return (
        not suspicious(text)
        and (len(text.split()) > 1 or bool(_RUN_AS_IT_IS.match(text)))
        and classify.known(text)
        and not classify.not_a_command(text, told=False)
    )


def commented(text: str, *, labelled: bool) -> bool:
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


_ON = re.compile(
    r"(?:^|[\s(])(?:on|onto|into|at|auf|sur|en|em|no|na)\s+(?:\w+\s+){0,3}?(?=[\w.@-]+\.[\w.-]*[a-z])",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"(?<![\w./@:-])(?:[a-z_][\w-]*@)?[a-z0-9][\w-]*(?:\.[a-z0-9][\w-]*)*"
    r"\.(?!(?:md|ya?ml|json|[cm]?js|tsx?|py|sh|rb|php|conf|service|txt|log|env|html|lock|toml|xml|sql|dev\.)\b)"
    r"[a-z][a-z0-9-]+(?![\w/@-]|[.:]\w)"
)


def machines(lead: str) -> str:
    """The machines on which, by the sentence before them, lines are typed: `user@name`, blanks
    between; none where it says no such thing."""
    on = _ON.search(lead)
    return " ".join(dict.fromkeys(_MACHINE.findall(lead, on.end()))) if on else ""


_LIST = re.compile(r"^\s*(?:>\s?)*(?:[-*+]|\d+[.)])?\s*(?:\[[ xX]\]\s*)?")


def unlisted(line: str) -> str:
    return _LIST.sub("", line, count=1).removeprefix("$ ").strip()


_LINKING = re.compile(
    r"\s(?:and|or|to|with|on|in|into|for|from|via|as|und|oder|mit|et|ou|y|con|com|avec|no|na)\s"
)


def typed(text: str) -> bool:
    """Whether a line of prose is nothing but a command, as one types it."""
    words = text.split()
    if suspicious(text) or re.search(r"\S\.$|[,;)]$", text) or not commented(text, labelled=False):
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
