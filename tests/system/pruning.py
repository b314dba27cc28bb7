"""What is archived goes from the devices: receipts on their way, what is freed, and what moves nothing; see
tests/suites.d/pruning."""

import contextlib
import os
import signal
import sqlite3
import sys

from archives import archive_through_cuts, await_end, cuts, devices, files, forge, grow, head, keep, object_path, order, rewrite, without
from cases import case, check, equal, main
from support import Meter, check_same_blocks, cluster, create, deploy, labs, run_seed


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


def refused(lab, url, method, *params):
    """The code of the node's error; None: it did what was asked."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    answer = labs.request(url, "POST", "/", body)[1]
    return answer["error"]["data"]["code"] if "error" in answer else None


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
        # Who is behind while the others delete gets the state in place of blocks, and has no newest one to show.
        check_same_blocks(lab, "c")
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
        shown = lab.cli("archive", "show", str(first["number"]))
        equal((shown["manifest"], len(shown["devices"])), (first["manifest"], 4), "ridge archive show NUMBER")
        table = lab.cli("chain", "prune", "c")
        equal({d["state"] for d in table}, {"pruned"}, "asked again")
        meter.check_on("c")


@case
def who_was_away_while_its_peers_deleted_gets_the_state_instead():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 2)
        lab.agents["dev-4"].stop()
        os.kill(lab.node_pids("c")["dev-4"], signal.SIGKILL)
        grow(lab, "c", meter, 4)
        equal(await_end(lab, order(lab, "c"))["state"], "archived", "the archive")
        keep(lab, "c", 1)
        others = ["dev-1", "dev-2", "dev-3"]
        await_state(lab, "c", others)
        lab.agents["dev-4"].start()
        lab.wait_online(["dev-4"])

        def level():
            with contextlib.suppress(OSError, labs.LabError):
                url = lab.rpc_urls("c")["dev-4"]
                status = lab.rpc(url, "ridge_status")
                return status["height"] >= head(lab, "c") and status["sync"]["base_height"] > 0 and status["consensus"]["voting"]
            return False

        labs.wait_for("dev-4 to have what the others have", 60, level, 0.1)
        # Asked while it could not tell yet what may go, it is asked again; with the state alone it has nothing to delete.
        await_state(lab, "c", ["dev-4"], above=-1)
        grow(lab, "c", meter, 1)
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


# What a collector could sign although it is not so, and what the node says. (What it can not know: whether the collector
# has kept what it says it has; docs/archive-format.md.)
LIES = {
    "an archive that it altered": (["content=other"], "FORBIDDEN", "names other blocks than this ledger's"),
    "fewer blocks": (["to={less}"], "FORBIDDEN", "names other blocks than this ledger's"),
    "blocks that are not there yet": (["to={beyond}"], "UNAVAILABLE", "are not all here yet"),
    "a range with a gap before it": (["from=3"], "FORBIDDEN", "starts above blocks that no receipt covers"),
    "no range": (["from=0"], "MALFORMED", "archive receipt"),
    "a later mark": (["mark_ms={later}"], "FORBIDDEN", "names another time"),
    "no anchor": (["anchor_tx=none"], "FORBIDDEN", "names no transaction of the main chain"),
    "no height of the anchor": (["anchor_height=0"], "FORBIDDEN", "names no transaction of the main chain"),
    "another chain": (["chain_id={chain}"], "WRONG_CHAIN", "another chain"),
    "another genesis": (["genesis=other"], "WRONG_CHAIN", "another chain"),
}


@case
def a_collector_that_lies_with_its_own_key_moves_nothing_and_is_named():
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 4)
        got = await_end(lab, order(lab, "c"))
        await_state(lab, "c", ["dev-1"], above=-1)
        key, node = os.path.join(lab.cloud.dir, "keys", "collector.key"), Node(lab, "c")
        _, certificate = collector_certificate(lab)
        values = {"less": got["to"] - 1, "beyond": got["to"] + 1000, "later": got["mark_ms"] + 1, "chain": 4711}
        check(got["to"] > 3, f"the archive is long enough: {got}")
        for what, (fields, code, word) in LIES.items():
            lie = forge(lab, "receipt", got["receipt"], key, *[f.format(**values) for f in fields])
            said = node.prune(certificate, lie)
            check(isinstance(said, tuple) and said[0] == code and word in said[1], f"{what}: {said}")
            check(f'"code":"{code}"' in text_of(os.path.join(node.dir, "node.log")), f"{what} is in the node's log")
        equal(refused(lab, node.url, "eth_getBlockByNumber", "0x1", True), None, "the first block after all lies")
        # The whole way: a cloud that sends such a receipt to its devices.
        lie = forge(lab, "receipt", got["receipt"], key, "content=other")
        honest = bytes.fromhex(got["receipt"].removeprefix("0x"))
        lab.cloud.stop()
        rewrite(lab, "UPDATE archives SET receipt = ? WHERE number = ?", bytes.fromhex(lie.removeprefix("0x")), got["number"])
        lab.cloud.start()
        keep(lab, "c", 1)
        row = await_state(lab, "c", ["dev-1"], state="failed", above=-1)["dev-1"]
        check(row["pruned_height"] == 0 and "other blocks than this ledger's" in row["error"], f"{row}")
        (shown,) = lab.cli("archive", "list", "--chain", "c")["devices"]
        equal((shown["state"], shown["error"]), ("failed", row["error"]), "ridge archive list")
        events = lab.cloud.must("GET", "/chains/c/events?wait_ms=0")["events"]
        check(any((e["step"], e["state"], e["device"]) == ("prune", "failed", "dev-1") for e in events), f"events: {events}")
        equal(refused(lab, node.url, "eth_getBlockByNumber", "0x1", True), None, "the first block after the cloud's lie")
        lab.cloud.stop()
        rewrite(lab, "UPDATE archives SET receipt = ? WHERE number = ?", honest, got["number"])
        lab.cloud.start()
        lab.cli("chain", "prune", "c")
        await_state(lab, "c", ["dev-1"])
        meter.check_on("c")


@case
def what_is_gone_is_read_from_the_archive():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 5)
        first = await_end(lab, order(lab, "c"))
        read_all = lambda: [lab.cloud.must("GET", f"/chains/c/blocks/{h}") for h in range(1, first["to"] + 1)]  # noqa: E731
        blocks = read_all()
        ids = [tx["hash"] for b in blocks for tx in b["transactions"]]
        txs = [lab.cloud.must("GET", f"/chains/c/txs/{i}") for i in ids]
        by_rpc = lambda method, *params: lab.cloud.must("POST", "/chains/c/rpc", {"id": 7, "method": method, "params": list(params)})["result"]  # noqa: E731
        asked = [("eth_getTransactionReceipt", ids[0]), ("eth_getBlockByHash", blocks[1]["hash"], False), ("eth_getTransactionByHash", ids[-1]), ("eth_getBlockReceipts", "0x3"),
                 ("eth_getBlockTransactionCountByNumber", "0x3"), ("eth_getBlockTransactionCountByHash", blocks[1]["hash"]), ("eth_getTransactionByBlockNumberAndIndex", "0x3", "0x0"),
                 ("eth_getTransactionByBlockHashAndIndex", blocks[1]["hash"], "0x0"), ("eth_getTransactionByBlockNumberAndIndex", "0x3", "0x99")]  # fmt: skip
        before = [by_rpc(*a) for a in asked]
        events = lambda *options: lab.cli("contract", "events", "c", "metering", *options)  # noqa: E731
        logged = [events(), events("--from", "3", "--to", "4"), events("--limit", "1"), events("--limit", "2")]
        check(len(logged[0]["events"]) >= 5, f"what the contract logged: {logged[0]}")
        keep(lab, "c", 1)
        got = await_state(lab, "c", ["dev-1", "dev-2", "dev-3", "dev-4"])
        mark = min(d["pruned_height"] for d in got.values())
        check(mark > 3, f"marks: {got}")
        for url in lab.rpc_urls("c").values():
            body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [ids[0]]}
            data = labs.request(url, "POST", "/", body)[1]["error"]["data"]
            equal((data["code"], data["archive"]["manifest"], data["archive"]["to"]), ("ARCHIVED", first["manifest"], first["to"]), "the node's error")
        after = read_all()
        equal([without(b, "archive") for b in after], blocks, "blocks, read through")
        equal([b.get("archive", {}).get("manifest") for b in after[:mark]], [first["manifest"]] * mark, "of which archive blocks are")
        again = [lab.cloud.must("GET", f"/chains/c/txs/{i}") for i in ids]
        equal([without(t, "archive") for t in again], txs, "transactions and receipts, read through")
        equal([by_rpc(*a) for a in asked], before, "by JSON-RPC")
        equal([events(), events("--from", "3", "--to", "4"), events("--limit", "1"), events("--limit", "2")], logged, "what the contract logged, read through")
        # Page after page each event comes once.
        pages, at = [], 0
        while at <= logged[0]["to"]:
            page = events("--from", str(at), "--limit", "2", "--to", str(logged[0]["to"]))
            pages, at = pages + page["events"], page["to"] + 1
        equal(pages, logged[0]["events"], "events in pages")
        listed = lab.cli("block", "list", "c", "--from", str(mark), "--limit", "3")["blocks"]
        equal([b["archive"]["number"] for b in listed], [first["number"]] * 3, "archives in ridge block list")
        # A stored file that was changed behind the cloud's back is not believed.
        (file,) = [f for f in files(lab) if f["number"] == first["file"]]
        lab.cloud.stop()
        with open(object_path(lab, file), "r+b") as stored:
            data = bytearray(stored.read())
            for i in range(200, len(data) // 2, 50):
                data[i] ^= 1
            stored.seek(0)
            stored.write(data)
        lab.cloud.start()
        lab.wait_online(["dev-1", "dev-2", "dev-3", "dev-4"])
        status, said = lab.cloud.call("GET", "/chains/c/blocks/2")
        check(status >= 400 and f"archive {first['number']}" in said["error"]["message"], f"a changed file: {status} {said}")


@case
def no_cut_loses_a_block_or_moves_a_mark_ahead():
    """Cloud, agent and node are killed at random while archives are made and blocks deleted; RIDGE_CUTS=N for more."""
    rng = run_seed()
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        archive_through_cuts(lab, "c", Meter(lab, "dev-1"), ["dev-1"], rng, cuts(5))


def policy(lab, chain, *options):
    return lab.cli("chain", "archive-policy", chain, *options)


def archived(lab, count):
    def there():
        try:
            got = [a for a in lab.cloud.must("GET", "/archives")["archives"] if a["state"] == "archived"]
        except OSError:
            return None
        return got if len(got) >= count else None

    return labs.wait_for(f"{count} archives", 60, there, 0.1)


@case
def archives_are_ordered_by_time_and_by_what_devices_tell():
    with cluster(("dev-1",), agent=["--telemetry-interval", "200ms"]) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 3)
        status, why = lab.cli("chain", "archive-policy", "c", "--cron", "61 * * * *", check=False)
        check(status != 0 and "minute" in why, f"a wrong time: {status} {why}")
        said = policy(lab, "c", "--cron", "0 0 1 1 *", "--every", "0s")
        equal(said["next_why"], "cron", "the next by cron")
        # Due while the cloud is away: made up for once, when it is there again.
        said = policy(lab, "c", "--cron", "", "--every", "3s")
        equal(said["next_why"], "interval", "the next by interval")
        check(said["next_ms"] >= said["updated_ms"] + 3000, f"when: {said}")
        lab.cloud.stop()
        labs.wait_for("the time to pass", 10, lambda: labs.time.time() * 1000 > said["next_ms"] + 200, 0.05)
        lab.cloud.start()
        (first,) = archived(lab, 1)
        said = policy(lab, "c", "--every", "0s")
        equal((said["last_why"], said["next_ms"]), ("interval", None), "after the first")
        equal(len(archived(lab, 1)), 1, "archives")
        # A ledger above its budget: archived at once, and not kept for its age.
        grow(lab, "c", meter, 6)
        equal(devices(lab, "c")["dev-1"]["pruned_height"], 0, "mark while everything is young")
        equal(policy(lab, "c", "--budget", "1KiB", "--keep-blocks", "2")["pressure"], False, "pressure")
        got = await_state(lab, "c", ["dev-1"])
        check(got["dev-1"]["freed_bytes"] > 0, f"freed under pressure: {got}")
        check(policy(lab, "c")["pressure"], "the pressure is told")
        policy(lab, "c", "--budget", "0")
        labs.wait_for("the pressure to go", 30, lambda: not policy(lab, "c")["pressure"], 0.2)
        grow(lab, "c", meter, 1)
        check(first["to"] < head(lab, "c"), "the chain goes on")


@case
def a_device_is_asked_again_although_the_clock_was_put_back():
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        grow(lab, "c", Meter(lab, "dev-1"), 3)
        equal(await_end(lab, order(lab, "c"))["state"], "archived", "archive")
        await_state(lab, "c", ["dev-1"], above=-1)
        lab.cloud.stop()
        ahead = int(labs.time.time() * 1000) + 30 * 86400000
        rewrite(lab, "UPDATE archive_prunes SET state = 'failed', updated_ms = ? WHERE device = 'dev-1'", ahead)
        lab.cloud.start()
        await_state(lab, "c", ["dev-1"], above=-1)


if __name__ == "__main__":
    sys.exit(main())
