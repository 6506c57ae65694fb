"""What is known -> pages and metrics."""
