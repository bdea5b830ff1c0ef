"""``python -m shipgen`` is ``shipgen``."""

from shipgen.cli import main

if __name__ == "__main__":
    main()
