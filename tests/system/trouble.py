"""Suite trouble: what a bad day brings, on a whole system. The cases stand in trouble_*.py."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import trouble_crash  # noqa: E402, F401
import trouble_input  # noqa: E402, F401
import trouble_keeping  # noqa: E402, F401
import trouble_links  # noqa: E402, F401
from cases import main  # noqa: E402
from support import shared  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(shared.close))
