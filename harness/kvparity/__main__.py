"""`python -m kvparity`: the command line, as `kvparity` itself."""

import sys

from kvparity.cli import main

if __name__ == "__main__":
    sys.exit(main())
