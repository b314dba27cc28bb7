#!/usr/bin/env python3
"""The cloud's registry beside Debian's docker-registry, in the same run: one large blob pushed and pulled by many
clients at once, an image of many small layers, and the memory of both.

Usage: bench/run registry [--quick] [--json]. Without docker-registry (apt install docker-registry) there is no
baseline, and the figures say so. Clients are curl processes on the same machine, the same for both."""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))

import lab as labs  # noqa: E402

IMAGE = "application/vnd.oci.image.manifest.v1+json"


def memory_mb(pid, field):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return round(next(int(line.split()[1]) for line in file if line.startswith(field + ":")) / 1024, 1)


class Server:
    """Where a registry is, and as whom one speaks to it."""

    def __init__(self, name, url, pid, headers):
        self.name, self.url, self.pid, self.headers = name, url, pid, headers
        self.figures = {"memory_idle_mb": memory_mb(pid, "VmRSS")}

    def connect(self):
        return http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=600)

    def ask(self, connection, method, path, body=None, headers=None, want=(200, 201, 202)):
        connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
        got = connection.getresponse()
        data = got.read()
        if got.status not in want:
            raise labs.LabError(f"{self.name}: {method} {path}: {got.status} {data[:200]!r}")
        return got.headers, data

    def start(self, connection, repo):
        location = self.ask(connection, "POST", f"/v2/{repo}/blobs/uploads/", headers={"Content-Length": "0"})[0]["Location"]
        parts = urllib.parse.urlsplit(location)
        return parts.path + ("?" + parts.query if parts.query else "")

    def finish(self, connection, location, digest, body=None):
        path = location + ("&" if "?" in location else "?") + "digest=" + digest
        self.ask(connection, "PUT", path, body, {} if body is not None else {"Content-Length": "0"})

    def push_file(self, repo, path, digest):
        """As skopeo does it: POST, one PATCH of the whole, PUT."""
        connection = self.connect()
        location = self.start(connection, repo)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            headers, _ = self.ask(connection, "PATCH", location, file,
                                  {"Content-Length": str(size), "Content-Type": "application/octet-stream"})  # fmt: skip
        parts = urllib.parse.urlsplit(headers["Location"])
        self.finish(connection, parts.path + ("?" + parts.query if parts.query else ""), digest)
        connection.close()

    def push_blob(self, connection, repo, data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        self.finish(connection, self.start(connection, repo), digest, data)
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(data)}

    def curl(self, path, target=os.devnull):
        flags = [flag for name, value in self.headers.items() for flag in ("-H", f"{name}: {value}")]
        return subprocess.Popen(["curl", "-sf", "-o", target, "-w", "%{size_download}", *flags, self.url + path],
                                stdout=subprocess.PIPE, text=True)  # fmt: skip


def big_blob(server, path, digest, size, clients):
    begin = time.monotonic()
    server.push_file("bench/big", path, digest)
    server.figures["push_mb_s"] = round(size / (time.monotonic() - begin) / 1e6, 1)
    with tempfile.NamedTemporaryFile() as copy:
        server.curl(f"/v2/bench/big/blobs/{digest}", copy.name).wait()
        if file_digest(copy.name) != digest:
            raise labs.LabError(f"{server.name}: the blob came back with other bytes")
    begin = time.monotonic()
    pulls = [server.curl(f"/v2/bench/big/blobs/{digest}") for _ in range(clients)]
    for pull in pulls:
        got = pull.communicate()[0]
        if pull.returncode != 0 or int(got) != size:
            raise labs.LabError(f"{server.name}: a pull ended with {pull.returncode} after {got} bytes")
    seconds = time.monotonic() - begin
    server.figures["pull_s"] = round(seconds, 2)
    server.figures["pull_mb_s"] = round(clients * size / seconds / 1e6, 1)


def small_layers(server, count):
    connection = server.connect()
    begin = time.monotonic()
    layers = [server.push_blob(connection, "bench/small", os.urandom(4096)) for _ in range(count)]
    config = server.push_blob(connection, "bench/small", b"{}")
    manifest = {"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers}
    server.ask(connection, "PUT", "/v2/bench/small/manifests/1", json.dumps(manifest), {"Content-Type": IMAGE})
    server.figures["layers_pushed_per_s"] = round(count / (time.monotonic() - begin), 1)
    begin = time.monotonic()
    server.ask(connection, "GET", "/v2/bench/small/manifests/1", headers={"Accept": IMAGE})
    for layer in layers:
        data = server.ask(connection, "GET", f"/v2/bench/small/blobs/{layer['digest']}")[1]
        if "sha256:" + hashlib.sha256(data).hexdigest() != layer["digest"]:
            raise labs.LabError(f"{server.name}: a layer came back with other bytes")
    server.figures["layers_pulled_per_s"] = round(count / (time.monotonic() - begin), 1)
    connection.close()


def file_digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def make_blob(directory, size):
    path = os.path.join(directory, "blob")
    with open(path, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    return path, file_digest(path)


@contextlib.contextmanager
def docker_registry(directory):
    """Debian's registry with its usual storage, or None."""
    program = shutil.which("docker-registry")
    if not program:
        yield None
        return
    config, log = os.path.join(directory, "config.yml"), os.path.join(directory, "docker-registry.log")
    with open(config, "w", encoding="ascii") as file:
        file.write("version: 0.1\nlog: {level: info}\nhttp: {addr: '127.0.0.1:0'}\n"
                   f"storage: {{filesystem: {{rootdirectory: {directory}/store}}, delete: {{enabled: true}}}}\n")  # fmt: skip
    with open(log, "wb") as out:
        process = subprocess.Popen([program, "serve", config], stdout=out, stderr=out)
    try:

        def port():
            with open(log, encoding="utf-8", errors="replace") as file:
                found = re.search(r"listening on 127\.0\.0\.1:(\d+)", file.read())
            return found and found.group(1)

        yield Server("docker-registry", f"http://127.0.0.1:{labs.wait_for('docker-registry', 20, port)}", process.pid, {})
    finally:
        process.terminate()
        process.wait()


def measure(server, options, blob, digest):
    big_blob(server, blob, digest, options.mib << 20, options.clients)
    small_layers(server, options.layers)
    server.figures["memory_peak_mb"] = memory_mb(server.pid, "VmHWM")
    print(f"{server.name:16} " + ", ".join(f"{k} {v}" for k, v in server.figures.items()), flush=True)
    return server.figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 MiB, 10 clients, 100 layers")
    options = parser.parse_args()
    options.mib, options.clients, options.layers = (64, 10, 100) if options.quick else (1024, 50, 500)
    if "RIDGE_BIN" not in os.environ:
        subprocess.run([os.path.join(ROOT, "tools", "build"), "release", "app_cloud"], check=True)
    lab = labs.Lab()
    figures = {"mib": options.mib, "clients": options.clients, "layers": options.layers}
    try:
        blob, digest = make_blob(lab.dir, options.mib << 20)
        cloud = lab.start_cloud()
        ridge = Server("ridge-cloud", cloud.url, cloud.pid, {"Authorization": f"Bearer {cloud.token}"})
        figures["ridge"] = measure(ridge, options, blob, digest)
        cloud.stop()
        with docker_registry(lab.dir) as other:
            figures["docker_registry"] = measure(other, options, blob, digest) if other else "not installed"
    finally:
        lab.stop()
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
