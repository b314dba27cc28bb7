"""Archives of running chains, taken by the cloud: ordered, exported, uploaded, read back, proven; and lies; see
tests/suites.d/archiving."""

import json
import os
import shutil
import signal
import sys

from archives import await_end, files, forge, grow, head, object_path, order, read, rewrite
from cases import case, check, equal, main
from support import Meter, await_chain, cluster, create, deploy, kill_9, labs


def archives(lab):
    return lab.cloud.must("GET", "/archives")["archives"]


def check_by_file_alone(lab, chain, archive):
    """The stored object, by the command that needs no server."""
    (file,) = [f for f in files(lab) if f["number"] == archive["file"]]
    genesis = os.path.join(lab.node_dir("dev-1", chain), "node", "genesis.json")
    said = lab.cli("archive", "verify", object_path(lab, file), "--genesis", genesis, "--manifest", archive["manifest"])
    equal((said["from"], said["to"], said["transactions"]), (archive["from"], archive["to"], archive["transactions"]), "what the file proves")


def refused(lab, code, words, *command):
    got, why = lab.cli(*command, check=False)
    check(got == code and all(word in why for word in words), f"ridge {' '.join(command)}: {got}: {why}")


@case
def archives_follow_one_another_while_the_chain_runs():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        read(lab, "c", meter)
        first = lab.cli("chain", "archive", "c")
        equal((first["state"], first["from"], first["error"]), ("archived", 1, None), "first archive")
        check(first["transactions"] >= 2 and first["signatures"] > first["to"], f"what was proven: {first}")
        check_by_file_alone(lab, "c", first)
        read(lab, "c", meter)
        second = await_end(lab, order(lab, "c"))
        equal((second["state"], second["from"]), ("archived", first["to"] + 1), "second archive")
        check(second["mark_ms"] > first["mark_ms"], "the mark moves forward")
        check_by_file_alone(lab, "c", second)
        check(0 < first["anchor_height"] <= second["anchor_height"], "heights on the main chain")
        equal(len({a["receipt"] for a in (first, second)} - {None}), 2, "receipts")
        # Each node offers the same range: there is one archive of it, and one file.
        for name in ("dev-2", "dev-3", "dev-4"):
            other = await_end(lab, order(lab, "c", **{"from": first["from"], "to": first["to"], "device": name}))
            equal((other["state"], other["content"]), ("duplicate", first["content"]), f"the same range of {name}")
        labs.wait_for("the files of duplicates to go", 10, lambda: len(files(lab)) == 2, 0.05)
        equal(sorted(a["state"] for a in archives(lab)), ["archived"] * 2 + ["duplicate"] * 3, "states")
        meter.check_on("c")
        # A file for which devices delete is not removed by a slip of the hand.
        kept = next(f for f in files(lab) if f["number"] == first["file"])
        refused(lab, 6, ["all that is left", kept["name"]], "file", "rm", str(first["file"]))
        refused(lab, 6, [kept["name"]], "file", "rm", str(first["file"]), "--discard", "another")
        check_by_file_alone(lab, "c", first)
        # What cannot be archived is refused with the reason.
        none = await_end(lab, order(lab, "c", **{"from": head(lab, "c") + 1000}))
        equal(none["state"], "failed", "blocks that are not there")
        check("checkpoint" in none["error"], none["error"])
        for body, status in (({"from": 5, "to": 2}, 400), ({"device": "dev-9"}, 404), ({"from": -1}, 400)):
            equal(lab.cloud.call("POST", "/chains/c/archives", body)[0], status, f"status of {body}")
        # What archives have already is not made again, nor is what is not there yet; both are said before a device is asked.
        for range_ in (("--from", "1", "--to", str(second["to"])), ("--from", str(second["from"])), ("--to", str(first["to"])), ("--from", "1", "--to", "1")):
            refused(lab, 6, (f"1 to {second['to']} already",), "chain", "archive", "c", *range_)
        labs.wait_for("a chain that stands still", 30, lambda: lab.cli("chain", "archive", "c", check=False)[0] == 6, 0.1)
        known = len(archives(lab))
        refused(lab, 6, ("nothing new",), "chain", "archive", "c")
        equal(len(archives(lab)), known, "archives after an order that was refused")
        status, error = lab.cli("chain", "archive", "nothing", check=False)
        check(status == 3 and "nothing" in error, error)


@case
def file_and_genesis_come_by_commands_also_when_the_chain_is_gone():
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        read(lab, "c", Meter(lab, "dev-1"))
        place = os.path.join(lab.dir, "an auditor's, \u7701")
        os.makedirs(place)
        genesis, path, again = (os.path.join(place, name) for name in ("genesis.json", "c.archive", "again"))
        got = lab.cli("chain", "archive", "c")
        equal(lab.cli("archive", "fetch", str(got["number"]), path)["manifest"], got["manifest"], "manifest")
        (file,) = files(lab)
        with open(path, "rb") as fetched, open(object_path(lab, file), "rb") as stored:
            data = fetched.read()
            check(data == stored.read(), "the fetched file is not the stored one")
        lab.cli("chain", "genesis", "c", genesis)
        equal(lab.cli("chain", "genesis", "c"), labs.read_json(genesis), "genesis on standard output")
        equal(lab.cli("archive", "verify", path, "--genesis", genesis, "--manifest", got["manifest"])["to"], got["to"], "what it proves")
        # Nothing is written over; what is not there is named; what has no file says why.
        refused(lab, 6, (path, "exists"), "archive", "fetch", str(got["number"]), path)
        refused(lab, 6, (genesis, "exists"), "chain", "genesis", "c", genesis)
        refused(lab, 3, ("77", "archive list"), "archive", "fetch", "77", again)
        refused(lab, 1, ("archive list",), "archive", "fetch", "first", again)
        refused(lab, 3, ("never had the id 7",), "chain", "genesis", "c", "--id", "7")
        twin = await_end(lab, order(lab, "c", **{"from": got["from"], "to": got["to"]}))
        labs.wait_for("the twin's file to go", 10, lambda: len(files(lab)) == 1, 0.05)
        refused(lab, 6, ("duplicate", "no file"), "archive", "fetch", str(twin["number"]), again)
        # It goes on where it was cut off; other bytes there are found out, and are in nobody's way.
        for begun in (data[: len(data) // 2], data, data + b"more"):
            with open(again + ".part", "wb") as part:
                part.write(begun)
            lab.cli("archive", "fetch", str(got["number"]), again)
            with open(again, "rb") as fetched:
                check(fetched.read() == data, f"gone on with after {len(begun)} bytes")
            os.unlink(again)
        with open(again + ".part", "wb") as part:
            part.write(b"x" * (len(data) // 2))
        refused(lab, 1, ("SM3",), "archive", "fetch", str(got["number"]), again)
        equal(sorted(os.listdir(place)), ["c.archive", "genesis.json"], "what is left")
        # The chain goes, another comes under its name: the archives of the first are fetched and proven as before.
        first = lab.cloud.must("GET", "/chains/c")["chain_id"]
        lab.cli("chain", "destroy", "c")
        equal(lab.cli("chain", "genesis", "c"), labs.read_json(genesis), "genesis of a chain that is gone")
        create(lab, "c", ("dev-1",))
        check(lab.cli("chain", "genesis", "c") != labs.read_json(genesis), "the other chain has a genesis of its own")
        old = os.path.join(place, "old.json")
        lab.cli("chain", "genesis", "c", old, "--id", str(first))
        lab.cli("archive", "fetch", str(got["number"]), again)
        equal(lab.cli("archive", "verify", again, "--genesis", old, "--manifest", got["manifest"])["verified"], True, "proven years later")
        steps = {(e["step"], e["state"]) for e in lab.cli("chain", "events", "c")["events"]}
        check(("chain", "running") in steps, f"events: {steps}")
        refused(lab, 3, ("none",), "chain", "events", "none")


@case
def an_archive_survives_kills_of_cloud_and_agent():
    with cluster(("dev-1",), agent=["--upload-rate", "20000"]) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        for _ in range(10):
            read(lab, "c", meter)
        agent, number = lab.agents["dev-1"], order(lab, "c")
        for victims in ([agent], [lab.cloud], [agent, lab.cloud], [lab.cloud]):
            for victim in victims:
                victim.kill()
            for victim in reversed(victims):
                victim.start()
        got = await_end(lab, number)
        equal((got["state"], got["from"], got["error"]), ("archived", 1, None), "archive")
        check_by_file_alone(lab, "c", got)
        equal(len(files(lab)), 1, "files")
        equal(os.listdir(os.path.join(lab.node_dir("dev-1", "c"), "node", "archive")), [], "what is left beside the ledger")


@case
def a_clock_that_was_put_back_gives_up_no_upload():
    with cluster(("dev-1",), agent=["--upload-rate", "500"]) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        grow(lab, "c", Meter(lab, "dev-1"), 2)
        number = order(lab, "c")
        labs.wait_for("the device to announce it", 30, lambda: lab.cloud.must("GET", f"/archives/{number}")["state"] == "exported", 0.02)
        lab.cloud.stop()
        rewrite(lab, "UPDATE archives SET updated_ms = ? WHERE number = ? AND state = 'exported'", int(labs.time.time() * 1000) + 3600000, number)
        lab.cloud.start()
        got = await_end(lab, number)
        equal((got["state"], got["error"]), ("archived", None), "the archive")


def export_is_there(lab):
    """What the node has written for its agent, whole or in part."""
    place = os.path.join(lab.node_dir("dev-1", "c"), "node", "archive")
    return os.path.isdir(place) and os.listdir(place)


def logged(path, event):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().count(f'"event":"{event}"')


def outbox(lab):
    box = os.path.join(lab.agents["dev-1"].dir, "outbox")
    return [n for n in os.listdir(box) if n.endswith(".json")] if os.path.isdir(box) else []


def stopped_when_the_node_has_exported(lab, meter):
    """An order of which the node has made the file, and the agent, which stands still, has not taken it: its number."""
    agent, log = lab.agents["dev-1"], os.path.join(lab.node_dir("dev-1", "c"), "node", "node.log")
    for _ in range(20):
        made = logged(log, "node.archive_exported")
        number = order(lab, "c")
        labs.wait_for("the node to begin", 30, lambda: export_is_there(lab) or outbox(lab), 0.0002)
        os.kill(agent.pid, signal.SIGSTOP)
        labs.wait_for("the end of the export", 30, lambda made=made: logged(log, "node.archive_exported") > made, 0.01)
        if export_is_there(lab) and not outbox(lab):
            return number
        os.kill(agent.pid, signal.SIGCONT)  # it was faster
        equal(await_end(lab, number)["state"], "archived", "an archive that nothing disturbed")
        read(lab, "c", meter)
    raise AssertionError("the agent was always faster")


@case
def an_agent_killed_between_export_and_announcement_announces_one_archive():
    """In the window in which the file is whole and nobody has been told of it; then with its node; then with the result noted,
    and the cloud away. Readings that wait at the agent make other blocks meanwhile."""
    with cluster(("dev-1",)) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        meter, agent = Meter(lab, "dev-1"), lab.agents["dev-1"]
        reach = 0
        for with_node in (False, True):
            grow(lab, "c", meter, 3)
            number = stopped_when_the_node_has_exported(lab, meter)
            before = lab.cloud.must("GET", f"/archives/{number}")
            equal(before["state"], "ordered", "what the cloud knows")
            reach = max([a["to"] for a in archives(lab) if a["state"] == "archived"] or [0])
            agent.kill()
            if with_node:
                kill_9(lab.node_pids("c")["dev-1"])
            agent.start()
            meter.post(50)
            got = await_end(lab, number)
            equal((got["state"], got["from"], got["error"]), ("archived", reach + 1, None), f"after a kill {'with' if with_node else 'without'} its node")
            check_by_file_alone(lab, "c", got)
            read(lab, "c", meter)
        # The cloud is away when the result is noted; what is announced is what leaves.
        number = order(lab, "c")
        ended = logged(agent.log, "command.ended")
        labs.wait_for("the device to have it", 30, lambda: export_is_there(lab) or outbox(lab) or logged(agent.log, "command.ended") > ended, 0.0005)
        lab.cloud.kill()
        labs.wait_for("the agent's result", 30, lambda: logged(agent.log, "command.ended") > ended, 0.01)
        agent.kill()
        agent.start()
        lab.cloud.start()
        got = await_end(lab, number)
        equal((got["state"], got["error"]), ("archived", None), "after a kill of agent and cloud")
        check_by_file_alone(lab, "c", got)
        equal(len(files(lab)), len([a for a in archives(lab) if a["state"] == "archived"]), "files, one an archive")
        equal((export_is_there(lab), outbox(lab)), ([], []), "what is left on the device")
        meter.check_on("c")


def tamper(lab, change):
    """A lying device: what its node exported is changed before it is uploaded, and offered with its true SM3."""
    agent, box = lab.agents["dev-1"], os.path.join(lab.agents["dev-1"].dir, "outbox")

    def item():
        names = [n for n in os.listdir(box) if n.endswith(".json")] if os.path.isdir(box) else []
        return os.path.join(box, names[0]) if names else None

    path = labs.wait_for("the file in the outbox", 30, item, 0.005)
    agent.kill()
    with open(path[:-5] + ".data", "rb") as file:
        data = bytearray(file.read())
    data = bytes(change(data))
    with open(path[:-5] + ".data", "wb") as file:
        file.write(data)
    with open(path, encoding="utf-8") as file:
        record = json.load(file)
    scratch = os.path.join(lab.dir, "scratch.bin")
    shutil.copyfile(path[:-5] + ".data", scratch)
    record["sm3"], record["size"] = labs_sm3(data), len(data)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(record, file)
    agent.start()


def forged_by_its_device(lab, number):
    """The device that has exported archive `number` changes a receipt in it, makes everything behind it agree, signs it
    with its node's key, and has announced just that. What ridge-forge told; the lie is kept as forged.archive."""
    node, out, told = os.path.join(lab.node_dir("dev-1", "c"), "node"), os.path.join(lab.dir, "forged.archive"), {}

    def lie(data):
        truth = os.path.join(lab.dir, "true.archive")
        with open(truth, "wb") as file:
            file.write(data)
        told.update(json.loads(forge(lab, "archive", truth, out, os.path.join(node, "node.key"))))
        lab.cloud.stop()
        claim = [bytes.fromhex(told[field].removeprefix("0x")) for field in ("manifest", "content")]
        rewrite(lab, "UPDATE archives SET manifest = ?, content = ? WHERE number = ? AND state = 'exported'", *claim, number)
        lab.cloud.start()
        with open(out, "rb") as file:
            return file.read()

    labs.wait_for("the device to announce it", 30, lambda: lab.cloud.must("GET", f"/archives/{number}")["state"] == "exported", 0.02)
    agent = lab.agents["dev-1"]
    agent.argv[agent.argv.index("--upload-rate") + 1] = "0"  # from its next start on
    tamper(lab, lie)
    return told


def gone(lab, name):
    lab.agents[name].kill()
    labs.wait_for(f"the cloud to miss {name}", 60, lambda: name not in lab.online(), 0.1)


@case
def a_device_that_is_away_holds_up_no_archive_of_the_others():
    with cluster(agent=["--telemetry-interval", "200ms"]) as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        grow(lab, "c", meter, 2)
        gone(lab, "dev-2")
        waits = order(lab, "c", device="dev-2")
        equal(order(lab, "c"), waits, "another order of the same, at first")
        lab.cloud.stop()
        rewrite(lab, "UPDATE archives SET updated_ms = updated_ms - 120000 WHERE number = ?", waits)
        lab.cloud.start()
        lab.wait_online(["dev-1", "dev-3", "dev-4"])
        number = order(lab, "c")
        check(number != waits, "the order that waits is not waited for")
        first = await_end(lab, number)
        check(first["device"] != "dev-2", f"who was asked: {first}")
        equal((first["state"], first["from"]), ("archived", 1), "an archive of a device that is there")
        # Neither are those that are made by themselves, nor the last one.
        grow(lab, "c", meter, 2)
        lab.cli("chain", "archive-policy", "c", "--every", "1s")
        labs.wait_for("an archive by itself", 60, lambda: len([a for a in archives(lab) if a["state"] == "archived"]) > 1, 0.1)
        lab.cli("chain", "archive-policy", "c", "--every", "0s")
        grow(lab, "c", meter, 1)
        lab.cloud.must("DELETE", "/chains/c")

        def removed():
            got = lab.cloud.must("GET", "/chains/c")
            return sorted(d["device"] for d in got["devices"] if (d["step"], d["state"]) == ("remove", "done")) == ["dev-1", "dev-3", "dev-4"]

        labs.wait_for("the others to be done", 90, removed, 0.1)
        equal(lab.cloud.must("GET", f"/archives/{waits}")["state"], "ordered", "the order that waits")
        lab.agents["dev-2"].start()
        await_chain(lab, "c", "destroyed", 90)
        check(await_end(lab, waits)["state"] != "archived", "the order that waited")
        reach = 0
        for a in sorted((a for a in archives(lab) if a["state"] == "archived"), key=lambda a: a["from"]):
            equal(a["from"], reach + 1, "archives follow one another")
            reach = a["to"]


@case
def an_archive_with_one_altered_receipt_is_refused_whoever_signs_it():
    with cluster(("dev-1",), agent=["--upload-rate", "200"]) as lab:
        create(lab, "c", ("dev-1",))
        deploy(lab, "c", bind=True)
        read(lab, "c", Meter(lab, "dev-1"))
        number = order(lab, "c")
        told = forged_by_its_device(lab, number)
        got = await_end(lab, number)
        equal((got["state"], got["receipt"]), ("refused", None), f"the forged archive ({got['error']})")
        for text in (got["error"], json.dumps(lab.cli("archive", "show", str(number)))):
            check("device 'dev-1'" in text and f"block {told['height']}: " in text, f"not named: {text}")
        said = [e for e in lab.cloud.must("GET", "/chains/c/events?wait_ms=0")["events"] if e["step"] == "archive" and e["state"] == "refused"]
        equal({e["device"] for e in said}, {"dev-1"}, "events of the refusal and of the order's end")
        genesis = os.path.join(lab.node_dir("dev-1", "c"), "node", "genesis.json")
        lie = os.path.join(lab.dir, "forged.archive")
        for more in ((), ("--manifest", told["manifest"])):
            code, why = lab.cli("archive", "verify", lie, "--genesis", genesis, *more, check=False)
            check(code != 0 and "forged.archive" in why and f"block {told['height']}: " in why, f"{code}: {why}")
        # Nothing was anchored, so nothing may go; the honest archive of the same blocks is taken.
        equal([a["state"] for a in archives(lab)], ["refused"], "archives")
        got = await_end(lab, order(lab, "c"))
        equal((got["state"], got["from"]), ("archived", 1), "the honest archive after the lie")


def labs_sm3(data):
    import hashlib

    digest = hashlib.new("sm3")
    digest.update(data)
    return digest.hexdigest()


@case
def a_lying_device_is_refused_and_named():
    with cluster(("dev-1",), agent=["--upload-rate", "3000"]) as lab:
        create(lab, "c", ("dev-1",))
        create(lab, "other", ("dev-1",))
        deploy(lab, "c", bind=True)
        deploy(lab, "other")
        read(lab, "c", Meter(lab, "dev-1"))
        foreign = {}

        def keep(data):
            foreign["data"] = data
            return data

        def flip(data):
            data[len(data) // 3] ^= 1
            return data

        def cut(data):
            return data[: len(data) // 2]

        def swap(_):
            return foreign["data"]

        honest = order(lab, "other")
        tamper(lab, keep)
        got = await_end(lab, honest)
        equal((got["state"], got["error"]), ("archived", None), "an archive that was not changed")
        for change, word in ((flip, "not those of the index"), (cut, ""), (swap, "another chain")):
            number = order(lab, "c")
            tamper(lab, change)
            got = await_end(lab, number)
            equal(got["state"], "refused", f"an archive after {change.__name__}")
            check("device 'dev-1'" in got["error"] and word in got["error"], got["error"])
        got = await_end(lab, order(lab, "c"))
        equal((got["state"], got["from"]), ("archived", 1), "the honest archive after the lies")


@case
def another_device_is_asked_when_one_lies():
    with cluster(agent=["--upload-rate", "3000"]) as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        read(lab, "c", Meter(lab, "dev-1"))

        def flip(data):
            data[len(data) // 3] ^= 1
            return data

        number = order(lab, "c")
        tamper(lab, flip)
        got = await_end(lab, number)
        equal((got["state"], got["from"]), ("archived", 1), f"the archive of the next device ({got['error']})")
        check(got["device"] != "dev-1", f"taken of {got['device']}")
        said = [e for e in lab.cloud.must("GET", "/chains/c/events?wait_ms=0")["events"] if e["step"] == "archive" and e["state"] == "refused"]
        equal([e["device"] for e in said], ["dev-1"], "who was refused")
        labs.wait_for("the file of the refused one to go", 10, lambda: len(files(lab)) == 1, 0.05)


if __name__ == "__main__":
    sys.exit(main())
