#!/usr/bin/env python3
"""The long life of a ledger: archive, verify, restore, recover, sync, destroy; composed of what other benchmarks measure.

bench_archive: rates beside `zstd -3` and cp of the same bytes, compression, bytes on disk for each transaction before and
after pruning, and how long a lost ledger takes to come back by executing its archive and by the state in it. bench_sync:
peak memory of a ledger that catches up. tools/chains.py: creating and destroying a chain of four nodes, without transfer
(--discard) here; with the archive that comes first beside it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))

from chains import ARTIFACT, ROOT, Chain, build_release, four_devices, repeated_lifetimes  # noqa: E402


def program(name, *arguments):
    command = [os.path.join(ROOT, "build", "release", "bin", name), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def lifetimes(count):
    with four_devices() as (lab, names):
        create, destroy = repeated_lifetimes(lab, names, count)
        archived = []
        for i in range(count):
            Chain(lab, f"archived-{i}", names)
            begin = time.monotonic()
            lab.cli("chain", "destroy", f"archived-{i}")
            archived.append((time.monotonic() - begin) * 1000)
    return {"create_ms_median": create, "destroy_ms_median": destroy, "destroy_archived_ms_median": round(statistics.median(archived))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=30000, help="in the archived ledger (default 30000)")
    parser.add_argument("--sync-blocks", type=int, default=400, help="of 50 transactions, in the ledger that is synced (default 400)")
    parser.add_argument("--lifetimes", type=int, default=5, help="chains that are created and destroyed, each way (default 5)")
    options = parser.parse_args()
    build_release()
    figures = {"archive": program("bench_archive", max(1, options.transactions // 500), ARTIFACT)}
    print(json.dumps(figures["archive"]), file=sys.stderr, flush=True)
    figures["sync"] = program("bench_sync", ARTIFACT, options.sync_blocks)
    print(json.dumps(figures["sync"]), file=sys.stderr, flush=True)
    figures.update(lifetimes(options.lifetimes))
    best = figures["archive"]
    figures["of_zstd3"] = {what: round(best[f"{what}_mb_s"] / best["zstd3_mb_s"], 3) for what in ("export", "verify", "restore")}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
