"""Chains that benchmarks make, load and take down again, on a lab of this machine."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))

import lab as labs  # noqa: E402

ARTIFACT = os.path.join(ROOT, "contracts", "artifacts", "Metering.json")


def build_release():
    subprocess.run([os.path.join(ROOT, "tools", "build"), "release"], check=True)


@contextlib.contextmanager
def four_devices():
    """The lab, and the names of its devices."""
    lab = labs.Lab()
    try:
        names = [f"dev-{i + 1}" for i in range(4)]
        lab.start_cloud()
        lab.enrol(names)
        yield lab, names
    finally:
        lab.stop()


def disk_bytes(path):
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                pass
    return total


class Chain:
    """A chain with a Metering contract and what is needed to load and watch it."""

    def __init__(self, lab, name, devices):
        self.lab, self.name, self.devices = lab, name, devices
        begin = time.monotonic()
        command = ["chain", "create", name, "--devices", ",".join(devices), "--driver", "process"]
        lab.cli(*command, *([] if len(devices) >= 4 else ["--allow-no-fault-tolerance"]))
        self.create_ms = (time.monotonic() - begin) * 1000
        self.contract = lab.cli("contract", "deploy", name, "metering", "--artifact", ARTIFACT)["address"]
        self.urls = lab.rpc_urls(name)

    def pids(self):
        found = self.lab.node_pids(self.name)
        return [found[d] for d in self.devices if d in found]

    def load(self, rate, seconds):
        before_cpu = sum(labs.cpu_seconds(p) for p in self.pids())
        done = subprocess.run(
            [self.lab.binary("ridge-load"), "--rpc", ",".join(self.urls.values()), "--contract", self.contract,
             "--rate", str(rate), "--seconds", str(seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if not done.stdout.strip():
            raise labs.LabError(f"load at {rate}/s: {done.stderr}")
        figures = json.loads(done.stdout.strip().splitlines()[-1])
        cpu = sum(labs.cpu_seconds(p) for p in self.pids()) - before_cpu
        # The meters' registrations cost the nodes too: they are counted among the transactions.
        figures["cpu_us_per_tx_per_node"] = round(cpu * 1e6 / max(1, figures["included"] + 200) / len(self.devices))
        figures["node_rss_kib"] = max(labs.resident_kib(p) for p in self.pids())
        return figures

    def destroy(self):
        begin = time.monotonic()
        self.lab.cli("chain", "destroy", self.name, "--discard", self.name)
        return (time.monotonic() - begin) * 1000


def repeated_lifetimes(lab, devices, count):
    create, destroy = [], []
    for i in range(count):
        chain = Chain(lab, f"life-{i}", devices)
        create.append(chain.create_ms)
        destroy.append(chain.destroy())
    return round(statistics.median(create)), round(statistics.median(destroy))
