"""The models: settings, networks, coordinates; nothing here reads or writes files."""
