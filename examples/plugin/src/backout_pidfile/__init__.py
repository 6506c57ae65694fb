"""What a small platform of one's own may add to Backout."""
