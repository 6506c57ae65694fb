"""The pages of the web view. Every value reaches them through `Pages.show`: redacted, cleaned and
escaped."""

from __future__ import annotations

from typing import Any

from backout.adapters.web.html import Pages


class ConsolePages(Pages):
    """Renders what a desk knows."""

    def whole(self, template: str, /, **names: Any) -> str:
        """A page of `templates/console/`."""
        return self._environment.get_template(f"console/{template}.html").render(**names)

    def part(self, template: str, /, **names: Any) -> str:
        """What follows by itself on such a page."""
        return self._environment.get_template(f"console/{template}_part.html").render(**names)
