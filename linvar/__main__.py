"""``python -m linvar``: the command line."""

import sys

from linvar.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
