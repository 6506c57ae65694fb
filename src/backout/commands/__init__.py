"""One file a verb or a family of verbs: words in, an answer out."""
