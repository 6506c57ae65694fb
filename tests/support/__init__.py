"""Real components that tests run against, each started privately and always stopped again."""
