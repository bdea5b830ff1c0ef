"""Mean factors of variations as small networks of a muon's features: trained, checked, put into bundles."""
