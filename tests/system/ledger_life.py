"""The long life of a ledger, from its creation to its end; see tests/suites.d/scenario-ledger-life."""

import csv
import datetime
import json
import math
import os
import shutil
import subprocess
import sys

from archives import destruction
from cases import case, check, equal, main
from support import NAMES, ask_create, await_chain, chain_state, check_nothing_of, cluster, deploy, labs, readings, urls

CHAIN = "feeder"
HOUR = 3600
ETT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "..", "shared", "data", "ett", "ETTh1.csv")


def option(name, fallback):
    if name not in sys.argv:
        return fallback
    at = sys.argv.index(name)
    value = sys.argv[at + 1]
    del sys.argv[at : at + 2]
    return value


HOURS = int(option("--hours", 24 * 56))  # two years are 17520; --hours 17520
DATA = option("--data", ETT)


def oil_temperatures():
    """(second, micro-units) of each hour: the transformer's oil temperature, or a made one where the data is missing."""
    found = []
    if os.path.exists(DATA):
        with open(DATA, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                when = datetime.datetime.fromisoformat(row["date"]).replace(tzinfo=datetime.timezone.utc)
                found.append((int(when.timestamp()), readings.micro(row["OT"])))
                if len(found) == HOURS:
                    break
    print(f"     {len(found)} readings of ETT, {max(0, HOURS - len(found))} made ones", flush=True)
    at = found[-1][0] if found else 1467331200
    while len(found) < HOURS:
        at += HOUR
        found.append((at, readings.micro(f"{20 + 10 * math.sin(at / 86400 * 2 * math.pi):.3f}")))
    return found


def give(lab, values):
    """Through the device's intake, in batches; until the chain has them all."""
    agent = lab.agents["dev-1"]
    for first in range(0, len(values), 500):
        batch = [readings.as_json("ot", when, value) for when, value in values[first : first + 500]]
        status, answer = agent.call("POST", "/v1/readings", batch)
        check(status == 202 and answer["accepted"] == len(batch), f"HTTP {status}: {answer}")
        labs.wait_for("receipts of the readings", 120, lambda: agent.intake()["queued"] == 0, 0.05)
        if first % 5000 == 4500:
            print(f"     {first + 500} of {len(values)} readings of this part", flush=True)


def totals(lab):
    body = {"method": "totals", "args": [readings.meter_id("dev-1", "ot")]}
    answer = lab.cloud.must("POST", f"/chains/{CHAIN}/contracts/metering/call", body)["result"]
    return int(answer["count"]), int(answer["sum"])


def alone(lab, place, *args):
    """The command line where nothing else is: no cloud, no configuration, one directory."""
    environment = {"PATH": "/usr/bin:/bin", "RIDGE_HOME": os.path.join(place, "none"), "HOME": place}
    done = subprocess.run([lab.binary("ridge"), *args, "--json"], cwd=place, env=environment, capture_output=True, check=False)
    equal(done.returncode, 0, f"ridge {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return json.loads(done.stdout)


def prove_a_reading_of_the_first_week(lab, first):
    """On a machine that has the archive's file, the chain's genesis, an entry's proof and the main chain's validators."""
    place = os.path.join(lab.dir, "auditor")
    os.makedirs(place)
    lab.cli("archive", "fetch", str(first["number"]), os.path.join(place, "first.archive"))
    lab.cli("chain", "genesis", CHAIN, os.path.join(place, "genesis.json"))
    entries = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
    (entry,) = [e for e in entries if e["kind"] == "archive" and e["values"]["manifest"] == first["manifest"]]
    lab.cli("mainchain", "genesis", os.path.join(place, "main.json"))
    lab.cli("mainchain", "prove", CHAIN, str(entry["index"]), os.path.join(place, "proof"))
    alone(lab, place, "mainchain", "verify", "proof", "--genesis", "main.json", "--archive", "first.archive")
    said = alone(lab, place, "archive", "verify", "first.archive", "--genesis", "genesis.json", "--manifest", first["manifest"])
    equal((said["verified"], said["from"]), (True, 1), "the archive")
    proven = [alone(lab, place, "archive", "show", "first.archive", "--block", str(h), "--genesis", "genesis.json") for h in range(1, said["to"] + 1)]
    return proven


def has_reading(block, when):
    """A reading's time stands in the call's data as a number of 8 bytes."""
    return block["proven"] and any(f"{when:016x}" in json.dumps(tx) for tx in block["transactions"])


def lose_every_ledger(lab):
    for name in NAMES:
        lab.agents[name].stop()
    for _, pid in lab.nodes(CHAIN):
        os.kill(pid, 9)
    for name in NAMES:
        shutil.rmtree(os.path.join(lab.node_dir(name, CHAIN), "node", "data"))
        lab.agents[name].start()
    lab.wait_online(NAMES)


def same_heads(lab):
    """One height, hash and state on all nodes; bodies are not on all."""

    def agreed():
        try:
            found = [lab.rpc(url, "ridge_status") for url in urls(lab, CHAIN).values()]
        except OSError:
            return False
        return len({(s["height"], s["hash"], s["state_root"]) for s in found}) == 1

    labs.wait_for("one state on all nodes", 60, agreed, 0.1)


@case
def a_ledger_lives_two_years_in_a_minute():
    values = oil_temperatures()
    third = len(values) // 3
    with cluster(agent=("--telemetry-interval", "200ms")) as lab:
        ask_create(lab, CHAIN, params={"archive_state_blocks": 1})
        await_chain(lab, CHAIN, "running")
        deploy(lab, CHAIN, bind=True)
        taken = []
        for part in (values[:third], values[third : 2 * third], values[2 * third :]):
            give(lab, part)
            taken.append(lab.cli("chain", "archive", CHAIN))
            equal(taken[-1]["state"], "archived", "archive")
        equal(totals(lab), (len(values), sum(v for _, v in values)), "count and sum of what the contract holds")
        print(f"     {sum(a['transactions'] for a in taken)} transactions in {taken[-1]['to']} blocks, {sum(a['bytes'] for a in taken)} bytes in 3 archives", flush=True)

        week = [when for when, _ in values[: 24 * 7]]
        blocks = prove_a_reading_of_the_first_week(lab, taken[0])
        check(any(has_reading(b, week[50]) for b in blocks), "a reading of the first week stands in a proven block")

        # What is archived goes from the devices, but for the newest blocks.
        lab.cli("chain", "archive-policy", CHAIN, "--keep-blocks", "2", "--keep", "0s")

        def pruned():
            got = lab.cloud.must("GET", f"/chains/{CHAIN}/archives")["devices"]
            return len(got) == 4 and all(d["state"] == "pruned" and d["pruned_height"] > 0 for d in got) and got

        got = labs.wait_for("all devices to be pruned", 60, pruned, 0.1)
        print(f"     pruned to block {min(d['pruned_height'] for d in got)}, {sum(d['freed_bytes'] for d in got)} bytes freed on 4 devices", flush=True)

        # One device loses its ledger.
        lab.agents["dev-3"].stop()
        for name, pid in lab.nodes(CHAIN):
            if name == "dev-3":
                os.kill(pid, 9)
        shutil.rmtree(os.path.join(lab.node_dir("dev-3", CHAIN), "node", "data"))
        lab.agents["dev-3"].start()
        lab.wait_online(["dev-3"])
        lab.cli("node", "recover", CHAIN, "dev-3", "--archives")
        status = lab.rpc(urls(lab, CHAIN, ["dev-3"])["dev-3"], "ridge_status")
        check(status["height"] >= taken[-1]["to"] and status["sync"]["base_height"] > 0, f"recovered from the state: {status['height']}")
        lab.cli("node", "recover", CHAIN, "dev-3", "--range", "1..")
        same_heads(lab)
        equal(totals(lab), (len(values), sum(v for _, v in values)), "count and sum after the recovery")

        # A sound node that has blocks which no archive has is not given up.
        give(lab, [(values[-1][0] + HOUR, 1000000)])
        code, why = lab.cli("chain", "rebuild", CHAIN, check=False)
        check(code != 0 and "archives reach to" in why, f"{code}: {why}")
        taken.append(lab.cli("chain", "archive", CHAIN))
        lose_every_ledger(lab)
        lab.cli("chain", "rebuild", CHAIN)
        same_heads(lab)
        give(lab, [(values[-1][0] + 2 * HOUR, 2000000)])
        equal(totals(lab), (len(values) + 2, sum(v for _, v in values) + 3000000), "count and sum after the rebuild")

        chain = chain_state(lab, CHAIN)
        gone = lab.cli("chain", "destroy", CHAIN)
        check(all(d["freed_bytes"] > 0 for d in gone["devices"]), f"freed: {gone['devices']}")
        check_nothing_of(lab, CHAIN, NAMES)
        equal(destruction(lab, chain["chain_id"])["discarded"], False, "discarded")


if __name__ == "__main__":
    sys.exit(main())
