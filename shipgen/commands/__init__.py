"""The commands of ``shipgen``, a module each; loaded only when called."""
