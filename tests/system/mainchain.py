"""Suite mainchain: what the cloud writes on its main chain of the edge chains, and that anybody can check it offline."""

import json
import os
import signal
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from support import cluster, create, destroy, labs  # noqa: E402

FAST = ("--checkpoint-interval", "300ms")


def entries(lab, chain, *kinds):
    """What is written of the chain, once all these kinds are."""

    def there():
        status, answer = lab.cloud.call("GET", f"/mainchain/chains/{chain}")
        written = [e for e in answer["entries"] if e["state"] == "written"] if status == 200 else []
        return written if set(kinds) <= {e["kind"] for e in written} else None

    return labs.wait_for(f"{', '.join(kinds)} of {chain} on the main chain", 40, there, 0.05)


def status(lab):
    return lab.cloud.must("GET", "/mainchain")


def await_ready(lab):
    return labs.wait_for("the main chain", 40, lambda: (lambda s: s if s["state"] == "ready" else None)(status(lab)), 0.05)


def main_nodes(lab):
    """Processes of the main chain's nodes: {number: pid}."""
    place = os.path.join(lab.cloud.dir, "mainchain", "node-")
    found = {}
    for pid, line in lab._processes():
        if place in line and os.path.basename(line.split("\0")[0]) == "ridge-node":
            found[int(line.split(place)[1].split("\0")[0])] = pid
    return found


def logged(lab):
    """Entries as the main chain's own events have them: [(chain, index)]."""
    answer = status(lab)
    url = next(n["url"] for n in answer["nodes"] if n["state"] == "running")
    logs = lab.rpc(url, "eth_getLogs", [{"fromBlock": "0x0", "toBlock": "latest", "address": answer["registry"]}])
    return [(int(log["topics"][1], 16), int(log["topics"][2], 16)) for log in logs if len(log["topics"]) == 4]


def offline(lab, *args):
    """ridge without a cloud: (exit status, answer or error)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_")}
    environment["RIDGE_URL"] = "http://127.0.0.1:9"
    done = subprocess.run([lab.binary("ridge"), *args, "--json"], env=environment, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.returncode == 0 else done.stderr.decode()


def tenants_see_their_own(lab, index):
    """The chain is of tenant default: its callers get its entries and proofs, another's nothing of it."""
    lab.cloud.must("POST", "/tenants", {"name": "other"})
    own, other = (
        lab.cloud.must("POST", "/tokens", {"name": "looks", "role": "reader", "tenant": tenant})["token"]
        for tenant in ("default", "other")
    )

    def ask(token, path):
        return labs.request(lab.cloud.url, "GET", "/api/v1/mainchain" + path, None, token)

    for token, names in ((own, ["feeder"]), (other, [])):
        code, answer = ask(token, "")
        equal((code, [c["chain"] for c in answer["chains"]]), (200, names), "the chains of a tenant")
        check(not {"nodes", "pending", "refused"} & set(answer), f"a tenant is told what is the cloud's: {answer}")
        equal(ask(token, "/genesis")[0], 200, "the main chain's genesis")
    for path in ("/chains/feeder", f"/chains/feeder/entries/{index}/proof"):
        equal((ask(own, path)[0], ask(other, path)[0]), (200, 404), path)


@case
def what_is_written_is_proven_without_a_server():
    with cluster(cloud=FAST) as lab:
        create(lab, "feeder")
        genesis = os.path.join(lab.dir, "main.json")
        proofs = {}
        found = entries(lab, "feeder", "genesis", "checkpoint")
        equal(found[0]["values"]["name"], "feeder", "name in the first entry")
        subprocess.run([lab.binary("ridge"), "mainchain", "genesis", genesis], check=True,
                       env=dict(os.environ, RIDGE_HOME=lab.cloud.dir))  # fmt: skip
        for entry in found[:2]:
            proofs[entry["kind"]] = path = os.path.join(lab.dir, f"{entry['kind']}.proof")
            lab.cli("mainchain", "prove", "feeder", str(entry["index"]), path)
        tenants_see_their_own(lab, found[0]["index"])
        destroy(lab, "feeder")
        last = entries(lab, "feeder", "destruction")[-1]
        equal((last["kind"], last["values"]["discarded"]), ("destruction", True), "the last entry")
        path = os.path.join(lab.dir, "end.proof")
        lab.cli("mainchain", "prove", "feeder", str(last["index"]), path)
        lab.cloud.stop()
        check(not main_nodes(lab), "a node of the main chain outlived the cloud")

        code, answer = offline(lab, "mainchain", "verify", proofs["genesis"], "--genesis", genesis)
        equal((code, answer["kind"], answer["values"]), (0, "genesis", found[0]["values"]), "proof of the genesis")
        code, answer = offline(lab, "mainchain", "verify", proofs["checkpoint"], "--genesis", genesis)
        equal((code, answer["values"]), (0, found[1]["values"]), "proof of a checkpoint")
        code, answer = offline(lab, "mainchain", "verify", path, "--genesis", genesis)
        equal((code, answer["chain"]["destroyed"]), (0, True), "proof of the end")
        code, why = offline(lab, "mainchain", "verify", path)
        check(code == 1 and "--genesis" in why, f"without a genesis: {code}, {why}")
        with open(genesis, encoding="utf-8") as file:
            other = json.load(file)
        other["chain_id"] += 1
        with open(genesis + ".other", "w", encoding="utf-8") as file:
            json.dump(other, file)
        code, why = offline(lab, "mainchain", "verify", path, "--genesis", genesis + ".other")
        check(code == 1 and "chain" in why, f"another main chain: {code}, {why}")


@case
def kills_of_cloud_and_node_leave_one_entry_of_each():
    with cluster(("dev-1",), cloud=FAST) as lab:
        await_ready(lab)
        for number in range(3):
            create(lab, f"c{number}", ["dev-1"])
            os.kill(main_nodes(lab)[0], signal.SIGKILL)
            lab.cloud.kill()
            lab.cloud.start()
            lab.wait_online(["dev-1"])
        for number in range(3):
            found = entries(lab, f"c{number}", "genesis", "checkpoint")
            equal([e["index"] for e in found], list(range(len(found))), f"numbers of the entries of c{number}")
        os.kill(main_nodes(lab)[0], signal.SIGSTOP)  # it takes what is sent, and answers nothing
        destroy(lab, "c0")
        lab.cloud.kill()
        lab.cloud.start()
        entries(lab, "c0", "destruction")
        await_ready(lab)
        log = logged(lab)
        equal(len(log), len(set(log)), "entries that are there once")
        equal(status(lab)["refused"], 0, "refused entries")


@case
def a_port_that_is_taken_is_replaced():
    with cluster(("dev-1",)) as lab:
        url = await_ready(lab)["nodes"][0]["url"]
        lab.cloud.stop()
        with socket.create_server(("127.0.0.1", int(url.rsplit(":", 1)[1]))):
            lab.cloud.start()
            check(await_ready(lab)["nodes"][0]["url"] != url, "the node's address is one that another program has")


@case
def four_nodes_go_on_without_one():
    with cluster(("dev-1",), cloud=("--mainchain", "4", *FAST)) as lab:
        equal(await_ready(lab)["validators"], 4, "validators")
        node = os.path.join(lab.cloud.dir, "mainchain", "node-2")
        # While it is away its directory is no longer there; what it has when it is put back is its own again.
        os.rename(node, node + ".away")
        os.kill(main_nodes(lab)[2], signal.SIGKILL)
        create(lab, "feeder", ["dev-1"])
        entries(lab, "feeder", "genesis", "checkpoint")
        if os.path.exists(node):
            labs.shutil.rmtree(node)
        os.rename(node + ".away", node)
        labs.wait_for("four nodes again", 30, lambda: len(main_nodes(lab)) == 4, 0.05)
        top = status(lab)["height"]
        urls = [n["url"] for n in status(lab)["nodes"]]

        def caught_up():
            try:
                return all(lab.rpc(u, "ridge_status")["height"] >= top for u in urls)
            except (OSError, ValueError):
                return False

        labs.wait_for(f"all nodes at height {top}", 30, caught_up, 0.05)


@case
def other_numbers_of_nodes_are_refused():
    with cluster(("dev-1",)) as lab:
        await_ready(lab)
        lab.cloud.stop()
        for setting, code, word in (("4", 1, "made with 1"), ("9", 2, "1 to 7"), ("ftp://x", 2, "1 to 7")):
            done = subprocess.run([*lab.cloud.argv, "--mainchain", setting], capture_output=True, timeout=60, check=False)
            check(word in done.stderr.decode(), f"--mainchain {setting}: {done.stderr.decode()[-300:]}")
            equal(done.returncode, code, f"exit status of --mainchain {setting}")
        lab.cloud.start()


if __name__ == "__main__":
    sys.exit(main())
