"""Suite contract-life: a contract's whole life by the command line, on real nodes; what each refusal says."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from support import ROOT, cluster, create, npm_packages  # noqa: E402

BIN = os.environ.get("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))


def artifact(name):
    return os.path.join(ROOT, "contracts", "artifacts", f"{name}.json")


def refused(lab, words, *args):
    status, said = lab.cli(*args, check=False)
    check(status != 0, f"ridge {' '.join(args)} was not refused")
    for word in words:
        check(word in said, f"ridge {' '.join(args)} says {said!r}, without {word!r}")


def send(lab, *args):
    return lab.cli("contract", "send", "life", "notes", *args)


def call(lab, *args):
    result = lab.cli("contract", "call", "life", "notes", *args)["result"]
    return str(next(iter(result.values())) if isinstance(result, dict) else result[0])


def status(lab, version):
    return lab.cli("contract", "show", "life", "notes", "--version", str(version))["status"]


def begin(lab):
    create(lab, "life")
    deployed = lab.cli("contract", "deploy", "life", "notes", "--artifact", artifact("Notes"))
    equal(deployed["version"], 1, "version")
    refused(lab, ["'notes' exists", "upgrade"], "contract", "deploy", "life", "notes", "--artifact", artifact("Notes"))
    for value in range(5):
        send(lab, "add", str(value * 10))
    refused(lab, ["TooLarge"], "contract", "send", "life", "notes", "add", "2000000")
    refused(lab, ["value", "uint256", "ten"], "contract", "send", "life", "notes", "add", "ten")
    return deployed["address"]


def upgrade_and_migrate(lab, old):
    fresh = lab.cli("contract", "upgrade", "life", "notes", "--artifact", artifact("NotesNext"))
    equal(fresh["version"], 2, "version")
    check(fresh["address"] != old, "the new version has the old one's address")
    equal((call(lab, "count"), call(lab, "count", "--version", "1")), ("0", "5"), "a storage of its own")
    equal(call(lab, "oldAt", old, "3"), "30", "old data, read by the new version")
    refused(lab, ["is superseded by a newer version"], "contract", "send", "life", "notes", "add", "1", "--version", "1")
    done = lab.cli("contract", "migrate", "life", "notes", "--limit", "2")
    equal((done["done"], done["steps"], call(lab, "sum")), (True, 3, "100"), "migration in bounded steps")
    equal(lab.cli("contract", "migrate", "life", "notes")["steps"], 3, "steps of a migration that is done")
    events = lab.cli("contract", "events", "life", "notes")["events"]
    equal([e["event"] for e in events], ["Noted"] * 5, "events of the new version")


def freeze_and_revoke(lab, old):
    lab.cli("contract", "freeze", "life", "notes", "--version", "2")
    equal(status(lab, 2), "frozen", "status")
    refused(lab, ["is frozen: it can be read, not changed"], "contract", "send", "life", "notes", "add", "1")
    refused(lab, ["frozen already"], "contract", "freeze", "life", "notes", "--version", "2")
    equal(call(lab, "sum"), "100", "what is frozen is read")
    lab.cli("contract", "unfreeze", "life", "notes", "--version", "2")
    send(lab, "add", "1")
    refused(lab, ["--confirm notes"], "contract", "revoke", "life", "notes", "--version", "1")
    lab.cli("contract", "revoke", "life", "notes", "--version", "1", "--confirm", "notes")
    equal((status(lab, 1), status(lab, 2)), ("revoked", "active"), "statuses")
    refused(lab, ["is revoked: nothing can call it"], "contract", "call", "life", "notes", "count", "--version", "1")
    refused(lab, ["is revoked: nothing can call it"], "contract", "call", "life", "notes", "oldAt", old, "3")
    refused(lab, ["is revoked: nothing can call it"], "contract", "send", "life", "notes", "add", "1", "--version", "1")
    equal(call(lab, "count", "--version", "1", "--audit"), "5", "what an auditor reads")
    refused(lab, ["revoked for good"], "contract", "unfreeze", "life", "notes", "--version", "1")
    equal([c["status"] for c in lab.cli("contract", "list", "life")["contracts"]], ["active"], "list")


@case
def deploy_upgrade_migrate_freeze_and_revoke():
    with cluster() as lab:
        old = begin(lab)
        upgrade_and_migrate(lab, old)
        freeze_and_revoke(lab, old)
        one_key_is_one_transaction_also_after_a_crash(lab)


def one_key_is_one_transaction_also_after_a_crash(lab):
    key = uuid.uuid4().hex
    before = int(call(lab, "count"))
    first = send(lab, "add", "7", "--idempotency-key", key)
    lab.cloud.kill()
    lab.cloud.start()
    lab.wait_online(list(lab.agents))
    again = send(lab, "add", "7", "--idempotency-key", key)
    equal((again["tx"], again["height"]), (first["tx"], first["height"]), "one key")
    refused(lab, [key, "another request"], "contract", "send", "life", "notes", "add", "8", "--idempotency-key", key)
    equal(int(call(lab, "count")), before + 1, "notes")


@case
def a_source_deploys_what_a_build_writes():
    modules = npm_packages(os.path.join(ROOT, "contracts"), "solc")
    with cluster(("dev-1",)) as lab, tempfile.TemporaryDirectory(prefix="ridge-contract-source-") as project:
        create(lab, "life", ["dev-1"])
        os.symlink(modules, os.path.join(project, "node_modules"))
        source = os.path.join(project, "contracts", "NotesNext.sol")
        os.mkdir(os.path.dirname(source))
        shutil.copy(os.path.join(ROOT, "contracts", "NotesNext.sol"), source)
        built = {row["name"]: row for row in lab.cli("contract", "build", project)["contracts"]}
        deployed = lab.cli("contract", "deploy", "life", "notes", "--source", source, "--contract", "NotesNext")
        with open(os.path.join(project, built["NotesNext"]["artifact"]), encoding="utf-8") as file:
            artefact = json.load(file)
        code = lab.rpc(lab.rpc_urls("life")["dev-1"], "eth_getCode", [deployed["address"], "latest"])
        equal(code, artefact["deployedBytecode"], "code on the chain")
        send(lab, "add", "7")
        equal(call(lab, "sum"), "7", "what the deployed contract says")
        equal(lab.cli("contract", "upgrade", "life", "notes", "--source", source, "--contract", "NotesNext")["version"], 2, "version")


class Receipt(ctypes.Structure):
    """ridge_receipt_t of include/ridge/node.h."""

    _fields_ = [("success", ctypes.c_bool), ("height", ctypes.c_uint64), ("index", ctypes.c_uint64), ("gas_used", ctypes.c_uint64)]
    _fields_ += [("id", ctypes.c_char * 67), ("block_hash", ctypes.c_char * 67), ("sender", ctypes.c_char * 43)]
    _fields_ += [("to", ctypes.c_char * 43), ("contract", ctypes.c_char * 43), ("logs", ctypes.c_void_p)]
    _fields_ += [("revert", ctypes.c_void_p), ("revert_len", ctypes.c_size_t)]


def deploy_by(lab, url, key, passphrase):
    """An ordinary creation by an account that is not the cloud's, through libridge; its address, or what was said."""
    lib = ctypes.CDLL(os.path.join(os.path.dirname(lab.bin), "sdk", "c", "libridge.so"))
    lib.ridge_error.restype = ctypes.c_char_p
    node, owner, abi, receipt = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), Receipt()
    opened = lib.ridge_node_open(url.encode(), ctypes.c_uint64(0), ctypes.byref(node))
    opened |= lib.ridge_key_load(key.encode(), passphrase.encode(), ctypes.byref(owner))
    opened |= lib.ridge_abi_load(artifact("Metering").encode(), ctypes.byref(abi))
    equal(opened, 0, "node, key and ABI")
    status = lib.ridge_contract_deploy(node, owner, abi, None, ctypes.c_uint64(30000), ctypes.byref(receipt))
    address, said = receipt.contract.decode(), lib.ridge_error(status).decode()
    lib.ridge_receipt_fini(ctypes.byref(receipt))
    lib.ridge_abi_free(abi)
    lib.ridge_key_free(owner)
    lib.ridge_node_close(node)
    return address if status == 0 else said


def policy(lab):
    return lab.cli("contract", "policy", "show", "life")


def names_and_owners(lab, address, other, own):
    register = ("contract", "register", "life", "outside", address)
    refused(lab, ["address", "0x12"], *register[:4], "0x12", "--artifact", artifact("Metering"))
    refused(lab, ["outside"], *register[:4], other)
    lab.cli(*register, "--owner", other, "--artifact", artifact("Metering"))
    shown = lab.cli("contract", "show", "life", "outside")
    equal((shown["address"], shown["owner"], shown["status"]), (address, other, "active"), "the registered contract")
    equal(lab.cli("contract", "call", "life", "outside", "meterCount")["result"], [0], "it can be called by its name")
    refused(lab, ["'outside'", "exists"], *register)
    lab.cli("contract", "owner", "life", "outside", own)
    equal(lab.cli("contract", "show", "life", "outside")["owner"], own, "the new owner")
    refused(lab, ["newOwner"], "contract", "owner", "life", "outside", "0xabc")
    refused(lab, ["no contract 'inside'"], "contract", "owner", "life", "inside", own)


def two_of_two(lab, own, other, key, secret):
    lab.cli("contract", "policy", "set", "life", "--add-administrator", other)
    lab.cli("contract", "policy", "set", "life", "--approvals", "2")
    asked = lab.cli("contract", "deployers", "remove", "life", other)
    now = policy(lab)
    equal((now["approvals"], sorted(now["administrators"]), now["deployers"]), (2, sorted([own, other]), [other]), "nothing is done yet")
    equal([(p["id"], p["call"], p["approvals"]) for p in now["proposals"]],
          [(asked["proposal"], {"method": "removeDeployer", "args": {"account": other}}, [own])], "what waits")  # fmt: skip
    number = str(asked["proposal"])
    refused(lab, ["approved already"], "contract", "approve", "life", number)
    refused(lab, ["no such proposal"], "contract", "approve", "life", "999")
    refused(lab, ["PROPOSAL"], "contract", "approve", "life", "all")
    done = lab.cli("contract", "approve", "life", number, "--key", key, "--passphrase-file", secret)
    equal((done["executed"], policy(lab)["deployers"], policy(lab)["proposals"]), (True, [], []), "after the second approval")


def approved_code_only(lab, url, key, secret):
    """Two of two approve code; whoever then deploys it, once, may. The policy itself takes two, too."""

    def both(*change):
        number = str(lab.cli("contract", "policy", "set", "life", *change)["proposal"])
        check(lab.cli("contract", "approve", "life", number, "--key", key, "--passphrase-file", secret)["executed"], f"{change} is not done")

    code = ("--artifact", artifact("Metering"))
    both("--deploy", "approved-code")
    digest = lab.cli("contract", "digest", *code)["digest"]
    check(digest != lab.cli("contract", "digest", "--artifact", artifact("Notes"))["digest"], "another code, the same digest")
    refused(lab, ["administrators approved", f"ridge contract policy set life --approve-code {digest}"], "contract", "deploy", "life", "meters", *code)
    said = deploy_by(lab, url, key, "correct horse")
    check("administrators approved" in said, f"code that nobody approved: {said}")
    refused(lab, ["initCodeDigest", "0x12"], "contract", "policy", "set", "life", "--approve-code", "0x12")
    both("--approve-code", digest)
    address = deploy_by(lab, url, key, "correct horse")
    check(address.startswith("0x"), f"approved code is refused: {address}")
    refused(lab, [digest], "contract", "deploy", "life", "meters", *code)  # once
    both("--approve-code", digest)
    equal(lab.cli("contract", "deploy", "life", "meters", *code)["version"], 1, "version")
    both("--approve-code", digest)
    both("--disapprove-code", digest)
    refused(lab, [digest], "contract", "upgrade", "life", "meters", *code)


@case
def digests_are_those_of_code_with_its_arguments():
    with tempfile.TemporaryDirectory(prefix="ridge-contract-digest-") as folder:
        path = os.path.join(folder, "A.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"abi": [{"type": "constructor", "inputs": [{"name": "limit", "type": "uint256"}]}], "bytecode": "0x6001"}, file)

        def digest(*args):
            done = subprocess.run([os.path.join(BIN, "ridge"), "contract", "digest", *args, "--artifact", path], capture_output=True, text=True, timeout=60, check=False)
            return done.returncode, (done.stdout + done.stderr).strip()

        code = bytes.fromhex("6001") + (7).to_bytes(32, "big")
        sm3 = subprocess.run(["openssl", "dgst", "-sm3", "-r"], input=code, capture_output=True, timeout=60, check=True).stdout.split()[0]
        equal(digest("7"), (0, "0x" + sm3.decode()), "digest")
        for args, words in ((("seven",), ["limit", "uint256", "seven"]), ((), ["constructor"]), (("7", "8"), ["constructor"])):
            status, said = digest(*args)
            check(status != 0 and all(w in said for w in words), f"digest {args}: {status} {said!r}")


@case
def who_may_is_governed_and_changes_wait_for_approvals():
    with cluster(("dev-1",)) as lab:
        create(lab, "life", ["dev-1"])
        url = lab.rpc_urls("life")["dev-1"].rstrip("/")
        key, secret = os.path.join(lab.dir, "second.key"), os.path.join(lab.dir, "second.pass")
        with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write("correct horse\n")
        other = lab.cli("key", "new", key, "--passphrase-file", secret)["address"]
        first = policy(lab)
        own = first["account"]
        equal((first["deploy"], first["approvals"], first["administrators"], first["deployers"], first["proposals"]),
              ("anybody", 1, [own], [], []), "a new chain")  # fmt: skip
        refused(lab, ["anybody, deployers, administrators or approved-code"], "contract", "policy", "set", "life", "--deploy", "me")
        refused(lab, ["nothing to set"], "contract", "policy", "set", "life")
        refused(lab, ["account", "0x12"], "contract", "deployers", "add", "life", "0x12")
        lab.cli("contract", "policy", "set", "life", "--deploy", "deployers")
        said = deploy_by(lab, url, key, "correct horse")
        check("deploy" in said, f"who is no deployer is refused: {said}")
        lab.cli("contract", "deployers", "add", "life", other)
        equal(lab.cli("contract", "deployers", "list", "life")["deployers"], [other], "deployers")
        names_and_owners(lab, deploy_by(lab, url, key, "correct horse"), other, own)
        two_of_two(lab, own, other, key, secret)
        approved_code_only(lab, url, key, secret)


if __name__ == "__main__":
    sys.exit(main())
