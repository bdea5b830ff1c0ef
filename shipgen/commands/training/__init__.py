"""The commands of the training side: they alone import `shipgen_export`."""
