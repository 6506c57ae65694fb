"""YAML to nouns, or every mistake at once."""
