"""What the suites about archives share."""

import base64
import contextlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess

from cases import check, equal
from support import ask_create, await_chain, labs, wait_answer

ENDS = {"archived", "failed", "refused", "duplicate"}


def order(lab, chain, **body):
    return lab.cloud.must("POST", f"/chains/{chain}/archives", body)["number"]


def await_end(lab, number, seconds=60):
    def ended():
        try:
            got = lab.cloud.must("GET", f"/archives/{number}")
        except OSError:
            return None
        return got if got["state"] in ENDS else None

    return labs.wait_for(f"the end of archive {number}", seconds, ended, 0.05)


def head(lab, chain):
    return max(lab.rpc(url, "ridge_status")["height"] for url in lab.rpc_urls(chain).values())


def certified(lab, chain):
    """Every node that answers has the certificate of its newest block: what has none is in no archive yet."""
    for name in lab.agents:
        record = labs.read_json(os.path.join(lab.node_dir(name, chain), "chain.json"))
        try:
            got = record and lab.rpc(f"http://127.0.0.1:{record['rpc_port']}", "ridge_consensus")
        except (OSError, ValueError, labs.LabError):
            continue
        if got and got["checkpoint_height"] < got["height"]:
            return False
    return True


def read(lab, chain, meter):
    meter.post(50)
    labs.wait_for("receipts", 30, meter.queue_empty, 0.02)
    labs.wait_for("certificates", 30, lambda: certified(lab, chain), 0.02)


def grow(lab, chain, meter, times):
    for _ in range(times):
        read(lab, chain, meter)


def devices(lab, chain):
    """What each device has deleted of what is archived."""
    return {d["device"]: d for d in lab.cloud.must("GET", f"/chains/{chain}/archives")["devices"]}


def keep(lab, chain, blocks, time="0s"):
    return lab.cli("chain", "archive-policy", chain, "--keep-blocks", str(blocks), "--keep", time)


def without(o, *fields):
    return {k: v for k, v in o.items() if k not in fields}


def files(lab):
    return lab.cloud.must("GET", "/files?kind=archive")["files"]


def object_path(lab, file):
    return os.path.join(lab.cloud.dir, "collect", "objects", file["sm3"][:2], file["sm3"])


def forge(lab, *arguments):
    """What ridge-forge (tests/system/forge) says: lies by whoever has the key."""
    done = subprocess.run([lab.binary("ridge-forge"), *arguments], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def rewrite(lab, statement, *values):
    """What the cloud remembers of archives is changed behind its back; it has to stand still."""
    with contextlib.closing(sqlite3.connect(os.path.join(lab.cloud.dir, "baas.db"))) as db, db:
        changed = db.execute(statement, values).rowcount
    assert changed == 1, f"{changed} rows were changed"


def destruction(lab, chain_id):
    def written():
        entries = lab.cloud.must("GET", f"/mainchain/chains/{chain_id}")["entries"]
        return [e["values"] for e in entries if e["kind"] == "destruction" and e["state"] == "written"]

    (values,) = labs.wait_for("the destruction on the main chain", 30, written, 0.1)
    return values


# --- encrypted ones --------------------------------------------------------------------------------------


def begin_encrypted(lab, chain, names, **more):
    ask_create(lab, chain, names, params={"archive_state_blocks": 5}, encrypt_archives=True, **more)
    await_chain(lab, chain, "running")


def key_file(lab, name, chain, key=None):
    """A copy for an auditor, beside everything that is looked through for secrets."""
    path = os.path.join(lab.dir, "auditor", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    said = lab.cli("archive", "key", chain, path, *(["--id", key] if key else []))
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the key's file")
    with open(path, encoding="utf-8") as file:
        digits, name = file.read().split("\n")[:2]
    equal((len(digits), name), (32, said["id"]), "the key's file")
    return path


def secrets(lab):
    """Every key in custody, as it might stand somewhere."""
    found = []
    place = os.path.join(lab.cloud.dir, "keys")
    for name in os.listdir(place):
        if name.startswith("archive-"):
            with open(os.path.join(place, name), encoding="utf-8") as file:
                raw = bytes.fromhex(file.readline().strip())
            digits = raw.hex().encode()
            found += [raw, digits, digits.upper(), base64.b64encode(raw).rstrip(b"="), base64.b64encode(digits).rstrip(b"=")]
    return found


def genesis_kept(lab, chain):
    genesis = os.path.join(lab.dir, "auditor", "genesis.json")
    os.makedirs(os.path.dirname(genesis), exist_ok=True)
    shutil.copyfile(os.path.join(lab.node_dir("dev-1", chain), "node", "genesis.json"), genesis)
    return genesis


# --- cuts ----------------------------------------------------------------------------------------------


def cuts(usual):
    """How many; RIDGE_CUTS=N."""
    return int(os.environ.get("RIDGE_CUTS", usual))


def cut(lab, chain, names, rng):
    """One or two of the cloud, the agents and the nodes are killed at any moment, and started again."""
    victims = rng.sample([("cloud", None)] + [(what, name) for what in ("agent", "node") for name in names], rng.randint(1, 2))
    programs = [lab.cloud if what == "cloud" else lab.agents[name] for what, name in victims if what != "node"]
    labs.time.sleep(rng.random() * 0.8)  # the moment is the test
    for what, name in victims:
        if what == "node" and name in (pids := lab.node_pids(chain)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[name], signal.SIGKILL)
    for program in programs:
        program.kill()
    for program in programs:
        program.start()
    for name in names:
        wait_answer(lab, name)
    said = " and ".join(what if name is None else f"{what} of {name}" for what, name in victims)
    print(f"     killed: {said}", flush=True)
    return said


def pruned(lab, chain, names, to):
    """Every device has carried out what it was told of the archive that ends there."""

    def there():
        try:
            got = devices(lab, chain)
        except OSError:
            return None
        return got if all(n in got and got[n]["state"] == "pruned" and got[n]["archived_to"] >= to for n in names) else None

    return labs.wait_for(f"{', '.join(names)} to have pruned what is archived up to block {to}", 120, there, 0.05)


def end_of(lab, chain, meter, number):
    """An archive that ends for want of a certificate of the newest block is ordered again, behind another block."""
    for _ in range(10):
        got = await_end(lab, number, 120)
        if got["state"] != "failed" or "checkpoint certificate" not in got["error"]:
            break
        grow(lab, chain, meter, 1)
        number = order(lab, chain)
    return got


def archive_through_cuts(lab, chain, meter, names, rng, times):
    """Archives are made and blocks deleted while whoever is at it is killed: each ends, marks move forward and never beyond
    what is archived, and in the end every block is there as it was. The archives, in order."""
    known, made, marks = {}, [], dict.fromkeys(names, 0)
    keep(lab, chain, 1)
    for _ in range(times):
        grow(lab, chain, meter, 2)
        for height in range(len(known) + 1, head(lab, chain) + 1):
            known[height] = lab.cloud.must("GET", f"/chains/{chain}/blocks/{height}")
        number = order(lab, chain)
        said = cut(lab, chain, names, rng)
        got = end_of(lab, chain, meter, number)
        equal((got["state"], got["from"]), ("archived", made[-1]["to"] + 1 if made else 1), f"after the cut of {said}: {got['error']}")
        made.append(got)
        for name, row in pruned(lab, chain, names, got["to"]).items():
            check(marks[name] <= row["pruned_height"] <= row["archived_to"], f"the mark of {name}, before at {marks[name]}: {row}")
            marks[name] = row["pruned_height"]
    check(min(marks.values()) > 0, f"marks: {marks}")
    meter.check_on(chain)
    for height, block in known.items():
        equal(without(lab.cloud.must("GET", f"/chains/{chain}/blocks/{height}"), "archive"), without(block, "archive"), f"block {height}")
    return made
