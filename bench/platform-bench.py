#!/usr/bin/env python3
"""The platform: a command's round trip with a thousand devices connected; memory of the agent idle, pulling and with ten
workloads, the time from its start until all workloads run, and the bytes that an idle device costs its link in a day;
what the cloud takes of telemetry on one core (bench/telemetry.c); and what many enrolments cost the broker.

Usage: bench/run platform [--quick] [--json] [--part commands|device|telemetry|enrolment]. Cloud and devices on this machine. The thousand are
ridge-fleet: the agent's own link, journal and executor, without workloads; a round trip is from the REST request until the
waiting request for its result is answered. The device's workloads are chains of one validator each (driver process). The
link's bytes are counted by a relay on its way: TLCP, both directions. Pulling needs root and runc or crun. Enrolling devices
come 300 at a time, each crowd when the one before is online; then three one by one. Each part ends within some four minutes."""

import argparse
import hashlib
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
sys.path.insert(0, os.path.join(ROOT, "bench"))

import lab as labs  # noqa: E402
import registry  # noqa: E402


class Relay:
    """Passes connections on to where the cloud listens, and counts bytes of both directions."""

    def __init__(self, target):
        parts = urllib.parse.urlsplit(target)
        self.target = (parts.hostname, parts.port)
        self.bytes = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tlcp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
                far = socket.create_connection(self.target)
            except OSError:
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                self.bytes += len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def close(self):
        self.listener.close()


def memory_mb(pid, field="VmRSS"):
    return registry.memory_mb(pid, field)


def idle(agent, relay, seconds):
    """After the excitement of enrolment, and over some reports."""
    time.sleep(15)
    before, start = relay.bytes, time.monotonic()
    time.sleep(seconds)
    rate = (relay.bytes - before) / (time.monotonic() - start)
    return {"rss_mb": memory_mb(agent.pid), "bytes_a_day": round(rate * 86400), "measured_s": seconds}


def push_image(lab, mib):
    """An image of one layer with one file that does not compress."""
    server = registry.Server("ridge-cloud", lab.cloud.url, lab.cloud.pid, {"Authorization": f"Bearer {lab.cloud.token}"})
    connection = server.connect()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = mib << 20
        archive.addfile(entry, io.BytesIO(os.urandom(mib << 20)))
    layer = server.push_blob(connection, "bench", tar.getvalue())
    about = {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine), "os": "linux",
             "config": {"Entrypoint": ["/file"]}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}  # fmt: skip
    config = server.push_blob(connection, "bench", json.dumps(about).encode())
    config["mediaType"] = "application/vnd.oci.image.config.v1+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": registry.IMAGE, "config": config, "layers": [layer]}).encode()
    server.ask(connection, "PUT", "/v2/bench/manifests/1", manifest, {"Content-Type": registry.IMAGE})
    connection.close()
    return "cloud.ridge/bench@sha256:" + hashlib.sha256(manifest).hexdigest()


def pulling(lab, device, mib):
    agent = lab.agents[device]
    if os.geteuid() != 0:
        return "needs root"
    image = push_image(lab, mib)
    # Whose it is, is not what is measured; the device is told in its own time.
    lab.cli("image", "unsigned", "cloud.ridge/*")
    with open(f"/proc/{agent.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # the peak begins anew
    for _ in range(20):
        start = time.monotonic()
        status, why = lab.cli("command", "send", device, "chain.prepare", "--follow", "--params",
                              json.dumps({"chain": "pulled", "driver": "oci", "image": image}), check=False)  # fmt: skip
        if status == 0 or "is not signed" not in why:
            break
        time.sleep(0.5)
    if status != 0:
        return f"refused: {why.strip()}"
    return {"mib": mib, "seconds": round(time.monotonic() - start, 2), "peak_rss_mb": memory_mb(agent.pid, "VmHWM")}


def workloads(lab, device, count):
    for i in range(count):
        lab.cli("chain", "create", f"w{i}", "--devices", device, "--allow-no-fault-tolerance")
    time.sleep(15)
    return memory_mb(lab.agents[device].pid)


def cold_start(lab, device, rounds):
    """As after a power cut with the cloud away: agent and nodes gone, then the agent alone."""
    agent = lab.agents[device]
    lab.cloud.stop()
    took = []
    for _ in range(rounds):
        agent.kill()
        for _, pid in lab.nodes():
            os.kill(pid, 9)
        labs.wait_for("the end of all nodes", 20, lambda: not lab.nodes())
        size = os.path.getsize(agent.log)
        start = time.monotonic()
        agent.start()

        def up():
            with open(agent.log, encoding="utf-8", errors="replace") as file:
                file.seek(size)
                return re.search(r'"event":"workloads.up".*?"running":(\d+),"failed":(\d+),"after_ms":(\d+)', file.read())

        found = labs.wait_for("workloads.up in the agent's log", 60, up)
        took.append({"running": int(found[1]), "failed": int(found[2]), "after_ms": int(found[3]),
                     "seen_ms": round((time.monotonic() - start) * 1000)})  # fmt: skip
    return took


def round_trip(lab, device, number):
    start = time.perf_counter()
    lab.cloud.must("POST", f"/devices/{device}/commands",
                   {"id": f"b{number}", "type": "chain.remove", "params": {"chain": "x", "discard": True}})  # fmt: skip
    state = "queued"
    while state in ("queued", "sent", "running"):
        state = lab.cloud.must("GET", f"/commands/b{number}?wait_ms=10000")["state"]
    if state != "done":
        raise labs.LabError(f"command b{number} of {device} is {state}")
    return (time.perf_counter() - start) * 1000


def ask(lab, names, numbers, took):
    for number in numbers:
        took.append(round_trip(lab, random.choice(names), number))


def quantiles(took):
    took = sorted(took)
    return {f"p{q}_ms": round(took[min(len(took) - 1, len(took) * q // 100)], 1) for q in (50, 99)}


def commands(devices, each):
    """One operator's commands one after the other, then eight operators' at once."""
    lab = labs.Lab()
    sim = None
    try:
        cloud = lab.start_cloud()
        token = cloud.must("POST", "/device-tokens", {"uses": devices})["tokens"][0]["token"]
        place = os.path.join(lab.dir, "fleet")
        os.makedirs(place)
        start = time.monotonic()
        sim = labs.Program([lab.binary("ridge-fleet"), place, cloud.link_url, "dev-", str(devices), "5000"],
                           os.path.join(lab.dir, "fleet.log"), {"RIDGE_AGENT_TOKEN": token})  # fmt: skip
        sim.start()
        names = [f"dev-{i}" for i in range(devices)]
        lab.wait_online(names, 150)
        figures = {"devices": devices, "all_online_s": round(time.monotonic() - start, 1)}
        time.sleep(5)
        took = []
        ask(lab, names, range(each), took)
        figures["one_after_the_other"] = {"commands": each, **quantiles(took)}
        took, threads = [], []
        begin = time.monotonic()
        for t in range(8):
            numbers = range(each * (t + 1), each * (t + 2))
            threads.append(threading.Thread(target=ask, args=(lab, names, numbers, took)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        figures["eight_at_once"] = {"commands": len(took), "a_second": round(len(took) / (time.monotonic() - begin)), **quantiles(took)}
        figures["cloud_rss_mb"] = memory_mb(cloud.pid)
        return figures
    finally:
        if sim:
            sim.stop()
        lab.stop()


def seconds_of(pid):
    """Processor time."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def broker_of(cloud):
    found = subprocess.run(["pgrep", "-P", str(cloud.pid), "-x", "mosquitto"], check=True, stdout=subprocess.PIPE, text=True)
    return int(found.stdout)


def online(lab, name):
    return lab.cloud.call("GET", f"/devices/{name}")[1].get("state") == "online"


def crowd(lab, prefix, count, token):
    """Starts devices and returns when all are online, with the seconds that took."""
    place = os.path.join(lab.dir, f"fleet-{prefix}")
    os.makedirs(place)
    start = time.monotonic()
    fleet = labs.Program([lab.binary("ridge-fleet"), place, lab.cloud.link_url, f"{prefix}-", str(count), "5000"],
                         place + ".log", {"RIDGE_AGENT_TOKEN": token})  # fmt: skip
    fleet.start()
    for i in range(count):
        labs.wait_for(f"{prefix}-{i}", 150, lambda i=i: online(lab, f"{prefix}-{i}"), 0.02)
    return fleet, time.monotonic() - start


def enrolment(devices, at_once):
    lab = labs.Lab()
    fleets, steps, singles = [], [], []
    try:
        cloud = lab.start_cloud()
        token = cloud.must("POST", "/device-tokens", {"uses": devices + 3})["tokens"][0]["token"]
        broker = broker_of(cloud)
        begin, start = (seconds_of(cloud.pid), seconds_of(broker)), time.monotonic()
        for i in range(devices // at_once):
            fleets.append(crowd(lab, f"crowd{i}", at_once, token)[0])
            steps.append({"online": (i + 1) * at_once, "after_s": round(time.monotonic() - start, 1), "cloud_cpu_s": round(seconds_of(cloud.pid) - begin[0], 1),
                          "broker_cpu_s": round(seconds_of(broker) - begin[1], 1)})  # fmt: skip
        for i in range(3):
            time.sleep(2)
            before = seconds_of(broker)
            fleet, took = crowd(lab, f"single{i}", 1, token)
            fleets.append(fleet)
            singles.append({"online_after_ms": round(took * 1000), "broker_cpu_ms": round((seconds_of(broker) - before) * 1000)})
        return {"at_once": at_once, "crowds": steps, "one_more": singles}
    finally:
        for fleet in fleets:
            fleet.stop()
        lab.stop()


def device(quick):
    count, seconds, mib, rounds = (3, 20, 32, 1) if quick else (10, 60, 256, 3)
    lab = labs.Lab()
    figures = {"workloads": count}
    relay = None
    try:
        cloud = lab.start_cloud()
        relay = Relay(cloud.link_url)
        cloud.link_url = relay.url
        # What a device has by default; the lab's agents report every second.
        lab.enrol(["bench-1"], "auto", ["--telemetry-interval", "5s"])
        figures["idle"] = idle(lab.agents["bench-1"], relay, seconds)
        figures["pulling"] = pulling(lab, "bench-1", mib)
        figures["rss_mb_with_workloads"] = workloads(lab, "bench-1", count)
        figures["cold_start"] = cold_start(lab, "bench-1", rounds)
        return figures
    finally:
        lab.stop()
        if relay:
            relay.close()


def telemetry():
    program = os.path.join(os.environ.get("RIDGE_BIN", os.path.join(ROOT, "build", "release", "bin")), "bench_telemetry")
    done = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter, 3 workloads, 32 MiB, 100 devices")
    parser.add_argument("--part", choices=("commands", "device", "telemetry", "enrolment"))
    options = parser.parse_args()
    if "RIDGE_BIN" not in os.environ:
        subprocess.run([os.path.join(ROOT, "tools", "build"), "release"], check=True)
    figures = {}
    if options.part in (None, "commands"):
        figures["commands"] = commands(100 if options.quick else 1000, 50 if options.quick else 300)
    if options.part in (None, "device"):
        figures["device"] = device(options.quick)
    if options.part in (None, "telemetry"):
        figures["telemetry"] = telemetry()
    if options.part in (None, "enrolment"):
        figures["enrolment"] = enrolment(*((100, 50) if options.quick else (2400, 300)))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
