"""Destroying a chain archives it first: nothing that is not archived is deleted, whatever is away or killed; see
tests/suites.d/destroying."""

import os
import subprocess
import sys

from archives import destruction, files, order, read
from cases import case, check, equal, main
from support import Meter, await_chain, chain_state, check_nothing_of, cluster, create, deploy, labs, run_seed

QUICK = ("--telemetry-interval", "200ms")


def archived(lab, chain):
    """How far the chain's anchored archives reach from block 1 on, and how many there are."""
    found = sorted((a for a in lab.cloud.must("GET", "/archives")["archives"] if (a["chain"], a["state"]) == (chain, "archived")),
                   key=lambda a: a["from"])  # fmt: skip
    reach = 0
    for a in found:
        equal(a["from"], reach + 1, "archives follow one another")
        reach = a["to"]
    return reach, len(found)


def verify_all(lab, chain, genesis):
    """Every archive of it, by its file alone; how many transactions they prove."""
    txs = 0
    by_number = {f["number"]: f for f in files(lab)}
    for a in lab.cloud.must("GET", "/archives")["archives"]:
        if (a["chain"], a["state"]) != (chain, "archived"):
            continue
        file = by_number[a["file"]]
        path = os.path.join(lab.cloud.dir, "collect", "objects", file["sm3"][:2], file["sm3"])
        txs += lab.cli("archive", "verify", path, "--genesis", genesis, "--manifest", a["manifest"])["transactions"]
    return txs


def keep_genesis(lab, chain):
    kept = os.path.join(lab.dir, "genesis.json")
    with open(os.path.join(lab.node_dir("dev-1", chain), "node", "genesis.json"), "rb") as source, open(kept, "wb") as copy:
        copy.write(source.read())
    return kept


@case
def a_chain_is_archived_whole_before_it_goes_and_its_name_is_free_again():
    with cluster(agent=QUICK) as lab:
        for turn in range(2):
            create(lab, "c")
            deploy(lab, "c", bind=True)
            meter = Meter(lab, "dev-1", f"m{turn}")
            read(lab, "c", meter)
            chain = chain_state(lab, "c")
            if turn == 0:
                lab.cli("chain", "archive", "c")
                read(lab, "c", meter)
            txs = max(lab.rpc(url, "ridge_status")["tx_total"] for url in lab.rpc_urls("c").values())
            genesis = keep_genesis(lab, "c")
            meter.post(5)  # on its way while it begins
            gone = lab.cli("chain", "destroy", "c")
            equal(gone["state"], "destroyed", "state")
            freed = [d["freed_bytes"] for d in gone["devices"]]
            check(len(freed) == 4 and all(n > 0 for n in freed), f"what each device freed: {gone['devices']}")
            equal(gone["freed_bytes"], sum(freed), "what was freed in all")
            check_nothing_of(lab, "c")
            values = destruction(lab, chain["chain_id"])
            equal(values["discarded"], False, "discarded")
            if turn == 0:
                reach, count = archived(lab, "c")
                check(count == 2 and values["height"] >= reach > 0, f"{count} archives up to {reach}, destroyed at {values['height']}")
                check(verify_all(lab, "c", genesis) >= txs, "every transaction is in an archive")


@case
def a_device_that_is_away_is_finished_when_it_returns():
    with cluster(agent=QUICK) as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        read(lab, "c", meter)
        lab.agents["dev-4"].kill()
        labs.wait_for("the cloud to miss dev-4", 60, lambda: "dev-4" not in lab.online(), 0.1)
        status, _ = lab.cloud.call("DELETE", "/chains/c")
        equal(status, 202, "status")

        def others_gone():
            states = {d["device"]: (d["step"], d["state"]) for d in chain_state(lab, "c")["devices"]}
            return all(states[n] == ("remove", "done") for n in ("dev-1", "dev-2", "dev-3")) and states

        states = labs.wait_for("the others to be done", 60, others_gone, 0.05)
        check(states["dev-4"] != ("remove", "done"), states)
        equal(chain_state(lab, "c")["state"], "destroying", "state while one is away")
        check(archived(lab, "c")[0] > 0, "it was archived first")
        status, answer = lab.cloud.call("POST", "/chains", {"name": "c", "devices": ["dev-1"], "allow_no_fault_tolerance": True})
        equal(status, 409, f"a new chain of the same name meanwhile: {answer}")
        lab.agents["dev-4"].start()
        await_chain(lab, "c", "destroyed")
        check_nothing_of(lab, "c")
        create(lab, "c")  # the leftovers of the first would be another genesis


@case
def a_destruction_goes_on_after_kills():
    rng = run_seed()
    with cluster(agent=QUICK) as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        for _ in range(3):
            read(lab, "c", meter)
        txs = max(lab.rpc(url, "ridge_status")["tx_total"] for url in lab.rpc_urls("c").values())
        genesis = keep_genesis(lab, "c")
        chain = chain_state(lab, "c")
        lab.cloud.must("DELETE", "/chains/c")
        for _ in range(5):
            victim = rng.choice([lab.cloud, *lab.agents.values()])
            labs.wait_for("some work to be done", 10, lambda v=victim: v.alive(), rng.uniform(0.05, 0.5))
            print(f"     kill {getattr(victim, 'name', 'cloud')}", flush=True)
            victim.kill()
            victim.start()
        await_chain(lab, "c", "destroyed", 120)
        check_nothing_of(lab, "c")
        equal(destruction(lab, chain["chain_id"])["discarded"], False, "discarded")
        equal(verify_all(lab, "c", genesis), txs, "transactions in the archives")
        create(lab, "c")  # with whatever the kills have left
        deploy(lab, "c", bind=True)
        again = Meter(lab, "dev-1", "again")
        again.post(5)
        again.check_on("c")


@case
def what_can_not_be_archived_is_not_deleted_unless_it_is_named():
    with cluster(("dev-1",), agent=QUICK) as lab:
        create(lab, "c", ("dev-1",))
        for query in ("?discard=", "?discard=yes", "?discard=C"):
            equal(lab.cloud.call("DELETE", "/chains/c" + query)[0], 409, query)
        # Nobody answers: nothing can be archived, so nothing goes.
        for _, pid in lab.nodes("c"):
            path = os.path.join(lab.node_dir("dev-1", "c"), "node", "data", "db", "CURRENT")
            os.unlink(path)
            os.kill(pid, 9)
        lab.cloud.must("DELETE", "/chains/c")
        why = labs.wait_for("the reason", 60, lambda: chain_state(lab, "c")["error"], 0.1)
        check("no sound node answers" in why, why)
        shown = subprocess.run([lab.binary("ridge"), "chain", "status", "c"], env=dict(os.environ, RIDGE_HOME=lab.cloud.dir), stdout=subprocess.PIPE, check=True).stdout.decode()
        check(why in shown, f"what ridge chain status shows: {shown}")
        equal(chain_state(lab, "c")["state"], "closing", "state")
        check(os.path.isdir(lab.node_dir("dev-1", "c")), "its directory is there")
        code, said = lab.cli("chain", "archive", "c", check=False)
        check(code != 0, said)
        lab.cli("chain", "destroy", "c", "--discard", "c")
        check_nothing_of(lab, "c", ("dev-1",))
        equal(destruction(lab, chain_state(lab, "c")["chain_id"])["discarded"], True, "discarded")
        check(order_is_refused(lab) in (404, 409), "an archive of what is gone")


def order_is_refused(lab):
    try:
        order(lab, "c")
    except labs.LabError as error:
        return int(str(error).split("HTTP ")[1][:3])
    return 0


if __name__ == "__main__":
    sys.exit(main())
