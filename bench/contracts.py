#!/usr/bin/env python3
"""Contracts from the outside: rates through a chain of four nodes, eth_getLogs over a million events, many contracts.

Usage: bench/run contracts [--json] [--quick] [PART]...      PART: rates logs many (default: all)

rates  the highest rate that four nodes under PBFT hold (found as bench/consensus.py does), latency at half of it and CPU of a
       node for a transaction: an empty call (an address without code: the baseline, signatures and agreement alone), metering
       calls of one reading, and transfers of OpenZeppelin's ERC-20, which needs npm (else it says so and is left out).
logs   eth_getLogs over a million events of three topics in 1,000 blocks, without a network; baseline: every receipt read.
many   memory of a node with 10,000 contracts of 3.7 kB, each with code of its own: before, when they are deployed, after a
       restart, and when each was called by a transaction and by eth_call.
The speed-up of two cores at 0, 10, 50 and 100 % of conflicts is part of bench/run evm.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_spec = importlib.util.spec_from_file_location("consensus_bench", os.path.join(ROOT, "bench", "consensus.py"))
consensus = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(consensus)
labs, nodes, say, binary = consensus.labs, consensus.nodes, consensus.say, consensus.binary
bench_options = consensus.bench_options

METHOD = "registerMeter(bytes32,int64,int64)"


class Folder:
    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="ridge-bench-", dir=os.environ.get("TMPDIR", "/tmp"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def token(folder):
    """Path of the artefact of an ERC-20; None without npm's packages, and why."""
    packages = os.path.join(ROOT, "tests", "ethereum")
    if not shutil.which("node") or not shutil.which("npm"):
        return None, "node and npm are not installed (Debian: nodejs, npm)"
    if not os.path.isdir(os.path.join(packages, "node_modules", "@openzeppelin")):
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=packages, check=False, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            return None, "npm ci failed in tests/ethereum, so there is no OpenZeppelin"
    path = os.path.join(folder, "Coin.json")
    with open(path, "wb") as file:
        subprocess.run(["node", os.path.join(ROOT, "bench", "tools", "erc20.mjs")], check=True, stdout=file)
    return path, ""


def rates(options):
    figures = {"nodes": 4}
    with Folder() as folder:
        artefact, why = token(folder)
        kinds = ["empty", "metering"]
        if artefact:
            consensus.KINDS["erc20"] = ["--artifact", artefact, "--erc20"]
            kinds.append("erc20")
        else:
            say(f"  skipped: erc20, because {why}")
        with nodes.Chain(binary, folder, "pbft", 4, genesis=["--view-timeout", "2000ms"]) as chain:
            chain.start(120)
            bench = consensus.Bench(chain, options)
            bench.load("empty", 50, 2)  # warm, and all links are up
            figures.update({kind: bench.rates(kind, options.first) for kind in kinds})
    for kind in kinds[1:]:
        figures[kind]["of_empty"] = round(figures[kind]["tps"] / figures["empty"]["tps"], 2)
    return figures


def logs(options):
    done = subprocess.run([binary("ridge-log-search"), str(100 if options.quick else 1000)], check=True, stdout=subprocess.PIPE)
    figures = json.loads(done.stdout)
    figures["times_as_fast"] = round(figures["linear_scan_ms"] / max(figures["one_event_ms"], 0.01))
    for name, value in figures.items():
        say(f"  {name:24} {value}")
    return figures


class Many:
    """ridge-many, step by step."""

    def __init__(self, url, count):
        self.process = subprocess.Popen(
            [binary("ridge-many"), url, consensus.ARTIFACT, str(count), METHOD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def step(self):
        line = self.process.stdout.readline()
        if not line:
            raise labs.LabError("ridge-many ended before its time")
        return json.loads(line)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def settled(node):
    """Resident memory when it has not grown for a second."""
    last = 0
    while True:
        now = labs.resident_kib(node.pid)
        if now <= last:
            return now
        last = now
        time.sleep(1)


def many(options):
    count = 500 if options.quick else 10000
    with Folder() as folder, nodes.Chain(binary, folder, "pbft", 1) as chain:
        chain.start(60)
        node = chain.nodes[0]
        figures = {"contracts": count, "rss_before_kib": settled(node)}
        with Many(node.url, count) as tool:
            deployed = tool.step()
            figures["deployed_per_s"] = round(count / deployed["seconds"])
            figures["rss_deployed_kib"] = settled(node)
            node.stop()
            node.start()
            chain.wait_answer()
            figures["rss_restarted_kib"] = settled(node)
            tool.go_on()
            figures["transactions_per_s"] = round(count / tool.step()["seconds"])
            figures["rss_called_kib"] = settled(node)
            tool.go_on()
            figures["eth_calls_per_s"] = round(count / tool.step()["seconds"])
            figures["rss_eth_called_kib"] = settled(node)
        figures["disk_bytes_a_contract"] = round((tree_bytes(os.path.join(node.dir, "data"))) / count)
    for name, value in figures.items():
        say(f"  {name:24} {value}")
    return figures


def tree_bytes(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


PARTS = {"rates": rates, "logs": logs, "many": many}


def parse():
    parser = bench_options.parser_of(__doc__, PARTS, "100,000 events, 500 contracts")
    parser.add_argument("--first", type=int, default=1000, help="rate of the first probe (default 1000)")
    return bench_options.parse(parser, PARTS)


def main():
    options = parse()
    if not os.environ.get("RIDGE_BIN"):
        subprocess.run([os.path.join(ROOT, "tools", "build"), "release"], check=True)
    figures = {}
    for name in options.parts or PARTS:
        say(f"{name}, load average {os.getloadavg()[0]:.1f}:")
        begin = time.monotonic()
        figures[name] = {**PARTS[name](options), "load_average_after": round(os.getloadavg()[0], 1)}
        say(f"  {name} took {time.monotonic() - begin:.0f} s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
