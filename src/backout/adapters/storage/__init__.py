"""What lasts: the journal, the health history."""
