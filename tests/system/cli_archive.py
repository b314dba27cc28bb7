"""`ridge archive` without a server: a chain's blocks as a file, proven with the genesis only, and files that are not what they say."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
from cases import case, check, equal, main  # noqa: E402

FAILED, NOT_FOUND, FORBIDDEN, CONFLICT = 1, 3, 4, 6
shared = labs.Lab()
made = {}


def ridge(*args):
    """(exit status, standard output, standard error); no cloud is known to it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_")}
    words = [shared.binary("ridge"), "archive", *map(str, args)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def good(*args):
    status, out, err = ridge(*args)
    equal(status, 0, f"ridge archive {' '.join(map(str, args))}: {err}")
    return out


def refused(status, *args, says=()):
    got, out, err = ridge(*args)
    equal(got, status, f"ridge archive {' '.join(map(str, args))}: {out}{err}")
    for word in says:
        check(word in err, f"{word!r} is not in {err!r}")


def make_node():
    shared.start_cloud()
    shared.enrol(["a"])
    shared.cli("chain", "create", "feeder", "--devices", "a", "--allow-no-fault-tolerance")
    artefact = os.path.join(ROOT, "contracts", "artifacts", "Metering.json")
    shared.cli("contract", "deploy", "feeder", "meters", "--artifact", artefact)
    pids = list(shared.node_pids("feeder").values())
    shared.agents["a"].stop()
    for pid in pids:
        try:
            os.kill(int(pid), signal.SIGTERM)
        except ProcessLookupError:
            continue
    labs.wait_for("the end of the node", 60, lambda: not shared.node_pids("feeder"), 0.1)
    return pathlib.Path(shared.node_dir("a", "feeder")) / "node"


def stopped_node():
    """The directory of a node that had a chain with a contract, and runs no more."""
    if "failed" in made:
        raise made["failed"]
    if "node" not in made:
        try:
            made["node"] = make_node()
        except Exception as error:
            made["failed"] = error
            raise
    return made["node"]


def archive():
    """(file, genesis, what export said)"""
    if "said" not in made:
        node = stopped_node()
        made["file"] = pathlib.Path(shared.dir) / "feeder.archive"
        made["said"] = json.loads(good("export", node, made["file"], "--json"))
    return made["file"], made["node"] / "genesis.json", made["said"]


@case
def export_of_a_stopped_node_is_proven_with_its_genesis():
    file, genesis, said = archive()
    report = json.loads(good("verify", file, "--genesis", genesis, "--manifest", said["manifest"], "--json"))
    equal(report["verified"], True, "verified")
    equal((report["from"], report["to"], report["content"]), (1, said["to"], said["content"]), "range and content")
    check(report["transactions"] > 0 and report["signatures"] >= 2 * said["to"], f"{report}")
    text = good("verify", file, "--genesis", genesis)
    check(said["manifest"] in text, text)


@case
def show_finds_one_block_and_one_transaction():
    file, genesis, said = archive()
    shown = json.loads(good("show", file, "--json"))
    equal(shown["manifest"], said["manifest"], "the manifest")
    blocks = [json.loads(good("show", file, "--block", h, "--genesis", genesis)) for h in range(1, said["to"] + 1)]
    check(all(b["proven"] for b in blocks), "with a genesis blocks are proven")
    tx = next(t for b in blocks for t in b["transactions"])
    found = json.loads(good("show", file, "--tx", tx["id"], "--genesis", genesis))
    equal((found["id"], found["receipt"]["success"], found["proven"]), (tx["id"], True, True), "the transaction")
    equal(json.loads(good("show", file, "--block", 1))["proven"], False, "without a genesis nothing is")
    refused(NOT_FOUND, "show", file, "--block", said["to"] + 1, says=(str(file), "1 to"))
    refused(NOT_FOUND, "show", file, "--tx", "0x" + 64 * "1")
    refused(FAILED, "show", file, "--tx", "12", says=("--tx",))


@case
def extract_writes_every_block_or_one():
    file, genesis, said = archive()
    out = pathlib.Path(shared.dir) / "extracted"
    good("extract", file, "--out", out, "--genesis", genesis)
    names = sorted(p.name for p in out.iterdir())
    equal(names, [f"{h:012}.json" for h in range(1, said["to"] + 1)], "the files")
    parent = json.loads((out / names[0]).read_text())
    for name in names[1:]:
        block = json.loads((out / name).read_text())
        equal(block["parent"], parent["hash"], f"parent of {name}")
        parent = block
    equal(json.loads(good("extract", file, "--block", 1))["height"], 1, "one block")
    refused(FAILED, "extract", file, says=("--out",))


@case
def encrypted_archives_open_with_their_key():
    node, (_, genesis, said) = stopped_node(), archive()
    file, key, other = (pathlib.Path(shared.dir) / name for name in ("sealed.archive", "key", "other"))
    key.write_text("00112233445566778899aabbccddeeff\n")
    other.write_text("10112233445566778899aabbccddeeff\n")
    for path in (key, other):
        path.chmod(0o600)
    sealed = json.loads(good("export", node, file, "--key", key, "--key-id", "site-7", "--json"))
    equal((sealed["content"], sealed["key_id"]), (said["content"], "site-7"), "the same content under a key")
    good("verify", file, "--genesis", genesis, "--key", key)
    equal(json.loads(good("show", file, "--json"))["key_id"], "site-7", "the manifest is in the clear")
    refused(FORBIDDEN, "verify", file, "--genesis", genesis, says=("site-7",))
    refused(FORBIDDEN, "verify", file, "--genesis", genesis, "--key", other, says=("key",))
    key.chmod(0o644)
    check(ridge("verify", file, "--genesis", genesis, "--key", key)[0] != 0, "a key that others can read is taken")


@case
def what_is_damaged_or_of_another_chain_is_refused_by_name():
    file, genesis, said = archive()
    bad = pathlib.Path(shared.dir) / "bad.archive"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    bad.write_bytes(content)
    refused(FAILED, "verify", bad, "--genesis", genesis, says=(str(bad), "frame 0"))
    bad.write_bytes(file.read_bytes()[:-7])
    refused(FAILED, "verify", bad, "--genesis", genesis, says=("trailer",))
    bad.write_bytes(b"")
    refused(FAILED, "show", bad, says=(str(bad),))
    refused(NOT_FOUND, "show", bad.with_name("none"), says=("none",))
    refused(FAILED, "verify", file, says=("--genesis",))
    other = json.loads(genesis.read_text())
    other["time_ms"] += 1
    foreign = pathlib.Path(shared.dir) / "foreign.json"
    foreign.write_text(json.dumps(other))
    refused(FAILED, "verify", file, "--genesis", foreign, says=("not of the chain",))
    refused(CONFLICT, "verify", file, "--genesis", genesis, "--manifest", "0x" + 64 * "2", says=("another",))
    refused(CONFLICT, "export", stopped_node(), file, says=("exists",))
    refused(NOT_FOUND, "export", shared.dir, bad.with_name("new"), says=("genesis.json",))


@case
def export_goes_on_where_it_was_cut_off():
    node, (file, genesis, said) = stopped_node(), archive()
    again = pathlib.Path(shared.dir) / "again.archive"
    whole = file.read_bytes()
    again.with_name("again.archive.part").write_bytes(whole[: len(whole) // 2])
    equal(json.loads(good("export", node, again, "--json"))["manifest"], said["manifest"], "the manifest")
    good("verify", again, "--genesis", genesis, "--manifest", said["manifest"])


def end():
    try:
        shared.stop()
    finally:
        shutil.rmtree(shared.dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(end))
