"""Pages on a loopback address."""
