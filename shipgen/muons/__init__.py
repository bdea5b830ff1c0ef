"""What a muon is: categories, columns, batches, quantities, regions."""
