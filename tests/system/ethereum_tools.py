"""Suite ethereum-tools: the scripts of tests/ethereum against a chain of one device, over HTTP and WebSocket.

The node that the cloud created is started again with a key of its own (--rpc-keys), which is how tools that know no SM2
send transactions. Skipped by name without node and npm."""

import os
import subprocess
import sys

from cases import case, check, main
from support import ROOT, labs, npm_packages

FOLDER = os.path.join(ROOT, "tests", "ethereum")
_chain = {}


def start_chain():
    """Its RPC address; started by the first case that needs it."""
    if "url" in _chain:
        return _chain["url"]
    lab = _chain["lab"] = labs.Lab()
    lab.start_cloud()
    lab.enrol(["dev-1"])
    # Blocks slow enough for a transaction to wait for its own.
    lab.cli("chain", "create", "tools", "--devices", "dev-1", "--allow-no-fault-tolerance", "--params", '{"block_interval_ms": 200}')
    url = lab.rpc_urls("tools")["dev-1"]
    node = lab.node_pids("tools")["dev-1"]
    lab.agents["dev-1"].kill()  # it would start the node again
    os.kill(node, 15)
    labs.wait_for("the end of the node", 30, lambda: not lab.node_pids("tools"))
    folder = os.path.join(lab.node_dir("dev-1", "tools"), "node")
    command = [lab.binary("ridge-node"), "--config", os.path.join(folder, "node.conf")]
    command += ["--rpc-keys", os.path.join(folder, "node.key")]
    _chain["node"] = labs.Program(command, os.path.join(lab.dir, "node.log"))
    _chain["node"].start()

    def answers():
        check(_chain["node"].alive(), f"the node ended: {_chain['node'].log_tail()}")
        try:
            return lab.rpc(url, "eth_accounts")
        except OSError:
            return None

    labs.wait_for("the node with a key", 30, answers)
    _chain["url"] = url
    return url


def run(script):
    npm_packages(FOLDER, "ethers")
    url = start_chain()
    command = ["node", os.path.join(FOLDER, script), url, url.replace("http://", "ws://", 1)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    text = done.stdout.decode(errors="replace")
    print(text, end="", flush=True)
    check(done.returncode == 0, f"{script} ended with status {done.returncode}")
    check(_chain["node"].alive(), f"the node ended: {_chain['node'].log_tail()}")


@case
def ethers_works_unmodified():
    run("ethers.mjs")


@case
def viem_works_unmodified():
    run("viem.mjs")


@case
def web3_works_unmodified():
    run("web3.mjs")


def stop():
    if "node" in _chain:
        _chain["node"].stop()
    if "lab" in _chain:
        _chain["lab"].stop()


if __name__ == "__main__":
    sys.exit(main(stop))
