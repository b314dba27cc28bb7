"""Encrypted archives through the whole life of a chain: made, proven, anchored, read through, recovered from, and readable
after it; what is refused; and where their keys are; see tests/suites.d/archive-keys."""

import contextlib
import os
import signal
import stat
import sys

from archives import (archive_through_cuts, await_end, begin_encrypted, cut, cuts, destruction, files, genesis_kept, key_file, object_path,
                      order, read, secrets)  # fmt: skip
from cases import case, check, equal, main
from support import Meter, await_chain, chain_state, check_nothing_of, cluster, deploy, height, labs, run_seed, urls

CHAIN = "feeder"
QUICK = ("--telemetry-interval", "200ms")
NAMES = ("dev-1", "dev-2", "dev-3", "dev-4")


def archive(lab, chain=CHAIN):
    got = await_end(lab, order(lab, chain))
    equal((got["state"], got["error"]), ("archived", None), "archive")
    return got


def stored(lab, got):
    (file,) = [f for f in files(lab) if f["number"] == got["file"]]
    return object_path(lab, file)


def keys(lab, chain=CHAIN):
    return lab.cli("archive", "keys", chain)


def check_no_secret(lab, least=100):
    """In no file of the cloud or of a device but the cloud's keys: databases, logs, journals, ledgers, queues."""
    wanted, looked = secrets(lab), 0
    check(wanted, "there are keys")
    for folder, _, names in os.walk(lab.dir):
        if folder.startswith((os.path.join(lab.cloud.dir, "keys"), os.path.join(lab.dir, "auditor"))):
            continue
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(FileNotFoundError):  # the programs run
                if stat.S_ISREG(os.stat(path, follow_symlinks=False).st_mode):
                    with open(path, "rb") as file:
                        data = file.read()
                    looked += 1
                    check(not any(s in data for s in wanted), f"{path} holds a key")
    check(looked > least, f"only {looked} files were there to look at")


def verify(lab, path, genesis, *more, check=True):
    return lab.cli("archive", "verify", path, "--genesis", genesis, *more, check=check)


def refused(lab, words, *command):
    status, why = lab.cli(*command, check=False)
    check(status != 0 and all(w in why for w in words), f"{command[:2]}: {status}: {why}")


def check_file_alone(lab, got, genesis, key):
    """File, key and genesis are enough; and without the key nothing is to be read, but whose it is."""
    path = stored(lab, got)
    said = verify(lab, path, genesis, "--key", key, "--manifest", got["manifest"])
    equal((said["from"], said["to"], said["content"], said["key_id"]), (got["from"], got["to"], got["content"], got["key_id"]), "what the file proves")
    shown = lab.cli("archive", "show", path, "--key", key, "--genesis", genesis, "--block", str(got["from"]))
    equal((shown["height"], shown["proven"]), (got["from"], True), "a block of it")
    refused(lab, (got["key_id"], str(said["chain_id"])), "archive", "verify", path, "--genesis", genesis)
    refused(lab, (got["key_id"],), "archive", "show", path, "--block", str(got["from"]))
    return said


def check_refusals(lab, got, genesis, key):
    path, place = stored(lab, got), os.path.join(lab.dir, "auditor")
    wrong, other, cut, flipped = (os.path.join(place, n) for n in ("wrong", "other", "cut", "flipped"))
    # The right name and another key; the key of another chain under its own name, and without one.
    with open(wrong, "w", encoding="utf-8") as file:
        file.write("00112233445566778899aabbccddeeff\n" + got["key_id"] + "\n")
    os.chmod(wrong, 0o600)
    refused(lab, ("does not open", got["key_id"]), "archive", "verify", path, "--genesis", genesis, "--key", wrong)
    begin_encrypted(lab, "other", ("dev-1",))
    foreign = key_file(lab, "foreign", "other")
    refused(lab, (got["key_id"], "archive key"), "archive", "verify", path, "--genesis", genesis, "--key", foreign)
    with open(foreign, encoding="utf-8") as source, open(other, "w", encoding="utf-8") as file:
        file.write(source.readline())
    os.chmod(other, 0o600)
    refused(lab, ("does not open", got["key_id"]), "archive", "verify", path, "--genesis", genesis, "--key", other)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for name, bytes_ in ((cut, data[: len(data) // 2]), (flipped, data[:300] + bytes([data[300] ^ 1]) + data[301:])):
        with open(name, "wb") as file:
            file.write(bytes_)
        check(verify(lab, name, genesis, "--key", key, check=False)[0] != 0, f"an archive that was {os.path.basename(name)}")
    refused(lab, ("exists",), "archive", "key", CHAIN, key)
    refused(lab, ("no key 'archive-1-1'",), "archive", "key", CHAIN, os.path.join(place, "none"), "--id", "archive-1-1")


def pruned(lab, above):
    got = lab.cloud.must("GET", f"/chains/{CHAIN}/archives")["devices"]
    return len(got) == 4 and all(d["state"] == "pruned" and d["pruned_height"] >= above for d in got)


def read_through(lab, *archives):
    """The first block of each, which no node has any more."""
    for got in archives:
        block = lab.cloud.must("GET", f"/chains/{CHAIN}/blocks/{got['from']}")
        equal(block["archive"]["number"], got["number"], "the archive that a block came from")


def check_lost_key(lab, got):
    """Without the file nothing can be read, and that says what to do; with another one in its place the same."""
    path = os.path.join(lab.cloud.dir, "keys", got["key_id"] + ".key")
    os.rename(path, path + ".aside")
    words = (got["key_id"], f"chain '{CHAIN}'", path, "backup")
    refused(lab, (*words, "not in the cloud's custody"), "block", "show", CHAIN, str(got["from"]))
    refused(lab, words, "node", "recover", CHAIN, "dev-3", "--archives")
    equal([k["state"] for k in keys(lab) if k["id"] == got["key_id"]], ["missing"], "the key in the list")
    with open(path, "w", encoding="utf-8") as file:
        file.write("00112233445566778899aabbccddeeff\n")
    os.chmod(path, 0o600)
    refused(lab, (*words, "another one now"), "block", "show", CHAIN, str(got["from"]))
    os.rename(path + ".aside", path)


@case
def a_chain_lives_with_encrypted_archives_and_they_outlive_it():
    with cluster(agent=QUICK) as lab:
        begin_encrypted(lab, CHAIN, NAMES)
        deploy(lab, CHAIN, bind=True)
        meter = Meter(lab, "dev-1")
        equal([(k["current"], k["state"], k["archives"]) for k in keys(lab)], [(True, "here", 0)], "the key of a new chain")
        read(lab, CHAIN, meter)
        first = archive(lab)
        key = key_file(lab, "first", CHAIN)
        genesis = genesis_kept(lab, CHAIN)
        check_file_alone(lab, first, genesis, key)
        check_refusals(lab, first, genesis, key)
        # Another key from now on, then none: each archive keeps its own.
        rotated = lab.cli("archive", "keys", CHAIN, "--rotate")
        equal([k["current"] for k in rotated], [True, False], "two keys")
        read(lab, CHAIN, meter)
        second = archive(lab)
        equal((first["key_id"], second["key_id"]), (rotated[1]["id"], rotated[0]["id"]), "keys of the archives")
        equal(lab.cli("chain", "archive-policy", CHAIN, "--encrypt", "off")["encrypt"], False, "the policy")
        for _ in range(3):
            read(lab, CHAIN, meter)
        third = archive(lab)
        equal(third["key_id"], None, "an archive in the clear")
        verify(lab, stored(lab, third), genesis)
        lab.cli("chain", "archive-policy", CHAIN, "--encrypt", "on", "--keep-blocks", "1", "--keep", "0s")
        labs.wait_for("all devices to be pruned", 60, lambda: pruned(lab, second["to"]), 0.1)
        read_through(lab, first, second)
        check_lost_key(lab, first)
        read_through(lab, first)
        check_no_secret(lab)
        # A device that has lost everything executes the blocks of all three again.
        top = height(lab, urls(lab, CHAIN, ["dev-1"])["dev-1"])
        lab.cli("node", "recover", CHAIN, "dev-3", "--range", f"1..{third['to']}")
        check(height(lab, urls(lab, CHAIN, ["dev-3"])["dev-3"]) >= top, "dev-3 is where the others are")
        lab.cli("node", "recover", CHAIN, "dev-4", "--archives")  # by the state in the newest that has one
        read(lab, CHAIN, meter)
        meter.check_on(CHAIN)
        check_no_secret(lab)
        gone = lab.cli("chain", "destroy", CHAIN)
        equal(gone["state"], "destroyed", "state")
        check_nothing_of(lab, CHAIN)
        check_no_secret(lab)
        # What is left: archives, and their keys for who may read them.
        left = {k["id"]: k for k in keys(lab)}
        equal(sorted(left), sorted([first["key_id"], second["key_id"]]), "keys after the chain")
        for got in lab.cloud.must("GET", f"/archives?chain={CHAIN}")["archives"]:
            if got["state"] == "archived" and got["key_id"]:
                copy = os.path.join(lab.dir, "auditor", f"after-{got['number']}")
                lab.cli("archive", "key", CHAIN, copy, "--id", got["key_id"])
                check_file_alone(lab, got, genesis, copy)
        equal({k["disclosed_to"] for k in keys(lab)}, {left[first["key_id"]]["disclosed_to"]}, "who got them")


def transactions(lab, genesis):
    """What all archives of the chain prove, by their files and keys alone; they follow one another."""
    key, reach, txs = {}, 0, 0
    for got in sorted(lab.cloud.must("GET", f"/archives?chain={CHAIN}")["archives"], key=lambda a: a["from"]):
        if got["state"] != "archived":
            continue
        equal(got["from"], reach + 1, "archives follow one another")
        reach = got["to"]
        check(got["key_id"], f"an archive in the clear: {got}")
        if got["key_id"] not in key:
            key[got["key_id"]] = key_file(lab, got["key_id"], CHAIN, got["key_id"])
        txs += verify(lab, stored(lab, got), genesis, "--key", key[got["key_id"]], "--manifest", got["manifest"])["transactions"]
    return txs


def live_through_kills(names, **how):
    """Archives under two keys, pruning, and a destruction, while cloud, agents and nodes are killed; RIDGE_CUTS=N for more."""
    rng = run_seed()
    with cluster(names, agent=QUICK) as lab:
        begin_encrypted(lab, CHAIN, names, **how)
        deploy(lab, CHAIN, bind=True)
        meter, genesis = Meter(lab, "dev-1"), genesis_kept(lab, CHAIN)
        made = archive_through_cuts(lab, CHAIN, meter, names, rng, cuts(2))
        lab.cli("archive", "keys", CHAIN, "--rotate")
        read(lab, CHAIN, meter)
        txs = max(lab.rpc(url, "ridge_status")["tx_total"] for url in urls(lab, CHAIN, names).values())
        chain = chain_state(lab, CHAIN)["chain_id"]
        check_no_secret(lab, 50)
        lab.cloud.must("DELETE", f"/chains/{CHAIN}")
        cut(lab, CHAIN, names, rng)
        await_chain(lab, CHAIN, "destroyed", 120)
        check_nothing_of(lab, CHAIN, names)
        equal(destruction(lab, chain)["discarded"], False, "discarded")
        equal(transactions(lab, genesis), txs, "transactions in the archives")
        check(keys(lab)[0]["id"] != made[0]["key_id"], "another key from its rotation on")
        check_no_secret(lab, 20)


@case
def kills_lose_nothing_of_encrypted_archives_and_show_no_key():
    live_through_kills(("dev-1",))


@case
def nor_do_they_of_a_chain_under_raft():
    live_through_kills(("dev-1", "dev-2", "dev-3"), consensus="raft")


@case
def a_chain_with_encrypted_archives_goes_on_on_another_device():
    """All its devices are lost, and two of two administrators must sign; its archives are under two keys."""
    with cluster(("dev-1", "dev-2"), agent=QUICK) as lab:
        begin_encrypted(lab, CHAIN, ("dev-1",))
        anna = os.path.join(lab.dir, "anna.key")
        lab.cli("contract", "policy", "set", CHAIN, "--add-administrator", lab.cli("key", "new", anna, "--plain")["address"])
        first = archive(lab)
        lab.cli("archive", "keys", CHAIN, "--rotate")
        lab.cli("contract", "policy", "set", CHAIN, "--approvals", "2")
        second = archive(lab)
        check(first["key_id"] != second["key_id"], "two keys")
        lab.agents["dev-1"].stop()
        for _, pid in lab.nodes(CHAIN):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        labs.wait_for("dev-1 to be offline", 30, lambda: lab.cloud.must("GET", "/devices/dev-1")["state"] != "online", 0.05)
        rebuild = ("chain", "rebuild", CHAIN, "--devices", "dev-2", "--allow-no-fault-tolerance")
        key = os.path.join(lab.cloud.dir, "keys", first["key_id"] + ".key")
        os.rename(key, key + ".aside")
        refused(lab, (first["key_id"], "backup", f"blocks {first['from']} to {first['to']}"), *rebuild)
        os.rename(key + ".aside", key)
        equal(lab.cli(*rebuild)["rebuild"]["state"], "waiting", "one signature does not suffice")
        main_chain, proof = os.path.join(lab.dir, "auditor", "main.json"), os.path.join(lab.dir, "auditor", "change.proof")
        os.makedirs(os.path.dirname(main_chain), exist_ok=True)
        lab.cli("mainchain", "genesis", main_chain)
        equal(lab.cli("chain", "approve", CHAIN, "--key", anna, "--mainchain", main_chain)["signed"], 2, "signatures")
        got = lab.cli(*rebuild)["rebuild"]
        equal((got["state"], got["height"]), ("done", second["to"]), "the rebuild")
        # What follows is archived under the newest key, and proven with the act.
        third = archive(lab)
        equal((third["from"], third["key_id"]), (second["to"] + 1, second["key_id"]), "the archive of what follows")
        genesis = os.path.join(lab.node_dir("dev-2", CHAIN), "node", "genesis.json")
        said = verify(lab, stored(lab, third), genesis, "--key", key_file(lab, "newest", CHAIN), "--manifest", third["manifest"])
        equal(said["successions"][0]["first_height"], third["from"], "the act in the genesis")
        entries = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
        (change,) = [e for e in entries if e["kind"] == "validators"]
        lab.cli("mainchain", "prove", CHAIN, str(change["index"]), proof)
        lab.cli("mainchain", "verify", proof, "--genesis", main_chain, "--extended", genesis)
        check_no_secret(lab, 50)


if __name__ == "__main__":
    sys.exit(main())
