"""Look, and judge."""
