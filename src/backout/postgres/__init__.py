"""PostgreSQL's driver, as probes and steps use it."""
