"""The Common Expression Language: text -> nodes -> a value, or why there is none."""
