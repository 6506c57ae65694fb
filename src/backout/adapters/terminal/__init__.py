"""The terminal, and what stands in for one."""
