"""What the cases of suite trouble share: labs, chains, waiting for states, and comparing what nodes hold."""

import contextlib
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
import readings  # noqa: E402
from cases import Skip, check, equal  # noqa: E402

ARTIFACT = os.path.join(ROOT, "contracts", "artifacts", "Metering.json")
NAMES = ["dev-1", "dev-2", "dev-3", "dev-4"]
FINAL = {"running", "failed", "cancelled", "destroyed"}


def run_seed():
    """Where a case kills at random, a failure can be repeated: RIDGE_SEED=N."""
    seed = int(os.environ.get("RIDGE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"     seed {seed}", flush=True)
    return random.Random(seed)


@contextlib.contextmanager
def cluster(names=tuple(NAMES), cloud=(), agent=(), broker=None):
    """A cloud and enrolled devices; at the end everything is stopped, and nothing may be left."""
    lab = labs.Lab()
    try:
        if broker:
            broker.place(lab)
            broker.start()
            cloud = [*cloud, "--broker-url", broker.url]
        lab.start_cloud(cloud)
        lab.enrol(list(names), "process", agent)
        yield lab
    except BaseException:
        print_logs(lab)
        raise
    finally:
        if broker:
            broker.stop()
        lab.stop()


def npm_packages(folder, package):
    """The node_modules of a folder with a package-lock.json, fetched if need be; skips without npm or a network."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed (Debian: nodejs, npm)")
    modules = os.path.join(folder, "node_modules")
    if not os.path.isdir(os.path.join(modules, *package.split("/"))):
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode != 0:
            raise Skip(f"npm ci failed in {os.path.relpath(folder, ROOT)}, so {package} is not there")
    return modules


def print_logs(lab):
    """The end of every log, for who reads why a case failed; the directory is removed."""
    for folder, _, files in os.walk(lab.dir):
        for name in sorted(files):
            if not name.endswith(".log") or name in ("commands.log", "transactions.log") or name[:-4].split("-")[-1].isdigit():
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = [line for line in file if '"level":"debug"' not in line][-25:]
            print(f"     --- {os.path.relpath(path, lab.dir)}")
            print("".join(f"     {line[:400]}" + ("" if line.endswith("\n") else "\n") for line in lines), end="")


class Shared:
    """One lab with a chain and a contract, for the cases that change nothing that others look at."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.lab = None

    def get(self):
        if not self.lab:
            self.lab = self.stack.enter_context(cluster())
            create(self.lab, "main")
            deploy(self.lab, "main")
        return self.lab

    def close(self):
        self.stack.close()
        self.lab = None


shared = Shared()


# --- chains --------------------------------------------------------------------------------------------


def ask_create(lab, chain, names=tuple(NAMES), **more):
    body = {"name": chain, "devices": list(names), "driver": "process", "allow_no_fault_tolerance": len(names) < 4, **more}
    return lab.cloud.must("POST", "/chains", body)


def wait_answer(lab, name):
    """Until the device answers a request: after a crash the cloud may still list it as online, or already as offline."""
    body = {"method": "agent.info", "params": {}, "timeout_ms": 1000}
    labs.wait_for(f"an answer of {name}", 20, lambda: lab.cloud.call("POST", f"/devices/{name}/requests", body)[0] == 200, 0.05)


def create(lab, chain, names=tuple(NAMES)):
    ask_create(lab, chain, names)
    await_chain(lab, chain, "running")


def deploy(lab, chain, bind=False):
    with open(ARTIFACT, encoding="utf-8") as file:
        artifact = json.load(file)
    lab.cloud.must("POST", f"/chains/{chain}/contracts",
                   {"name": "metering", "abi": artifact["abi"], "bytecode": artifact["bytecode"], "args": []})  # fmt: skip
    if bind:
        answer = lab.cloud.must("POST", f"/chains/{chain}/intake", {"contract": "metering"})
        for device in answer["devices"]:
            wait_command(lab, device["command"])


def wait_command(lab, command, state="done", seconds=30):
    def ended():
        got = lab.cloud.must("GET", f"/commands/{command}?wait_ms=1000")
        return got if got["state"] in ("done", "failed", "expired", "cancelled") else None

    got = labs.wait_for(f"the end of command {command}", seconds, ended)
    equal(got["state"], state, f"command {got['type']} on {got['device']} ({got['error']})")
    return got


def chain_state(lab, chain):
    return lab.cloud.must("GET", f"/chains/{chain}")


def await_chain(lab, chain, state, seconds=60):
    def there():
        got = chain_state(lab, chain)
        if got["state"] == state:
            return got
        check(got["state"] not in FINAL, f"chain {chain} is {got['state']}: {got['error']}")
        return None

    return labs.wait_for(f"chain {chain} {state}", seconds, there, 0.02)


def last_event(lab, chain):
    return lab.cloud.must("GET", f"/chains/{chain}/events?after=0")["events"][-1]["seq"]


def events(lab, chain, after=0):
    """The chain's events after that one, as they come, until it has ended."""
    while True:
        for event in lab.cloud.must("GET", f"/chains/{chain}/events?after={after}&wait_ms=5000")["events"]:
            after = event["seq"]
            yield event
            if event["step"] == "chain" and event["state"] in FINAL:
                return


def await_event(lab, chain, step, state, device=None, after=0):
    """Returns at that event, or at the chain's end: of states that pass quickly, not each becomes an event."""
    for event in events(lab, chain, after):
        if (event["step"], event["state"]) == (step, state) and device in (None, event["device"]):
            return


def destroy(lab, chain):
    lab.cloud.must("DELETE", f"/chains/{chain}?discard={chain}")
    await_chain(lab, chain, "destroyed")


def check_one_node_each(lab, chain, names=tuple(NAMES)):
    equal(sorted(name for name, _ in lab.nodes(chain)), sorted(names), f"devices that run a node of {chain}")


def check_nothing_of(lab, chain, names=tuple(NAMES)):
    equal([(name, pid) for name, pid in lab.nodes(chain) if name in names], [], f"nodes of {chain}")
    left = [d for d in (os.path.join(lab.dir, "devices", name, "chains", chain) for name in names) if os.path.exists(d)]
    equal(left, [], f"directories of {chain}")


# --- nodes ---------------------------------------------------------------------------------------------


def urls(lab, chain, names=tuple(NAMES)):
    """RPC addresses as the devices keep them; they stay the same for the life of a chain."""
    found = {}
    for name in names:
        record = labs.read_json(os.path.join(lab.dir, "devices", name, "chains", chain, "chain.json"))
        found[name] = f"http://127.0.0.1:{record['rpc_port']}"
    return found


def height(lab, url):
    try:
        return lab.rpc(url, "ridge_status")["height"]
    except (OSError, ValueError):
        return None


def hashes(lab, url, upto):
    return [lab.rpc(url, "eth_getBlockByNumber", [hex(h), False])["hash"] for h in range(upto + 1)]


def await_height(lab, chain, at_least, names=tuple(NAMES), seconds=30):
    for name, url in urls(lab, chain, names).items():
        labs.wait_for(f"{name} at height {at_least}", seconds, lambda url=url: (height(lab, url) or 0) >= at_least, 0.02)


def check_same_blocks(lab, chain, names=tuple(NAMES), seconds=30):
    """Waits until all have the highest block that one has; all blocks must then be the same. Returns their hashes."""
    where = urls(lab, chain, names)
    top = max(labs.wait_for(f"the height of {name}", seconds, lambda url=url: height(lab, url), 0.02) for name, url in where.items())
    await_height(lab, chain, top, names, seconds)
    histories = {name: hashes(lab, url, top) for name, url in where.items()}
    reference = next(iter(histories.values()))
    for name, history in histories.items():
        equal(history, reference, f"block hashes of {name}")
    return reference


# --- readings ------------------------------------------------------------------------------------------


class Meter:
    """Gives one meter's readings to a device and knows what the contract must say in the end."""

    def __init__(self, lab, device, name="m"):
        self.lab, self.device, self.name = lab, device, name
        self.values = []

    def batch(self, count):
        first = len(self.values) + 1
        return [{"meter": self.name, "time": 1000 + k, "value": f"{k}.5"} for k in range(first, first + count)]

    def post(self, count=1):
        """Given again after no answer came, a reading that had been taken is refused as stale: either is right."""
        batch = self.batch(count)

        def given():
            try:
                status, answer = self.lab.agents[self.device].call("POST", "/v1/readings", batch)
            except (OSError, labs.http.client.HTTPException):
                return False
            check(status == 202, f"{self.device}: HTTP {status}: {answer}")
            stale = [r for r in answer["refused"] if r["code"] == "STALE"]
            equal(answer["accepted"] + len(stale), count, f"readings accepted or known ({answer})")
            return True

        labs.wait_for(f"{self.device} takes readings", 30, given, 0.02)
        self.values += [readings.micro(r["value"]) for r in batch]

    def totals(self, chain):
        body = {"method": "totals", "args": [readings.meter_id(self.device, self.name)]}
        answer = self.lab.cloud.must("POST", f"/chains/{chain}/contracts/metering/call", body)["result"]
        return int(answer["count"]), int(answer["sum"])

    def check_on(self, chain, seconds=60):
        """Every reading is on the chain once: nothing is queued any more and the totals are those of what was given."""
        labs.wait_for(f"an empty queue on {self.device}", seconds, self.queue_empty, 0.05)

        def totals():
            with contextlib.suppress(labs.LabError):  # the only node may just be starting again
                return self.totals(chain)

        equal(labs.wait_for(f"an answer of {chain}", seconds, totals, 0.1), (len(self.values), sum(self.values)), f"count and sum of {self.device}/{self.name}")
        equal(self.lab.agents[self.device].intake()["refused"], 0, f"readings that the contract refused of {self.device}")

    def queue_empty(self):
        try:
            return self.lab.agents[self.device].intake()["queued"] == 0
        except (OSError, labs.http.client.HTTPException):
            return False


# --- ports and brokers ---------------------------------------------------------------------------------


def held_port():
    """(port, socket): nobody gets the port who asks for any, as long as the socket is open; it does not listen, so that who
    wants this one and sets SO_REUSEADDR may."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1], s


@contextlib.contextmanager
def taken_port(port=0):
    """A port that somebody else listens on."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(1)
        yield s.getsockname()[1]


class Broker(labs.Program):
    """A mosquitto of the test's own that lets everybody do everything."""

    def __init__(self):
        self.port, self.held = held_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def place(self, lab):
        conf = os.path.join(lab.dir, "foreign-broker.conf")
        with open(conf, "w", encoding="ascii") as file:
            file.write(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        program = next((p for p in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if os.access(p, os.X_OK)), "mosquitto")
        super().__init__([program, "-c", conf], os.path.join(lab.dir, "foreign-broker.log"))

    def start(self):
        super().start()

        def listens():
            check(self.alive(), f"mosquitto ended: {self.log_tail()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True

        labs.wait_for("the broker", 10, listens, 0.01)

    def stop(self, *arguments):
        if hasattr(self, "process"):
            super().stop(*arguments)
        self.held.close()


def kill_9(pid):
    """Unless it has just ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)


def child_of(pid, program):
    """The pid of the process's child that runs the program, or None."""
    for other in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{other}/stat", encoding="ascii", errors="replace") as file:
                stat = file.read()
        except OSError:
            continue
        if stat[stat.index("(") + 1 : stat.rindex(")")] == program and int(stat.rsplit(")", 1)[1].split()[1]) == pid:
            return int(other)
    return None


__all__ = [name for name in dir() if not name.startswith("_")]
