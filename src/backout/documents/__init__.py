"""Markdown notes -> runbooks and inventory lines, and runbooks -> notes; nothing is ever run."""
