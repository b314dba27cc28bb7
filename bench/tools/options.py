"""The command line that bench/consensus.py and bench/contracts.py share: parts, --quick, and how long rates are held."""

import argparse

HALVINGS = 3


def parser_of(doc, parts, quick):
    """quick: what --quick makes smaller."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)} (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"short probes, {quick}; for trying, not for figures")
    parser.add_argument("--seconds", type=int, default=20, help="that the highest rate must be held (default 20)")
    parser.add_argument("--half", type=int, default=15, help="seconds at half the rate (default 15)")
    parser.add_argument("--probe", type=int, default=5, help="seconds of a probe (default 5)")
    return parser


def parse(parser, parts):
    options = parser.parse_args()
    options.halvings = HALVINGS
    for part in options.parts:
        if part not in parts:
            parser.error(f"no part '{part}': one of {', '.join(parts)}")
    if options.quick:
        options.seconds, options.half, options.probe, options.halvings = 3, 2, 2, 1
    return options
