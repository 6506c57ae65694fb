"""The daemon: looks when looks are due, tells people, goes back by itself."""
