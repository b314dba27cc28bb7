"""Nodes that come back from archives: by the state in one, by executing all blocks, after kills, and what is refused; see
tests/suites.d/recovery."""

import json
import os
import shutil
import signal
import sys

from archives import await_end, files, object_path, order, read
from cases import case, check, equal, main
from support import Meter, ask_create, await_chain, chain_state, check_same_blocks, cluster, deploy, height, labs, run_seed, urls

CHAIN = "feeder"
QUICK = ("--telemetry-interval", "200ms")


def begin(lab):
    """A chain whose archives end with the state every five blocks, and its meter."""
    ask_create(lab, CHAIN, params={"archive_state_blocks": 5})
    await_chain(lab, CHAIN, "running")
    deploy(lab, CHAIN, bind=True)
    return Meter(lab, "dev-1")


def archive(lab):
    got = await_end(lab, order(lab, CHAIN))
    equal((got["state"], got["error"]), ("archived", None), "archive")
    return got


def shown(lab, number):
    (file,) = [f for f in files(lab) if f["number"] == number]
    return lab.cli("archive", "show", object_path(lab, file))


def status(lab, device):
    return lab.rpc(urls(lab, CHAIN, [device])[device], "ridge_status")


def same_everywhere(lab):
    """Every node at one height, with one hash and one state."""

    def agreed():
        found = [status(lab, d) for d in ("dev-1", "dev-2", "dev-3", "dev-4")]
        return len({(s["height"], s["hash"], s["state_root"]) for s in found}) == 1

    labs.wait_for("one state on all nodes", 60, agreed, 0.1)


def recovered_entries(lab):
    answer = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
    return [e["values"]["device"] for e in answer if e["kind"] == "recovery" and e["state"] == "written"]


def check_nothing_left(lab, device):
    place = os.path.join(lab.node_dir(device, CHAIN), "node")
    left = [n for n in ("restore", "data.damaged", "recovering", "damaged") if os.path.exists(os.path.join(place, n))]
    equal(left, [], f"what is left of the recovery on {device}")


@case
def a_node_comes_back_from_archives_by_state_and_by_blocks():
    with cluster(agent=QUICK) as lab:
        meter = begin(lab)
        read(lab, CHAIN, meter)
        first = archive(lab)
        read(lab, CHAIN, meter)
        second = archive(lab)
        last = [shown(lab, a["file"]) for a in (first, second)][-1]
        equal(last.get("state_height"), second["to"], "the state in the second archive")
        genesis = os.path.join(lab.node_dir("dev-1", CHAIN), "node", "genesis.json")
        for a in (first, second):
            (file,) = [f for f in files(lab) if f["number"] == a["file"]]
            lab.cli("archive", "verify", object_path(lab, file), "--genesis", genesis, "--manifest", a["manifest"])
        read(lab, CHAIN, meter)
        top = height(lab, urls(lab, CHAIN, ["dev-1"])["dev-1"])
        lab.cli("node", "recover", CHAIN, "dev-3", "--archives")
        check_nothing_left(lab, "dev-3")
        now = status(lab, "dev-3")
        equal(now["sync"]["base_height"], second["to"], "the height of the state that it was built from")
        check(now["height"] >= top and now["consensus"]["voting"], f"it caught up and votes: {now['height']} of {top}")
        same_everywhere(lab)
        # The same by executing every block: then it has the bodies too.
        lab.cli("node", "recover", CHAIN, "dev-3", "--range", f"1..{second['to']}")
        equal(status(lab, "dev-3")["sync"]["base_height"], 0, "nothing is missing below")
        read(lab, CHAIN, meter)
        check_same_blocks(lab, CHAIN)
        same_everywhere(lab)
        meter.check_on(CHAIN)
        labs.wait_for("both recoveries on the main chain", 30, lambda: recovered_entries(lab) == ["dev-3"] * 2, 0.1)
        # What is not archived can not be asked for.
        code, why = lab.cli("node", "recover", CHAIN, "dev-3", "--range", f"1..{second['to'] + 1000}", check=False)
        check(code == 5 and "without a gap" in why, f"{code}: {why}")
        for text in ("5", "x..3", "9..2"):
            code, why = lab.cli("node", "recover", CHAIN, "dev-3", "--range", text, check=False)
            check(code != 0 and ("range" in why or "from, to" in why), f"--range {text}: {code}: {why}")


def kill_node(lab, device):
    for name, pid in lab.nodes(CHAIN):
        if name == device:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@case
def a_recovery_from_archives_goes_on_after_kills():
    rng = run_seed()
    with cluster(agent=QUICK) as lab:
        meter = begin(lab)
        for _ in range(3):
            for _ in range(4):
                read(lab, CHAIN, meter)
            archive(lab)
        top = height(lab, urls(lab, CHAIN, ["dev-1"])["dev-1"])
        lab.cloud.must("POST", f"/chains/{CHAIN}/nodes/dev-4/recover", {"archives": True, "from": 1})
        agent = lab.agents["dev-4"]

        def ended():
            try:
                events = lab.cloud.must("GET", f"/chains/{CHAIN}/events?after=0")["events"]
            except OSError:
                return False
            mine = [e for e in events if e["device"] == "dev-4" and e["step"] == "recover"]
            check(mine[-1]["state"] != "failed", mine[-1]["message"])
            return mine[-1]["state"] == "done"

        for _ in range(6):
            if ended():
                break
            victim = rng.choice(["agent", "node", "cloud", "all"])
            labs.wait_for("some work to be done", 10, lambda: os.path.exists(agent.dir), rng.uniform(0.05, 0.4))
            print(f"     kill {victim}", flush=True)
            if victim in ("agent", "all"):
                agent.kill()
            if victim in ("node", "all"):
                kill_node(lab, "dev-4")
            if victim in ("cloud", "all"):
                lab.cloud.kill()
                lab.cloud.start()
            if victim in ("agent", "all"):
                agent.start()
        labs.wait_for("the end of the recovery", 120, ended, 0.1)
        now = status(lab, "dev-4")
        check(now["height"] >= top and now["sync"]["base_height"] == 0, f"{now['height']} of {top}")
        check_nothing_left(lab, "dev-4")
        read(lab, CHAIN, meter)
        same_everywhere(lab)
        check_same_blocks(lab, CHAIN)
        meter.check_on(CHAIN)


def pruned(lab):
    got = lab.cloud.must("GET", f"/chains/{CHAIN}/archives")["devices"]
    return len(got) == 4 and all(d["state"] == "pruned" and d["pruned_height"] > 0 for d in got)


def first_block_of(lab, device):
    """The number of its transactions, or the code of what the node says instead."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x1", True]}
    answer = labs.request(urls(lab, CHAIN, [device])[device], "POST", "/", body)[1]
    return answer["error"]["data"]["code"] if "error" in answer else answer["result"]["number"]


@case
def peers_with_the_same_loss_fetch_from_the_recovered_node():
    """All have deleted what is archived, and two lose their ledgers: one is built from archives, the other from it alone."""
    with cluster(agent=QUICK) as lab:
        meter = begin(lab)
        for _ in range(4):
            read(lab, CHAIN, meter)
        got = archive(lab)
        lab.cli("chain", "archive-policy", CHAIN, "--keep-blocks", "1", "--keep", "0s")
        labs.wait_for("all devices to be pruned", 60, lambda: pruned(lab), 0.1)
        lab.cli("node", "recover", CHAIN, "dev-3", "--range", f"1..{got['to']}")
        equal((first_block_of(lab, "dev-3"), first_block_of(lab, "dev-4")), ("0x1", "ARCHIVED"), "block 1 on dev-3 and dev-4")
        read(lab, CHAIN, meter)
        lab.cli("node", "recover", CHAIN, "dev-4")
        equal((first_block_of(lab, "dev-4"), status(lab, "dev-4")["sync"]["base_height"]), ("0x1", 0), "block 1 on dev-4, of its peer")
        check_nothing_left(lab, "dev-4")
        same_everywhere(lab)
        meter.check_on(CHAIN)


def option(name, fallback):
    """A number behind --name, which is then no word that chooses cases."""
    if name not in sys.argv:
        return fallback
    at = sys.argv.index(name)
    value = int(sys.argv[at + 1])
    del sys.argv[at : at + 2]
    return value


TIMES = option("--times", 30)


def harmed(data, rng):
    """A copy with a bit flipped, cut off, a piece taken out, or a piece put in; and what was done."""
    at = rng.randrange(len(data))
    way = rng.choice(["flip", "cut", "take out", "put in"])
    if way == "flip":
        data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    elif way == "cut":
        data = data[:at]
    elif way == "take out":
        data = data[:at] + data[at + rng.randrange(1, 50) :]
    else:
        data = data[:at] + rng.randbytes(rng.randrange(1, 50)) + data[at:]
    return data, f"{way} at byte {at}"


@case
def an_archive_harmed_anywhere_is_refused():
    rng = run_seed()
    with cluster(("dev-1",), agent=QUICK) as lab:
        ask_create(lab, CHAIN, ("dev-1",), params={"archive_state_blocks": 1})
        await_chain(lab, CHAIN, "running")
        deploy(lab, CHAIN, bind=True)
        meter = Meter(lab, "dev-1")
        for _ in range(3):
            read(lab, CHAIN, meter)
        got = archive(lab)
        (file,) = [f for f in files(lab) if f["number"] == got["file"]]
        check(shown(lab, got["file"])["state_height"] == got["to"], "it ends with the state")
        with open(object_path(lab, file), "rb") as stored:
            data = stored.read()
        genesis = os.path.join(lab.node_dir("dev-1", CHAIN), "node", "genesis.json")
        path = os.path.join(lab.dir, "harmed.archive")
        for _ in range(TIMES):
            bad, how = harmed(data, rng)
            with open(path, "wb") as out:
                out.write(bad)
            code, why = lab.cli("archive", "verify", path, "--genesis", genesis, "--manifest", got["manifest"], check=False)
            check(bad == data or (code != 0 and "harmed.archive" in why), f"{how}: taken ({code}: {why})")


@case
def an_archive_that_was_changed_is_not_brought_in():
    with cluster(agent=QUICK) as lab:
        meter = begin(lab)
        read(lab, CHAIN, meter)
        got = archive(lab)
        (file,) = [f for f in files(lab) if f["number"] == got["file"]]
        path = object_path(lab, file)
        os.chmod(path, 0o600)
        with open(path, "r+b") as stored:
            stored.seek(file["size"] // 2)
            byte = stored.read(1)
            stored.seek(file["size"] // 2)
            stored.write(bytes([byte[0] ^ 1]))
        code, why = lab.cli("node", "recover", CHAIN, "dev-2", "--archives", check=False)
        check(code != 0 and "archive 1 of 1" in why and "digest" in why, f"{code}: {why}")
        # From its peers it comes back all the same.
        lab.cli("node", "recover", CHAIN, "dev-2")
        read(lab, CHAIN, meter)
        same_everywhere(lab)
        meter.check_on(CHAIN)


def rebuild_fails(lab, *args, code=6, why=()):
    got, text = lab.cli("chain", "rebuild", CHAIN, *args, check=False)
    check(got == code and all(word in text for word in why), f"rebuild {args}: {got}: {text}")


@case
def a_chain_whose_devices_are_lost_goes_on_on_others():
    """Its device is away for good, as it seems; it comes back with its ledger, and has to remove it."""
    weak = "--allow-no-fault-tolerance"
    with cluster(("dev-1", "dev-2", "dev-3"), agent=QUICK) as lab:
        ask_create(lab, CHAIN, ("dev-1",), params={"archive_state_blocks": 3})
        await_chain(lab, CHAIN, "running")
        deploy(lab, CHAIN, bind=True)
        meter = Meter(lab, "dev-1")
        for _ in range(3):
            read(lab, CHAIN, meter)
        archive(lab)
        read(lab, CHAIN, meter)
        place = os.path.join(lab.node_dir("dev-1", CHAIN), "node")
        with open(os.path.join(place, "genesis.json"), encoding="utf-8") as file:
            original = file.read()
        rebuild_fails(lab, "--devices", "dev-1,dev-2", weak, why=("has a node of chain",))
        rebuild_fails(lab, "--devices", "dev-2,dev-3", why=("tolerate",), code=1)
        rebuild_fails(lab, "--devices", "dev-2,dev-3", weak, why=("holds block", "--discard"))
        last = archive(lab)
        rebuild_fails(lab, "--devices", "dev-2,dev-3", weak, why=("a quorum", "--discard"))
        rebuild_fails(lab, "--devices", "dev-2,dev-3", weak, "--discard", "other", why=("discard",), code=1)
        lose(lab, "dev-1")
        lab.cli("chain", "rebuild", CHAIN, "--devices", "dev-2,dev-3", weak, "--no-wait")
        labs.wait_for("some step to be over", 30, lambda: chain_state(lab, CHAIN)["rebuild"]["step"] != "prepare", 0.01)
        lab.cloud.kill()
        lab.cloud.start()
        got = lab.cli("chain", "rebuild", CHAIN, "--devices", "dev-2,dev-3", weak)
        equal((got["rebuild"]["state"], got["rebuild"]["height"], got["rebuild"]["epoch"]), ("done", last["to"], 1), "the rebuild")
        equal(sorted(d["device"] for d in got["devices"] if d["step"] != "remove"), ["dev-2", "dev-3"], "devices of the chain")
        there = urls(lab, CHAIN, ["dev-2", "dev-3"])
        for url in there.values():
            labs.wait_for("a block of the new validators", 30, lambda u=url: height(lab, u) > last["to"], 0.05)
        equal(meter.totals(CHAIN), (len(meter.values), sum(meter.values)), "count and sum of the readings")
        entries = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
        (change,) = [e["values"] for e in entries if e["kind"] == "validators"]
        equal((change["epoch"], change["first_height"]), (1, last["to"] + 1), "the change on the main chain")
        # What follows is archived, and believed by whoever has the act, and by nobody else.
        after = archive(lab)
        equal(after["from"], last["to"] + 1, "first block of the next archive")
        (file,) = [f for f in files(lab) if f["number"] == after["file"]]
        before = os.path.join(lab.dir, "original.json")
        with open(before, "w", encoding="utf-8") as out:
            out.write(original)
        extended = os.path.join(lab.node_dir("dev-2", CHAIN), "node", "genesis.json")
        proven = lab.cli("archive", "verify", object_path(lab, file), "--genesis", extended, "--manifest", after["manifest"])
        equal(proven["successions"], [change], "the act in the genesis and the entry of the main chain")
        code, why = lab.cli("archive", "verify", object_path(lab, file), "--genesis", before, check=False)
        check(code != 0 and "extended genesis" in why, f"{code}: {why}")
        # The old device returns with all it had.
        lab.agents["dev-1"].start()
        labs.wait_for("the old node to be removed", 60, lambda: not os.path.exists(os.path.dirname(place)), 0.05)
        labs.wait_for("it to be forgotten", 30, lambda: {d["device"] for d in chain_state(lab, CHAIN)["devices"]} == {"dev-2", "dev-3"}, 0.05)
        lab.cli("chain", "destroy", CHAIN)


WEAK = "--allow-no-fault-tolerance"


def add_administrator(lab, name):
    """A person's key, sealed, whose account is made an administrator beside the cloud's own; options that open it."""
    path, words = os.path.join(lab.dir, f"{name}.key"), os.path.join(lab.dir, f"{name}.words")
    with open(words, "w", encoding="utf-8") as file:
        file.write(f"the words of {name}\n")
    os.chmod(words, 0o600)
    about = lab.cli("key", "new", path, "--passphrase-file", words)
    lab.cli("contract", "policy", "set", CHAIN, "--add-administrator", about["address"])
    return about["address"], ("--key", path, "--passphrase-file", words)


def lose(lab, device):
    """The device goes, and its node with it."""
    lab.agents[device].stop()
    kill_node(lab, device)
    labs.wait_for(f"{device} to be offline", 30, lambda: lab.cloud.must("GET", f"/devices/{device}")["state"] != "online", 0.05)


def refused(lab, code, words, *command):
    got, why = lab.cli(*command, check=False)
    check(got == code and all(w in why for w in words), f"{command}: {got}, not {code}: {why}")


def check_refused_signatures(lab, act, saved, genesis, mine):
    """A stranger's, the same one twice, one for another act, and files that are none."""
    stranger, digest, theirs, again = (os.path.join(lab.dir, n) for n in ("stranger.key", "digest", "theirs.json", "again.json"))
    lab.cli("key", "new", stranger, "--plain")
    refused(lab, 4, ("no administrator", stranger), "chain", "approve", CHAIN, "--key", stranger)
    with open(digest, "wb") as file:
        file.write(bytes.fromhex(act["digest"][2:]))
    said = lab.cli("key", "sign", stranger, digest)  # by other means than this command
    with open(theirs, "w", encoding="utf-8") as file:
        json.dump({"digest": act["digest"], "public_key": said["public_key"], "signature": said["signature"]}, file)
    refused(lab, 4, ("no administrator", "ridge chain act"), "chain", "approve", CHAIN, "--signature", theirs)
    own = os.path.join(lab.cloud.dir, "keys", "chain-1.pem")
    lab.cli("chain", "approve", "--act", saved, "--key", own, "--genesis", genesis, "--out", again)
    refused(lab, 6, ("has signed already", "1 of 2"), "chain", "approve", CHAIN, "--signature", again)
    with open(again, encoding="utf-8") as file:
        other = dict(json.load(file), digest="0x" + "11" * 32)
    with open(theirs, "w", encoding="utf-8") as file:
        json.dump(other, file)
    refused(lab, 6, ("another act",), "chain", "approve", CHAIN, "--signature", theirs)
    refused(lab, 6, ("another digest",), "chain", "approve", CHAIN, *mine, "--digest", other["digest"])
    refused(lab, 6, ("there already",), "chain", "act", CHAIN, saved)
    refused(lab, 1, ("--act FILE",), "chain", "approve", CHAIN)


def check_main_chain(lab, saved, genesis, mine):
    """Whoever signs by the word of the main chain signs none that other validators have signed for; with no cloud at hand there is no
    word. Returns the main chain's genesis."""
    main_chain, foreign, out = (os.path.join(lab.dir, n) for n in ("main.json", "foreign.json", "unsigned.json"))
    lab.cli("mainchain", "genesis", main_chain)
    lab.cli("chain", "act", CHAIN, "--mainchain", main_chain)
    with open(main_chain, encoding="utf-8") as one, open(genesis, encoding="utf-8") as other, open(foreign, "w", encoding="utf-8") as both:
        json.dump(dict(json.load(one), validators=json.load(other)["validators"]), both)
    for said in (("chain", "act", CHAIN), ("chain", "approve", CHAIN, *mine)):
        refused(lab, 1, ("evidence is of chain",), *said, "--mainchain", genesis)
        refused(lab, 1, ("signature of validator 0 does not verify",), *said, "--mainchain", foreign)
    refused(lab, 1, ("give it to ridge chain act",), "chain", "approve", "--act", saved, *mine, "--out", out, "--mainchain", main_chain)
    return main_chain


@case
def a_rebuild_waits_until_enough_administrators_have_signed():
    """Two of three: the cloud's own key signs by itself, a person's completes it; one attempt is given up before."""
    with cluster(("dev-1", "dev-2", "dev-3"), agent=QUICK) as lab:
        ask_create(lab, CHAIN, ("dev-1",), params={"archive_state_blocks": 3})
        await_chain(lab, CHAIN, "running")
        (account, mine), (other, _) = add_administrator(lab, "anna"), add_administrator(lab, "ben")
        lab.cli("contract", "policy", "set", CHAIN, "--approvals", "2")
        own = lab.cli("contract", "policy", "show", CHAIN)["account"]
        last = archive(lab)
        genesis, saved = os.path.join(lab.dir, "genesis.json"), os.path.join(lab.dir, "act")
        shutil.copyfile(os.path.join(lab.node_dir("dev-1", CHAIN), "node", "genesis.json"), genesis)
        refused(lab, 3, ("never rebuilt",), "chain", "act", CHAIN)
        lose(lab, "dev-1")
        got = lab.cli("chain", "rebuild", CHAIN, "--devices", "dev-2", WEAK)["rebuild"]
        equal([got[k] for k in ("step", "state", "signed", "threshold")], ["act", "waiting", 1, 2], "one signature does not suffice")
        rebuild_fails(lab, "--devices", "dev-3", WEAK, why=("step act, waiting", "--cancel"))
        lab.cli("chain", "rebuild", CHAIN, "--cancel")
        equal(chain_state(lab, CHAIN)["rebuild"]["state"], "cancelled", "the rebuild that was given up")
        # Its device is cleared of that, and may stand in the next one at once.
        lab.cli("chain", "rebuild", CHAIN, "--devices", "dev-2,dev-3", WEAK)
        lab.cloud.kill()
        lab.cloud.start()
        act = lab.cli("chain", "act", CHAIN, saved, "--genesis", genesis)
        equal([act[k] for k in ("height", "first_height", "epoch", "threshold", "state")], [last["to"], last["to"] + 1, 1, 2, "waiting"], "what is to be signed")
        equal((sorted(act["administrators"]), act["signed"]), (sorted([own, account, other]), [own]), "who may sign, and who did")
        equal([v["name"] for v in act["validators"]], ["dev-2", "dev-3"], "who follows")
        check_refused_signatures(lab, act, saved, genesis, mine)
        main_chain = check_main_chain(lab, saved, genesis, mine)
        equal(chain_state(lab, CHAIN)["rebuild"]["signed"], 1, "signatures after all that")
        signature = os.path.join(lab.dir, "anna.json")
        lab.cli("chain", "approve", "--act", saved, *mine, "--genesis", genesis, "--digest", act["digest"], "--out", signature)
        got = lab.cli("chain", "approve", CHAIN, "--signature", signature)
        equal([got[k] for k in ("state", "signed", "threshold")], ["running", 2, 2], "the second signature")
        got = lab.cli("chain", "rebuild", CHAIN, "--devices", "dev-2,dev-3", WEAK)["rebuild"]
        equal((got["state"], got["height"], got["epoch"]), ("done", last["to"], 1), "the rebuild")
        refused(lab, 6, ("no act of chain",), "chain", "approve", CHAIN, "--signature", signature)
        refused(lab, 6, ("epoch 1", "nothing is signed"), "chain", "act", CHAIN, "--mainchain", main_chain)
        for url in urls(lab, CHAIN, ["dev-2", "dev-3"]).values():
            labs.wait_for("a block of the new validators", 30, lambda u=url: height(lab, u) > last["to"], 0.05)
        entries = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
        ((index, change),) = [(e["index"], e["values"]) for e in entries if e["kind"] == "validators"]
        equal((change["first_height"], change["digest"]), (act["first_height"], act["epoch_digest"]), "the change on the main chain")
        proof = os.path.join(lab.dir, "change.proof")
        lab.cli("mainchain", "prove", CHAIN, str(index), proof)
        refused(lab, 6, ("no act by which epoch 1",), "mainchain", "verify", proof, "--genesis", main_chain, "--extended", genesis)
        check(any(e["step"] == "rebuild.signature" and account in e["message"] for e in lab.cloud.must("GET", f"/chains/{CHAIN}/events?after=0")["events"]),
              "who signed stands in the events")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
