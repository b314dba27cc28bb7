"""What the suites about archives share."""

import contextlib
import os
import sqlite3
import subprocess

from support import labs

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


def read(lab, chain, meter):
    meter.post(50)
    labs.wait_for("receipts", 30, meter.queue_empty, 0.02)


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
