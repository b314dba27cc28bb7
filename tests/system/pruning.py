"""What is archived goes from the devices: receipts on their way, what is freed, and what moves nothing; see
tests/suites.d/pruning."""

import contextlib
import os
import sqlite3
import sys

from archives import await_end, head, order, read
from cases import case, check, equal, main
from support import Meter, cluster, create, deploy, labs


def devices(lab, chain):
    return {d["device"]: d for d in lab.cloud.must("GET", f"/chains/{chain}/archives")["devices"]}


def await_state(lab, chain, names, state="pruned", above=0):
    """Until these devices are in a state, with their mark above a height."""

    def there():
        try:
            got = devices(lab, chain)
        except OSError:
            return None
        fits = [n for n in names if n in got and got[n]["state"] == state and got[n]["pruned_height"] > above]
        return got if len(fits) == len(names) else None

    return labs.wait_for(f"{', '.join(names)} to be {state} above block {above}", 60, there, 0.05)


def keep(lab, chain, blocks, time="0s"):
    return lab.cli("chain", "archive-policy", chain, "--keep-blocks", str(blocks), "--keep", time)


def refused(lab, url, method, *params):
    """The code of the node's error; None: it did what was asked."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = labs.request(url, "POST", "/", body)[1]
    return answer["error"]["data"]["code"] if "error" in answer else None


def grow(lab, chain, meter, times):
    for _ in range(times):
        read(lab, chain, meter)


@case
def devices_delete_what_is_archived_and_say_how_much():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 6)
        first = await_end(lab, order(lab, "c"))
        equal(first["state"], "archived", f"first archive ({first['error']})")
        # With what is kept by default nothing of a young chain goes; the devices were asked all the same.
        got = await_state(lab, "c", ["dev-1", "dev-2", "dev-3", "dev-4"], above=-1)
        equal({d["pruned_height"] for d in got.values()}, {0}, "marks while everything has to stay")
        lab.agents["dev-4"].stop()
        said = keep(lab, "c", 2)
        equal((said["keep_blocks"], said["keep_ms"]), (2, 0), "what stays")
        got = await_state(lab, "c", ["dev-1", "dev-2", "dev-3"])
        for name in ("dev-1", "dev-2", "dev-3"):
            d = got[name]
            check(0 < d["pruned_height"] <= first["to"], f"the mark of {name}: {d}")
            check(d["freed_bytes"] > 0 and d["ledger_bytes"] > 0 and d["mark_ms"] <= first["mark_ms"], f"{d}")
        equal(got["dev-4"]["pruned_height"], 0, "mark of the device that is away")
        lab.agents["dev-4"].start()
        got = await_state(lab, "c", ["dev-4"])
        # Gone and named on each device, while the chain goes on.
        for url in lab.rpc_urls("c").values():
            equal(refused(lab, url, "eth_getBlockByNumber", "0x1", True), "ARCHIVED", "a block that is archived")
            equal(refused(lab, url, "eth_getBlockByNumber", hex(head(lab, "c")), True), None, "the newest block")
        meter.check_on("c")
        before = max(d["pruned_height"] for d in got.values())
        grow(lab, "c", meter, 4)
        second = await_end(lab, order(lab, "c"))
        equal((second["state"], second["from"]), ("archived", first["to"] + 1), "second archive")
        got = await_state(lab, "c", list(got), above=before)
        # Nothing of it is forgotten by a restart of the cloud.
        lab.cloud.stop()
        lab.cloud.start()
        after = await_state(lab, "c", list(got), above=before)
        equal({n: d["pruned_height"] for n, d in after.items()}, {n: d["pruned_height"] for n, d in got.items()}, "marks after a restart")
        listed = lab.cli("archive", "list", "--chain", "c")
        equal(len(listed["devices"]), 4, "devices in ridge archive list")
        table = lab.cli("chain", "prune", "c")
        equal({d["state"] for d in table}, {"pruned"}, "asked again")
        meter.check_on("c")


def collector_certificate(lab):
    with contextlib.closing(sqlite3.connect(os.path.join(lab.cloud.dir, "platform.db"))) as db:
        serial, pem = db.execute("SELECT serial, pem FROM certificates WHERE subject = '_collector' AND state = 'valid'").fetchone()
    return serial, pem + lab.cloud.must("GET", "/ca")["chain"]


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Node:
    """A node, and the token of its agent: what a program on the device could try that may read the node's files."""

    def __init__(self, lab, chain):
        self.lab, self.chain, self.orders = lab, chain, 0
        self.url = lab.rpc_urls(chain)["dev-1"]
        self.dir = os.path.join(lab.node_dir("dev-1", chain), "node")
        self.token = text_of(os.path.join(self.dir, "agent.token"))

    def prune(self, certificate, *receipts, blocks=1):
        """The answer, or the error's code and text."""
        self.orders += 1
        order_ = {"id": f"test-{self.orders}", "certificate": certificate, "receipts": list(receipts), "keep_blocks": blocks}
        body = {"jsonrpc": "2.0", "id": 1, "method": "node_prune", "params": [self.token, order_]}

        def ended():
            answer = labs.request(self.url, "POST", "/", body)[1]
            if "error" in answer:
                return answer["error"]["data"]["code"], answer["error"]["message"]
            return answer["result"] if answer["result"]["state"] == "done" else None

        return labs.wait_for("the node's word", 30, ended, 0.02)


@case
def nodes_delete_nothing_by_what_is_no_receipt_of_the_collector():
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        create(lab, "other", ("dev-1",))
        deploy(lab, "c", bind=True)
        deploy(lab, "other")
        keep(lab, "other", 1)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 4)
        first, foreign = (await_end(lab, order(lab, chain)) for chain in ("c", "other"))
        good, foreign = first["receipt"], foreign["receipt"]
        await_state(lab, "c", ["dev-1"], above=-1)
        serial, certificate = collector_certificate(lab)
        node = Node(lab, "c")
        for method in ("node_prune", "node_exportArchive"):
            equal(refused(lab, node.url, method), "FORBIDDEN", f"{method} without the token")
            equal(refused(lab, node.url, method, "0" * 64), "FORBIDDEN", f"{method} with another token")
        own = text_of(os.path.join(node.dir, "node-sign.crt"))
        forged = good[:-1] + ("0" if good[-1] != "0" else "1")
        lies = {
            "another chain's receipt": (certificate, foreign, "WRONG_CHAIN"),
            "a signature that was changed": (certificate, forged, "BAD_SIGNATURE"),
            "a certificate of a node": (own, good, "FORBIDDEN"),
            "a certificate under no root": (text_of(os.path.join(node.dir, "ca-chain.crt")), good, "FORBIDDEN"),
            "no receipt": (certificate, "0x00", "MALFORMED"),
        }
        for what, (by, receipt, code) in lies.items():
            equal(node.prune(by, receipt)[0], code, what)
        equal(refused(lab, node.url, "eth_getBlockByNumber", "0x1", True), None, "the first block after all lies")
        done = node.prune(certificate, good)
        check(done["pruned_height"] > 0 and done["freed_bytes"] > 0, f"an honest order: {done}")
        # Once more, it moves nothing.
        again = node.prune(certificate, good)
        equal((again["pruned_height"], again["freed_bytes"]), (done["pruned_height"], 0), "a receipt that came before")
        # Whose key the CA has revoked has nothing to say any more; the collector goes on with another.
        grow(lab, "c", meter, 3)
        lab.cli("cert", "revoke", serial, "--reason", "key-compromise")

        def refusal():
            said = node.prune(certificate, good)
            return said if isinstance(said, tuple) else None

        code, why = labs.wait_for("the list on the node", 30, refusal, 0.1)
        check(code == "FORBIDDEN" and "revo" in why, f"a revoked key is named: {code}, {why}")
        keep(lab, "c", 1)
        second = await_end(lab, order(lab, "c"))
        got = await_state(lab, "c", ["dev-1"], above=first["to"])
        check(got["dev-1"]["pruned_height"] <= second["to"], f"after the change of keys: {got}")


if __name__ == "__main__":
    sys.exit(main())
