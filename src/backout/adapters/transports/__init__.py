"""Commands and files on a machine: over SSH, or here."""
