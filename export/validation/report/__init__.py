"""The report of a validation: page, tables, pictures, limits; and `shipgen plot`."""
