"""A network of namespaces with faults: one namespace a node, joined by a bridge, the caller's own beside them.

enter() moves the program into namespaces of its own (network, mounts, processes), so that nothing of a run is seen
outside of it or outlives it, whatever happens to it. Loss and cuts are nftables rules at the input of a node, so they
may differ in the two directions of a pair; a slow link is a token bucket (tc tbf) at its output. The kernel decides which
packets are lost; which faults there are, the caller. Traffic to and from the caller's own address is never dropped.
"""

import os
import shutil
import subprocess
import sys

SUBNET = "10.78.0"
HUB = f"{SUBNET}.254"
MARK = "RIDGE_LAB_NAMESPACES"


def missing():
    """Why there can be no such network here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("ip", "nft", "tc", "unshare", "nsenter", "setpriv"):
        if not shutil.which(tool):
            return f"{tool} is not installed (tools/setup installs it)"
    done = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    return f"namespaces cannot be made here: {done.stderr.strip()}" if done.returncode else None


def enter():
    """Starts the program again in namespaces of its own; there it returns at once."""
    if os.environ.get(MARK) == "inside":
        return
    os.environ[MARK] = "inside"
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def _run(*command, text=None):
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


class Network:
    def __init__(self, count):
        self.count = count
        os.makedirs("/run/netns", exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")  # ours alone: the mount namespace is private
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "link", "add", "hub", "type", "bridge")
        _run("ip", "address", "add", f"{HUB}/24", "dev", "hub")
        _run("ip", "link", "set", "hub", "up")
        for i in range(count):
            self._add(i)

    def _add(self, i):
        name = f"n{i}"
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", f"veth{i}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", f"veth{i}", "master", "hub", "up")
        _run("ip", "-n", name, "address", "add", f"{self.host(i)}/24", "dev", "eth0")
        _run("ip", "-n", name, "link", "set", "eth0", "up")
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def host(self, i):
        return f"{SUBNET}.{i + 1}"

    def prefix(self, i):
        """In front of a command that is to run in node i's namespace."""
        return ("nsenter", f"--net=/run/netns/n{i}")

    def faults(self, i, deaf_to=(), loss=None):
        """Replaces what happens at node i's input: deaf_to those nodes; loss: {node: percent}."""
        rules = [f"{self.host(j)} drop" for j in sorted(deaf_to)]
        rules += [f"{self.host(j)} numgen random mod 100 < {p} drop" for j, p in sorted((loss or {}).items())]
        lines = ["flush ruleset", "add table ip faults", "add chain ip faults input { type filter hook input priority 0; }"]
        lines += [f"add rule ip faults input ip saddr {rule}" for rule in rules]
        _run(*self.prefix(i), "nft", "-f", "-", text="\n".join(lines) + "\n")

    def slow(self, i, kbit=None):
        """Limits what node i sends; what does not pass waits up to 400 ms and is lost then. None: no limit."""
        if kbit:
            _run(*self.prefix(i), "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", f"{kbit}kbit", "burst", "16kb",
                 "latency", "400ms")  # fmt: skip
        else:
            subprocess.run([*self.prefix(i), "tc", "qdisc", "del", "dev", "eth0", "root"], capture_output=True, check=False)

    def close(self):
        for i in range(self.count):
            subprocess.run(["ip", "netns", "del", f"n{i}"], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", f"veth{i}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", "hub"], capture_output=True, check=False)
        subprocess.run(["umount", "-l", "/run/netns"], capture_output=True, check=False)
