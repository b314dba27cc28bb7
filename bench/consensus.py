#!/usr/bin/env python3
"""Agreement: PBFT with 4, 7 and 16 nodes, Raft with 3, and etcd with 3 members, one after the other on this machine.

Usage: bench/run consensus [--json] [--quick] [PART]...      PART: pbft-4 raft-3 pbft-7 pbft-16 etcd-3 (default: all)

Each chain is made of ridge-node processes on loopback, without cloud and agents, and lives alone. Measured, for metering
calls (one reading each) and for empty calls (an address without code; signatures are checked all the same): the highest rate
that is held, found by doubling and halving; latency at half of it; CPU of a node and bytes that a node sends to the others, for
each transaction; what is executed of three times that rate, as a part of the highest, and whether anything taken was lost. Then, under 50 calls a second, the leader is killed again and again: the time to the next block elsewhere,
beside twice the base time-out. etcd takes puts of 256 bytes over gRPC from ridge-etcd-put, and Raft calls with 256 bytes of
data; without etcd (Debian: etcd-server) that part says so and is left out.
"""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(ROOT, "tools", "lab"), os.path.join(ROOT, "bench", "tools")]

import lab as labs  # noqa: E402
import nodes  # noqa: E402
import options as bench_options  # noqa: E402

ARTIFACT = os.path.join(ROOT, "contracts", "artifacts", "Metering.json")
BASE_MS = {"pbft": 2000, "raft": 1000}
LOADED_NODES = 4  # that the generator speaks to, at most
KINDS = {"metering": ["--artifact", ARTIFACT], "empty": ["--empty"], "call256": ["--empty", "--payload", "256"]}
METERS = 200


def say(text):
    print(text, flush=True)


def binary(name):
    path = os.path.join(os.environ.get("RIDGE_BIN") or os.path.join(ROOT, "build", "release", "bin"), name)
    if not os.access(path, os.X_OK):
        raise labs.LabError(f"{path} is not there: build it with tools/build release")
    return path


def wire_bytes(chain):
    """Bytes that the nodes' own connections to each other have sent, TLCP included."""
    out = subprocess.run(["ss", "-tinpH", "state", "established"], capture_output=True, text=True, check=True).stdout
    pids = [node.pid for node in chain.nodes]
    rpc_ports = {int(node.url.rsplit(":", 1)[1]) for node in chain.nodes}
    total, counts = 0, False
    for line in out.splitlines():
        if not line.startswith((" ", "\t")):
            owned = any(f"pid={pid}," in line for pid in pids)
            local = re.search(r":(\d+)\s+\S+:\d+\s", line)
            counts = owned and local is not None and int(local.group(1)) not in rpc_ports
        elif counts:
            sent = re.search(r"bytes_sent:(\d+)", line)
            total += int(sent.group(1)) if sent else 0
    return total


class Bench:
    """One chain under ridge-load."""

    def __init__(self, chain, options):
        self.chain, self.options = chain, options

    def urls(self, without=None):
        return ",".join([n.url for n in self.chain.nodes if n is not without][:LOADED_NODES])

    def generator(self, kind, rate, seconds, without=None):
        return [binary("ridge-load"), "--rpc", self.urls(without), *KINDS[kind], "--meters", str(METERS), "--rate", str(rate),
                "--seconds", str(seconds)]  # fmt: skip

    def load(self, kind, rate, seconds):
        cpu, sent = sum(labs.cpu_seconds(n.pid) for n in self.chain.nodes), wire_bytes(self.chain)
        done = subprocess.run(self.generator(kind, rate, seconds), capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise labs.LabError(f"load at {rate}/s: {done.stderr}")
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        # Deployment and registration cost the nodes too: they are counted among the transactions.
        total = max(1, figures["included"] + (METERS if kind == "metering" else 0)) * len(self.chain.nodes)
        cpu = sum(labs.cpu_seconds(n.pid) for n in self.chain.nodes) - cpu
        figures["cpu_us_per_tx_per_node"] = round(cpu * 1e6 / total)
        figures["wire_bytes_per_tx_per_node"] = round((wire_bytes(self.chain) - sent) / total)
        return figures

    def holds(self, kind, rate, seconds):
        got = self.load(kind, rate, seconds)
        kept_up = got["seconds"] <= 1.05 * seconds + 0.3  # the last block comes after the last call
        good = got["included"] == got["sent"] and got["refused"] == 0 and kept_up and got["p99_ms"] <= 2000
        why = "" if good else f": not held ({got['refused']} refused, {got['seconds']} s to the last block, sent up to {got['late_ms']} ms late)"
        say(f"    {rate}/s for {seconds} s: {got['tps']}/s, p50 {got['p50_ms']} ms, p99 {got['p99_ms']} ms{why}")
        return got if good else None

    def highest(self, kind, first):
        """The highest rate that is held for the whole time: doubled until it is not, then the gap halved, then confirmed."""
        probe, low, high = self.options.probe, 0, first
        while self.holds(kind, high, probe):
            low, high = high, high * 2
        while low == 0 and high > 20:
            high //= 2
            if self.holds(kind, high, probe):
                low, high = high, high * 2
        for _ in range(self.options.halvings):
            middle = (low + high) // 2
            low, high = (middle, high) if self.holds(kind, middle, probe) else (low, middle)
        while low >= 10:
            got = self.holds(kind, low, self.options.seconds)
            if got:
                return low, got
            low = int(low * 0.9)
        raise labs.LabError(f"{kind}: no rate is held")

    def overload(self, kind, rate, best):
        """Three times what is held: how much of the best remains, and whether all that was taken is executed."""
        got = self.load(kind, 3 * rate, self.options.probe)
        taken = got["sent"] - got["refused"]
        figures = {"offered": 3 * rate, "tps": got["tps"], "of_best": round(got["tps"] / best, 2), "refused": got["refused"],
                   "taken_and_lost": taken - got["included"], "p50_ms": got["p50_ms"], "p99_ms": got["p99_ms"]}  # fmt: skip
        say(f"    overload: {figures}")
        return figures

    def rates(self, kind, first):
        say(f"  {kind}:")
        rate, full = self.highest(kind, first)
        half = self.load(kind, max(1, rate // 2), self.options.half)
        say(f"    at half: p50 {half['p50_ms']} ms, p99 {half['p99_ms']} ms")
        overload = self.overload(kind, rate, full["tps"])
        picked = {name: full[name] for name in ("tps", "cpu_us_per_tx_per_node", "wire_bytes_per_tx_per_node")}
        return {**picked, "p50_ms_at_full": full["p50_ms"], "p99_ms_at_full": full["p99_ms"], "p50_ms_at_half": half["p50_ms"],
                "p99_ms_at_half": half["p99_ms"], "overload": overload}  # fmt: skip

    # --- the leader's death ------------------------------------------------------------------------------

    def wait_even(self):
        def even():
            heights = [node.height() for node in self.chain.nodes]
            return None not in heights and max(heights) - min(heights) <= 2

        labs.wait_for("all nodes at one height", 60, even, 0.05)

    def one_death(self):
        leader = labs.wait_for("a leader", 30, self.chain.leader, 0.05)
        other = next(node for node in self.chain.nodes if node is not leader)
        start = other.height()
        load = subprocess.Popen(self.generator("empty", 50, 30, leader), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            labs.wait_for("blocks under load", 30, lambda: other.height() >= start + 3, 0.02)
            leader.process.kill()
            died = time.monotonic()
            leader.process.wait()
            time.sleep(0.05)  # what was decided already arrives
            before = other.height()
            labs.wait_for("a block after the leader's death", 60, lambda: other.height() > before, 0.002)
            return (time.monotonic() - died) * 1000
        finally:
            load.kill()
            load.wait()
            leader.start()
            self.chain.wait_answer()
            self.wait_even()

    def deaths(self):
        took = [self.one_death() for _ in range(self.options.deaths)]
        limit = 2 * BASE_MS[self.chain.consensus]
        say(f"  leader's death to the next block: {[round(ms) for ms in took]} ms; twice the base time-out is {limit} ms")
        return {"rounds": len(took), "median_ms": round(statistics.median(took)), "worst_ms": round(max(took)), "limit_ms": limit}


def chain_part(consensus, count, kinds, first):
    def run(options):
        folder = tempfile.mkdtemp(prefix="ridge-bench-", dir=os.environ.get("TMPDIR", "/tmp"))
        try:
            with nodes.Chain(binary, folder, consensus, count, genesis=["--view-timeout", f"{BASE_MS[consensus]}ms"]) as chain:
                chain.start(120)
                bench = Bench(chain, options)
                idle = max(labs.resident_kib(node.pid) for node in chain.nodes)
                bench.load("empty", 50, 2)  # warm, and all links are up
                figures = {"nodes": count, "rss_idle_kib": idle}
                figures.update({kind: bench.rates(kind, first) for kind in kinds})
                figures["rss_loaded_kib"] = max(labs.resident_kib(node.pid) for node in chain.nodes)
                figures["leader_death"] = bench.deaths()
                return figures
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return run


# --- etcd ------------------------------------------------------------------------------------------------


class Etcd:
    """Three members on loopback."""

    def __init__(self, folder):
        ports = nodes.free_ports(6)
        self.clients, peers = ports[:3], ports[3:]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{port}" for i, port in enumerate(peers))
        self.members = [
            labs.Program(
                ["setpriv", "--pdeathsig", "KILL", "etcd", "--name", f"m{i}", "--data-dir", os.path.join(folder, f"m{i}"),
                 "--listen-client-urls", f"http://127.0.0.1:{self.clients[i]}", "--advertise-client-urls",
                 f"http://127.0.0.1:{self.clients[i]}", "--listen-peer-urls", f"http://127.0.0.1:{peers[i]}",
                 "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers[i]}", "--initial-cluster", cluster,
                 "--initial-cluster-state", "new"], os.path.join(folder, f"m{i}.log"),
            ) for i in range(3)
        ]  # fmt: skip

    def healthy(self, port):
        try:
            return labs.request(f"http://127.0.0.1:{port}", "GET", "/health", timeout=5)[1] == {"health": "true"}
        except (OSError, labs.http.client.HTTPException):
            return False

    def __enter__(self):
        for member in self.members:
            member.start()
        labs.wait_for("etcd's health", 60, lambda: all(map(self.healthy, self.clients)), 0.1)
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.stop(signal.SIGKILL)

    def puts(self, seconds, outstanding):
        command = [binary("ridge-etcd-put"), str(seconds), "256", str(outstanding), *map(str, self.clients)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def etcd_part(options):
    if not shutil.which("etcd"):
        say("  skipped: etcd not installed (Debian: etcd-server)")
        return {"skipped": "etcd not installed"}
    folder = tempfile.mkdtemp(prefix="ridge-bench-", dir=os.environ.get("TMPDIR", "/tmp"))
    try:
        with Etcd(folder) as etcd:
            version = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
            etcd.puts(2, 100)  # warm
            before = sum(labs.cpu_seconds(member.pid) for member in etcd.members)
            full = etcd.puts(options.seconds, 1000)
            cpu = sum(labs.cpu_seconds(member.pid) for member in etcd.members) - before
            one = etcd.puts(options.half, 1)
            figures = {"version": version, "members": 3, "value_bytes": 256, "puts_per_second": full["puts_per_second"],
                       "p50_ms_at_full": full["p50_ms"], "p99_ms_at_full": full["p99_ms"], "p50_ms_of_one": one["p50_ms"],
                       "cpu_us_per_put_per_member": round(cpu * 1e6 / max(1, full["puts_per_second"] * options.seconds) / 3)}  # fmt: skip
            say(f"  {figures}")
            return figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)


PARTS = {
    "pbft-4": chain_part("pbft", 4, ["metering", "empty"], 1000),
    "raft-3": chain_part("raft", 3, ["metering", "empty", "call256"], 1000),
    "pbft-7": chain_part("pbft", 7, ["metering", "empty"], 500),
    "pbft-16": chain_part("pbft", 16, ["metering", "empty"], 100),
    "etcd-3": etcd_part,
}


def parse():
    parser = bench_options.parser_of(__doc__, PARTS, "two deaths: one to three minutes a part")
    parser.add_argument("--deaths", type=int, default=7, help="leaders that die in each chain (default 7)")
    options = bench_options.parse(parser, PARTS)
    if options.quick:
        options.deaths = 2
    return options


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
    raft, etcd = figures.get("raft-3"), figures.get("etcd-3")
    if raft and etcd and "puts_per_second" in etcd:
        figures["raft_calls_per_etcd_put"] = round(raft["call256"]["tps"] / etcd["puts_per_second"], 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
