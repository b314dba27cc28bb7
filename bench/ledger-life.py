#!/usr/bin/env python3
"""The long life of a ledger: archive, verify, restore, prune, recover, sync, destroy.

Usage: bench/run ledger-life [--quick] [--json] [--part NAME]... Each part ends within ten minutes on two cores; without
--part all run, one after the other.

  archive   bench_archive: rates beside `zstd -3` and cp of the same bytes, compression, bytes on disk for each transaction
            before and after pruning; with four readings a transaction, and with 24
  recover   a ledger of a million transactions of one reading: archived with its state, verified, and back from that file
            by the state and by executing every block, each in a process of its own
  sync      a ledger of 2 GB; a node that has nothing takes it from the one that has it, by snapshot
  replay    the same, by executing every block
  destroy   tools/chains.py: chains of four nodes, created and destroyed, without transfer (--discard) and with the archive
            that comes first; medians

Peaks are VmHWM of ridge-node, or of the program, as ridge-ledger-make and ridge-ledger-recover are.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))

from chains import ARTIFACT, ROOT, Chain, build_release, disk_bytes, four_devices, labs, repeated_lifetimes  # noqa: E402
from registry import memory_mb  # noqa: E402

WAIT_S = 560


def binary(name):
    return os.path.join(ROOT, "build", "release", "bin", name)


def program(name, *arguments):
    done = subprocess.run([binary(name), *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def folder():
    path = tempfile.mkdtemp(prefix="ridge-ledger-life-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def archive(options):
    blocks = max(1, options.transactions // 500)
    figures = {}
    for name, readings in (("readings_4", 4), ("readings_24", 24)):
        found = figures[name] = program("bench_archive", max(1, blocks // (1 if readings == 4 else 4)), ARTIFACT, readings)
        for clock in ("mb_s", "wall_mb_s"):
            found[f"of_zstd3_{clock}"] = {
                what: round(found[f"{what}_{clock}"] / found[f"zstd3_{clock}"], 3) for what in ("export", "verify", "restore", "restore_replay")
            }
    return figures


def recover(options):
    with folder() as path:
        figures = {"made": program("ridge-ledger-make", path, options.recover_transactions, 1, 0, ARTIFACT)}
        ledger, file = os.path.join(path, "one", "data"), os.path.join(path, "archive")
        figures["ledger_mb"] = round(disk_bytes(ledger) / 1e6)
        for way in ("export", "verify", "state", "replay"):
            into = [os.path.join(path, way)] if way in ("state", "replay") else []
            figures[way] = program("ridge-ledger-recover", way, ledger, file, *into)
            print(json.dumps({way: figures[way]}), file=sys.stderr, flush=True)
    return figures


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Node:
    """A ridge-node on a directory that ridge-ledger-make has filled."""

    def __init__(self, path, name, port, snapshot_gap):
        self.rpc = free_port()
        self.program = labs.Program(
            [binary("ridge-node"), "--name", name, "--dir", os.path.join(path, name), "--p2p-host", "127.0.0.1", "--p2p-port", str(port),
             "--rpc-port", str(self.rpc), "--snapshot-gap", str(snapshot_gap)], os.path.join(path, f"{name}.log"))  # fmt: skip

    def height(self):
        if not self.program.alive():
            raise labs.LabError(f"the node has ended: {self.program.log_tail()}")
        try:
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
            return int(labs.request(f"http://127.0.0.1:{self.rpc}", "POST", "/", body)[1]["result"], 16)
        except (OSError, KeyError, TypeError):
            return 0

    def peak_mb(self):
        return memory_mb(self.program.pid, "VmHWM")


def take_over(path, made, snapshot_gap):
    """Starts the node that has the ledger, then the one that has nothing, until both are at one height."""
    ports = {name: free_port() for name in made["keys"]}
    peers = [{"name": name, "public_key": key, "host": "127.0.0.1", "port": ports[name]} for name, key in made["keys"].items()]
    for name in ports:
        with open(os.path.join(path, name, "peers.json"), "w", encoding="ascii") as file:
            json.dump(peers, file)
    giver, taker = (Node(path, name, port, snapshot_gap) for name, port in ports.items())
    try:
        giver.program.start()
        labs.wait_for("the first node", 120, lambda: giver.height() >= made["height"])
        idle = giver.peak_mb()
        start = time.monotonic()
        taker.program.start()
        labs.wait_for("the second node at the height of the first", WAIT_S, lambda: taker.height() >= made["height"], 0.2)
        return {"seconds": round(time.monotonic() - start, 1), "taker_peak_mb": taker.peak_mb(), "giver_peak_mb": giver.peak_mb(),
                "giver_peak_before_mb": idle, "disk_mb": round(disk_bytes(os.path.join(path, "one", "data")) / 1e6),
                "taker_disk_mb": round(disk_bytes(os.path.join(path, "two", "data")) / 1e6)}  # fmt: skip
    finally:
        taker.program.stop()
        giver.program.stop()


def newcomer(options, snapshot_gap):
    with folder() as path:
        made = program("ridge-ledger-make", path, options.sync_transactions, 1, options.sync_padding, ARTIFACT)
        print(json.dumps({"made": made}), file=sys.stderr, flush=True)
        found = take_over(path, made, snapshot_gap)
        return {"txs": made["txs"], "made_s": made["made_s"], **found}


def sync(options):
    return newcomer(options, 100)


def replay(options):
    return newcomer(options, 2**64 - 1)


def destroy(options):
    with four_devices() as (lab, names):
        create, bare = repeated_lifetimes(lab, names, options.lifetimes)
        archived = []
        for i in range(options.lifetimes):
            Chain(lab, f"archived-{i}", names)
            begin = time.monotonic()
            lab.cli("chain", "destroy", f"archived-{i}")
            archived.append((time.monotonic() - begin) * 1000)
    return {"create_ms_median": create, "destroy_ms_median": bare, "destroy_archived_ms_median": round(statistics.median(archived))}


PARTS = {"archive": archive, "recover": recover, "sync": sync, "replay": replay, "destroy": destroy}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this one; may be given again (default: all)")
    parser.add_argument("--quick", action="store_true", help="small ledgers; for trying, not for figures")
    parser.add_argument("--transactions", type=int, default=30000, help="in the archived ledger (default 30000)")
    parser.add_argument("--recover-transactions", type=int, default=1000000, help="in the recovered one (default 1000000)")
    parser.add_argument("--sync-transactions", type=int, default=500000, help="in the one that is synced (default 500000)")
    parser.add_argument("--sync-padding", type=int, default=3300, help="bytes behind each of them that nothing reads (default 3300)")
    parser.add_argument("--lifetimes", type=int, default=5, help="chains that are created and destroyed, each way (default 5)")
    options = parser.parse_args()
    if options.quick:
        options.transactions, options.recover_transactions, options.sync_transactions, options.lifetimes = 4000, 20000, 60000, 2
    build_release()
    figures = {}
    for name in options.part or PARTS:
        figures[name] = PARTS[name](options)
        print(json.dumps({name: figures[name]}), file=sys.stderr, flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
