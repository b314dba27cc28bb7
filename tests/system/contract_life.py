"""Suite contract-life: a contract's whole life by the command line, on real nodes; what each refusal says."""

import json
import os
import shutil
import sys
import tempfile
import uuid

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from support import ROOT, cluster, create, npm_packages  # noqa: E402


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


if __name__ == "__main__":
    sys.exit(main())
