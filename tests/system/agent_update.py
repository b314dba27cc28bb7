"""An agent that is replaced over the cloud: `ridge device update` with a sound program, a broken one, and one that is not
what was ordered; crashes afterwards; `ridge-agent doctor` beside it."""

import hashlib
import http.client
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
import support  # noqa: E402
from cases import case, check, equal, main  # noqa: E402

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
BROKEN = b'#!/bin/sh\n[ "$1" = --version ] && echo broken && exit 0\nexit 9\n'


def push_blob(cloud, data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    headers = {"Authorization": f"Bearer {cloud.token}"}
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(cloud.url).netloc, timeout=60)
    connection.request("POST", f"/v2/ridge-agent/blobs/uploads/?digest={digest}", data, headers)
    got = connection.getresponse()
    got.read()
    check(got.status == 201, f"a push was answered {got.status}")
    connection.close()
    return {"digest": digest, "size": len(data)}


def push_agent(cloud, program, tag):
    """An image with this program as /usr/bin/ridge-agent; its reference and the program's digest."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("usr/bin/ridge-agent")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", **push_blob(cloud, tar.getvalue())}
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", **push_blob(cloud, json.dumps({"os": "linux", "architecture": ARCHITECTURE}).encode())}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}).encode()
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(cloud.url).netloc, timeout=60)
    connection.request("PUT", f"/v2/ridge-agent/manifests/{tag}", manifest,
                       {"Authorization": f"Bearer {cloud.token}", "Content-Type": MANIFEST})  # fmt: skip
    check(connection.getresponse().status == 201, "the manifest was refused")
    connection.close()
    return f"cloud.ridge/ridge-agent:{tag}", hashlib.sha256(program).hexdigest()


def another_agent(lab):
    """The same program with other bytes: without its symbols."""
    path = os.path.join(lab.dir, "stripped")
    subprocess.run(["strip", "-o", path, lab.binary("ridge-agent")], check=True)
    with open(path, "rb") as file:
        return file.read()


def update(lab, image, sha256):
    return lab.cli("device", "update", "dev-1", image, "--sha256", sha256, "--follow", check=False)


def trusted_signer(lab, agent):
    """A key that the device has been told to trust; what signs images with it."""
    key = os.path.join(lab.dir, "factory.key")
    lab.cli("key", "new", key, "--plain")
    lab.cli("image", "trust", "factory", key, "--repositories", "ridge-agent")

    def told():
        with open(os.path.join(agent.dir, "image-trust.json"), encoding="utf-8") as file:
            return "factory" in file.read()

    labs.wait_for("the list of signers on the device", 30, told, 0.02)
    return lambda image: lab.cli("image", "sign", image, "--key", key)


def running(agent):
    return os.readlink(f"/proc/{agent.pid}/exe")


@case
def an_agent_is_replaced_and_a_broken_one_gives_way():
    with support.cluster(names=("dev-1",), agent=("--update-trial", "20s")) as lab:
        agent = lab.agents["dev-1"]
        pid = agent.pid
        image, digest = push_agent(lab.cloud, another_agent(lab), "1")
        status, why = update(lab, image, digest)
        check(status != 0 and "is not signed" in why, f"an unsigned agent: {status} {why}")
        sign = trusted_signer(lab, agent)
        sign("ridge-agent:1")
        status, why = update(lab, image, "0" * 64)
        check(status != 0 and digest in why, f"a program that was not ordered: {status} {why}")
        status, why = update(lab, image, digest)
        equal((status, why if status else ""), (0, ""), "the update")
        equal(agent.pid, pid, "the process that services are managed by")
        check(running(agent).endswith(f"/update/{digest}/ridge-agent"), running(agent))

        broken, other = push_agent(lab.cloud, BROKEN, "2")
        sign("ridge-agent:2")
        status, why = update(lab, broken, other)
        check(status != 0 and "exit status 9" in why, f"a broken agent: {status} {why}")
        lab.wait_online(["dev-1"])
        check(agent.alive() and running(agent).endswith(f"/update/{digest}/ridge-agent"), running(agent))

        agent.kill()
        agent.start()
        lab.wait_online(["dev-1"])
        check(running(agent).endswith(f"/update/{digest}/ridge-agent"), "after a crash " + running(agent))
        done = subprocess.run([lab.binary("ridge-agent"), "doctor", "--dir", agent.dir, "--json", "--driver", "process",
                               "--node-program", lab.binary("ridge-node")], capture_output=True, check=False)  # fmt: skip
        found = {c["check"]: c["state"] for c in json.loads(done.stdout)["checks"]}
        for check_name in ("agent", "identity", "certificate", "clock", "link", "image signers"):
            equal(found[check_name], "ok", f"doctor, {check_name}: {done.stdout}")


if __name__ == "__main__":
    sys.exit(main())
