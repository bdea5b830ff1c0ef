"""What an enhanced bundle makes more of: expressions, tables, examples."""
