"""The schedule of a campaign's faults, and their doing and undoing on a chain of nodes in namespaces.

A plan is a function of its seed alone: (second, kind, target, strength, seconds). Whether a fault takes place can depend on
the moment: one that cannot (its node is down by another fault, a wiped node is still catching up) is counted as left out.
"""

import os
import random
import subprocess
import time

DISK = "2048m"
LEADER = -1  # as a target: whoever leads at that moment
KINDS = {  # and how often
    "loss": 4, "slow": 3, "deaf_pair": 4, "deaf_node": 2, "mute_node": 2, "isolate": 3, "split": 2,
    "kill": 5, "restart": 3, "stop": 4, "kill_all": 1, "disk_full": 3, "wipe": 3,
}  # fmt: skip
PROCESS = {"kill", "restart", "stop", "kill_all", "disk_full", "wipe"}


class Fault:
    def __init__(self, at, kind, target, strength, seconds):
        self.at, self.kind, self.target, self.strength, self.seconds = at, kind, target, strength, seconds

    def __repr__(self):
        return f"{self.at:6.1f} s {self.kind} of {'leader' if self.target == LEADER else self.target} for {self.seconds:.1f} s"


def plan(seed, count, seconds):
    """In order of time; all have ended by `seconds`."""
    dice = random.Random(seed)
    now, faults = 1.0, []
    while True:
        now += dice.uniform(0.3, 2.5)
        kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
        target = LEADER if dice.random() < 0.4 else dice.randrange(count)
        strength, length = dice.random(), dice.uniform(0.5, 6)
        if now + 0.5 > seconds:
            return faults
        faults.append(Fault(now, kind, target, strength, min(length, seconds - now)))


class Faults:
    """Does them. cuts[i] are the nodes that node i does not hear, losses[i] what it loses of whom; many may overlap."""

    def __init__(self, chain, network, clock=time.monotonic):
        self.chain, self.network, self.clock = chain, network, clock
        self.count = len(chain.nodes)
        self.deaf = []  # (fault, listener, speaker)
        self.lossy = []  # (fault, listener, percent)
        self.held = {}  # node → the fault that has its process or its disk
        self.wiped = None  # (node, height that it must reach, since)
        self.disk_trouble = {}  # node → until when it may fail for want of space
        self.done, self.left_out, self.caught_up = {}, {}, []

    # --- the network -------------------------------------------------------------------------------------

    def _apply_network(self):
        for i in range(self.count):
            losses = [p for _, listener, p in self.lossy if listener == i]
            self.network.faults(
                i, {speaker for _, listener, speaker in self.deaf if listener == i},
                {j: max(losses) for j in range(self.count) if j != i} if losses else None,
            )  # fmt: skip

    def _cut(self, fault, listeners, speakers):
        self.deaf += [(fault, i, j) for i in listeners for j in speakers if i != j]
        self._apply_network()

    # --- beginning ---------------------------------------------------------------------------------------

    def begin(self, fault):
        """False: it was left out."""
        if fault.target == LEADER:
            leader = self.chain.leader()
            fault.node = self.chain.nodes.index(leader) if leader else 0
        else:
            fault.node = fault.target
        possible = fault.kind not in PROCESS or self._may_hold(fault)
        counts = self.done if possible else self.left_out
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
        if possible:
            getattr(self, "_begin_" + fault.kind)(fault)
        return possible

    def _may_hold(self, fault):
        if fault.kind == "kill_all":
            return not self.held
        if fault.kind in ("wipe", "disk_full"):  # one at a time, and never while another is away
            return not self.held and not self.wiped
        return fault.node not in self.held

    def _begin_loss(self, fault):
        percent = 2 + int(fault.strength * 28)
        nodes = range(self.count) if fault.target == LEADER else [fault.node]
        self.lossy += [(fault, i, percent) for i in nodes]
        self._apply_network()

    def _begin_slow(self, fault):
        self.network.slow(fault.node, 256 + int(fault.strength * 1800))

    def _begin_deaf_pair(self, fault):
        self._cut(fault, [fault.node], [(fault.node + 1 + int(fault.strength * (self.count - 1))) % self.count])

    def _begin_deaf_node(self, fault):
        self._cut(fault, [fault.node], range(self.count))

    def _begin_mute_node(self, fault):
        self._cut(fault, range(self.count), [fault.node])

    def _begin_isolate(self, fault):
        self._cut(fault, [fault.node], range(self.count))
        self._cut(fault, range(self.count), [fault.node])

    def _begin_split(self, fault):
        half = {(fault.node + i) % self.count for i in range(self.count // 2)}
        self._cut(fault, half, set(range(self.count)) - half)
        self._cut(fault, set(range(self.count)) - half, half)

    def _begin_kill(self, fault):
        self.held[fault.node] = fault
        self.chain.nodes[fault.node].kill()

    def _begin_restart(self, fault):
        self.held[fault.node] = fault
        self.chain.nodes[fault.node].stop()

    def _begin_stop(self, fault):
        self.held[fault.node] = fault
        self.chain.nodes[fault.node].pause()

    def _begin_kill_all(self, fault):
        for i, node in enumerate(self.chain.nodes):
            self.held[i] = fault
            node.process.kill()
        for node in self.chain.nodes:
            node.process.wait()

    def _begin_disk_full(self, fault):
        self.held[fault.node] = fault
        self.disk_trouble[fault.node] = float("inf")
        for _ in range(20):  # the node goes on writing meanwhile
            place = os.statvfs(self.chain.nodes[fault.node].dir)
            used = (place.f_blocks - place.f_bfree) * place.f_frsize
            if self._resize(fault.node, f"{used + 8192 + int(fault.strength * 200_000)}"):
                return
        raise RuntimeError(f"the disk of node {fault.node} cannot be made small")

    def _resize(self, i, size):
        """Of the node's own tmpfs, whose limit is its disk's size: so a full disk costs no memory."""
        command = ["mount", "-o", f"remount,size={size}", self.chain.nodes[i].dir]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _begin_wipe(self, fault):
        self.held[fault.node] = fault
        node = self.chain.nodes[fault.node]
        heights = [h for h in (other.height(0.5) for other in self.chain.nodes) if h is not None]
        self.wiped = (node, max(heights, default=0), self.clock())
        node.kill()
        node.wipe()

    # --- end ---------------------------------------------------------------------------------------------

    def end(self, fault):
        self.deaf = [entry for entry in self.deaf if entry[0] is not fault]
        self.lossy = [entry for entry in self.lossy if entry[0] is not fault]
        self._apply_network()
        if fault.kind == "slow":
            self.network.slow(fault.node)
        for i in [i for i, holder in self.held.items() if holder is fault]:
            del self.held[i]
            node = self.chain.nodes[i]
            if fault.kind == "stop":
                node.resume()
            elif fault.kind == "disk_full":
                self._resize(i, DISK)
                self.disk_trouble[i] = self.clock() + 10
            elif not node.alive():
                node.start()

    def may_fail_for_space(self, i):
        return self.disk_trouble.get(i, 0) > self.clock()

    def watch_wiped(self):
        """Notes when a node that lost its ledger has what the others had then, and votes again."""
        if not self.wiped:
            return
        node, height, since = self.wiped
        status = node.status(0.5)
        if status and status["height"] >= height and status["consensus"]["voting"]:
            self.caught_up.append(round(self.clock() - since, 1))
            self.wiped = None
