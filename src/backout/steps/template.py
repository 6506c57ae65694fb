"""`template`: a file from this machine, with its `{{ … }}` filled in, to another."""

from __future__ import annotations

from pathlib import Path

from backout.errors import Refused
from backout.model import Undo
from backout.ports import StepContext
from backout.steps.upload import Upload


class Template(Upload):
    """As `upload`. A file that holds secrets is its owner's alone, unless a mode is given."""

    def before(self, work: StepContext) -> Undo:
        """Refused too where the file cannot be filled in."""
        undo = super().before(work)
        self.content(work)
        return undo

    def content(self, work: StepContext) -> bytes:
        return work.vault.reveal(self._rendered(work)).encode()

    def mode(self, work: StepContext) -> str:
        given = super().mode(work)
        text = self._rendered(work)
        return given or ("0600" if work.vault.reveal(text) != text else "")

    def _rendered(self, work: StepContext) -> str:
        try:
            text = Path(work.options.from_).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise Refused(f"{work.options.from_} is not UTF-8 text") from error
        return work.render(text)
