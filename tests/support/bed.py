"""What tests run beside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Bed(ABC):
    """A part that is started and stopped. As a context it is ended whatever happens, also when it
    did not come up."""

    @abstractmethod
    def start(self) -> Self:
        """It answers when this returns."""

    @abstractmethod
    def stop(self) -> None:
        """It and all that it started have ended when this returns."""

    def end(self) -> None:
        """Stop for good, and give back what was claimed."""
        self.stop()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.end()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
