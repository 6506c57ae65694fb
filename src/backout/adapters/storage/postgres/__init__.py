"""The ledger of a team: the journal's tables in PostgreSQL."""
