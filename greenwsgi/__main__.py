"""`python -m greenwsgi`: the same as the command greenwsgi."""

import sys

from greenwsgi.cli import main

if __name__ == "__main__":
    sys.exit(main())
