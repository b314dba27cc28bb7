"""Runs a command beside a chain of four nodes: with_chain.py COMMAND [ARGUMENT]...

The command finds the nodes' JSON-RPC addresses in RIDGE_RPC (separated by spaces) and the genesis file in RIDGE_GENESIS. What it prints,
its closing line included, and its exit status are this program's.
"""

import os
import subprocess
import sys

import support

SECONDS = 900


def run(lab, command):
    support.create(lab, "main")
    urls = lab.rpc_urls("main")
    genesis = os.path.join(lab.node_dir(next(iter(urls)), "main"), "node", "genesis.json")
    env = {**os.environ, "RIDGE_RPC": " ".join(url.rstrip("/") for url in urls.values()), "RIDGE_GENESIS": genesis}
    return subprocess.run(command, env=env, cwd=support.ROOT, timeout=SECONDS, check=False).returncode


if __name__ == "__main__":
    with support.cluster() as running:
        status = run(running, sys.argv[1:])
        sys.stdout.flush()
    sys.exit(status)
