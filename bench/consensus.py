#!/usr/bin/env python3
"""Agreement under PBFT with four nodes and under Raft with three, one after the other on this machine.

What it measures for each: metering transactions (one reading each) at a steady rate, with latency, CPU and bytes on the
wire per transaction and node; and the time from the leader's end (SIGSTOP, under a light load) to the next block on
another node, as a median of several. One is the baseline of the other in the same run; the chains live one at a time.
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))

import lab as labs  # noqa: E402

SPEC = importlib.util.spec_from_file_location("first_chain_bench", os.path.join(ROOT, "bench", "first-chain.py"))
first_chain = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(first_chain)
say = first_chain.say


def ask(url, method):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["result"]


def height(url):
    return int(ask(url, "eth_blockNumber"), 16)


def wire_bytes(pids, rpc_ports):
    """Bytes that the nodes' own connections to each other have sent, TLCP included."""
    out = subprocess.run(["ss", "-tinpH", "state", "established"], capture_output=True, text=True, check=True).stdout
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


def death_to_block_ms(chain, rounds):
    """The leader stops under a light load; another node's next block ends the measurement. It is stopped, not killed:
    its agent would start it again before anybody misses it."""
    took = []
    for _ in range(rounds):
        leader = ask(next(iter(chain.urls.values())), "ridge_status")["consensus"]["leader"]
        others = [url for name, url in chain.urls.items() if name != leader]
        with subprocess.Popen(
            [chain.lab.binary("ridge-load"), "--rpc", ",".join(others), "--contract", chain.contract,
             "--rate", "50", "--seconds", "8"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ):  # fmt: skip
            time.sleep(4)  # the meters are registered by then
            pid = chain.lab.node_pids(chain.name)[leader]
            os.kill(pid, signal.SIGSTOP)
            died = time.monotonic()
            time.sleep(0.05)  # what was decided already arrives
            before = height(others[0])
            while height(others[0]) == before and time.monotonic() - died < 20:
                time.sleep(0.002)
            took.append((time.monotonic() - died) * 1000)
            os.kill(pid, signal.SIGCONT)
        time.sleep(2)
    return took


class Chain(first_chain.Chain):
    def __init__(self, lab, name, devices, consensus):
        self.lab, self.name, self.devices = lab, name, devices
        lab.cli("chain", "create", name, "--devices", ",".join(devices), "--driver", "process", "--consensus", consensus)
        self.contract = lab.cli("contract", "deploy", name, "metering", "--artifact", first_chain.ARTIFACT)["address"]
        self.urls = lab.rpc_urls(name)


def measure(lab, consensus, devices, options):
    chain = Chain(lab, consensus, devices, consensus)
    rpc_ports = {int(url.rsplit(":", 1)[1].rstrip("/")) for url in chain.urls.values()}
    chain.load(options.rate, 3)  # warm
    sent = wire_bytes(chain.pids(), rpc_ports)
    loaded = chain.load(options.rate, options.seconds)
    sent = wire_bytes(chain.pids(), rpc_ports) - sent
    figures = {
        "nodes": len(devices),
        "offered_tps": options.rate,
        "tps": loaded["tps"],
        "p50_ms": loaded["p50_ms"],
        "p99_ms": loaded["p99_ms"],
        "cpu_us_per_tx_per_node": loaded["cpu_us_per_tx_per_node"],
        "wire_bytes_per_tx_per_node": round(sent / max(1, loaded["included"]) / len(devices)),
    }
    say(f"{consensus}: {figures}")
    deaths = death_to_block_ms(chain, options.deaths)
    figures["death_to_block_ms"] = round(statistics.median(deaths))
    figures["death_to_block_ms_worst"] = round(max(deaths))
    say(f"{consensus}: leader's death to the next block {[round(ms) for ms in deaths]} ms")
    chain.destroy()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=1000, help="transactions a second (default 1000)")
    parser.add_argument("--seconds", type=int, default=20, help="of load (default 20)")
    parser.add_argument("--deaths", type=int, default=5, help="leaders that die in each chain (default 5)")
    options = parser.parse_args()
    if not os.environ.get("RIDGE_BIN"):
        subprocess.run([os.path.join(ROOT, "tools", "build"), "release"], check=True)
    lab = labs.Lab()
    try:
        names = [f"dev-{i + 1}" for i in range(4)]
        lab.start_cloud()
        lab.enrol(names)
        figures = {"pbft": measure(lab, "pbft", names, options), "raft": measure(lab, "raft", names[:3], options)}
    finally:
        lab.stop()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
