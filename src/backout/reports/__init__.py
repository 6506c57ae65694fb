"""Data and text for people."""
