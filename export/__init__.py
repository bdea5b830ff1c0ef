"""The training side: simulate, prepare, train, export. Needs the extras ``simulate`` and ``train``."""
