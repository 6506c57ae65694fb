"""Whole worlds in one process: the real product over pretended machines, links and time."""
