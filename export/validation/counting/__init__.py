"""What is counted of two samples and what tests make of it."""
