"""What can be read on the wire: every packet of a working system is captured, and searched for what must be secret.

All devices of a lab are on one machine, so what would cross a network crosses the loopback interface. Left out are
the ports that a device or an operator speaks to on their own machine: a device's local interface, its node's RPC, the
cloud's REST. The same search on those must find what it looks for: a capture that sees nothing proves nothing.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
import threading

import support
from cases import Skip, case, check, main
from support import labs

ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
METER = "wire-proof-meter"


def own_network():
    """A network namespace with nothing but loopback: what others do on this machine is not in the capture."""
    clone_newnet, siocsifflags, iff_up = 0x40000000, 0x8914, 1
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) != 0:
        raise Skip("a network namespace of its own needs root")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, siocsifflags, struct.pack("16sh14x", b"lo", iff_up))


class Capture:
    """TCP payloads on loopback, joined for each pair of ports in the order of their arrival."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)  # beyond what the system gives to everybody
        self.socket.bind(("lo", 0))
        self.socket.settimeout(0.2)
        self.streams = {}
        self.running = True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while True:
            last = not self.running
            if last:
                self.socket.settimeout(0)  # what was sent before stop() is there
            try:
                frame, address = self.socket.recvfrom(1 << 17)
            except (BlockingIOError, TimeoutError):
                if last:
                    return
                continue
            if address[2] != socket.PACKET_OUTGOING:  # loopback shows each packet twice
                self.take(frame[14:])

    def take(self, packet):
        if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
            return
        header = (packet[0] & 15) * 4
        source, target = struct.unpack("!HH", packet[header : header + 4])
        payload = packet[header + (packet[header + 12] >> 4) * 4 : struct.unpack("!H", packet[2:4])[0] or len(packet)]
        if payload:
            self.streams.setdefault((source, target), bytearray()).extend(payload)

    def stop(self):
        self.running = False
        self.thread.join()
        self.socket.close()

    def on(self, ports):
        return {pair: data for pair, data in self.streams.items() if ports & set(pair)}

    def off(self, ports):
        return {pair: data for pair, data in self.streams.items() if not ports & set(pair)}


def port_of(url):
    return int(url.rsplit(":", 1)[1].rstrip("/"))


def local_ports(lab):
    """Of interfaces that are spoken to on one machine."""
    ports = {port_of(lab.cloud.url)}
    # The main chain's node is a child process of the cloud, on loopback.
    ports |= {port_of(node["url"]) for node in lab.cloud.must("GET", "/mainchain")["nodes"] if node["url"]}
    for agent in lab.agents.values():
        ports.add(port_of(agent.url))
    return ports | {port_of(url) for url in support.urls(lab, "wire").values()}


def found(streams, needles):
    """What was found: name to the port pairs that it was seen on."""
    hits = {}
    for pair, data in streams.items():
        for name, needle in needles.items():
            if needle in data:
                hits.setdefault(name, []).append(pair)
    return hits


def work(lab):
    """Everything that makes traffic: creation by commands, readings, blocks, telemetry, an archive."""
    support.create(lab, "wire")
    support.deploy(lab, "wire", bind=True)
    meter = support.Meter(lab, "dev-1", METER)
    for _ in range(5):
        meter.post(20)
    meter.check_on("wire")
    lab.cloud.must("POST", "/devices/dev-1/requests", {"method": "agent.info", "params": {}, "timeout_ms": 5000})
    archive = lab.cloud.must("POST", "/chains/wire/archives", {})["number"]
    labs.wait_for("the archive", 60, lambda: lab.cloud.must("GET", f"/archives/{archive}")["state"] == "archived", 0.05)


def stored_archive(lab):
    (file,) = lab.cloud.must("GET", "/files?kind=archive")["files"]
    with open(os.path.join(lab.cloud.dir, "collect", "objects", file["sm3"][:2], file["sm3"]), "rb") as stored:
        return stored.read()


def needles(lab):
    archive = stored_archive(lab)
    with open(support.ARTIFACT, encoding="utf-8") as file:
        bytecode = json.load(file)["bytecode"].removeprefix("0x")
    with open(os.path.join(lab.dir, "devices", "dev-1", "enrolment.json"), encoding="utf-8") as file:
        password = json.load(file)["mqtt"]["password"]
    return {
        "a reading's meter": METER.encode(),
        "contract code": bytes.fromhex(bytecode)[:64],
        "contract code in hex": bytecode[:64].encode(),
        "a command": b"chain.prepare",
        "an MQTT topic": b"devices/dev-1/",
        "a broker password": password.encode(),
        "telemetry": b"/telemetry",
        "a peer's hello (genesis)": bytes.fromhex(genesis(lab)),
        "an archive's head": archive[:64],
        "an archive's middle": archive[len(archive) // 2 :][:64],
    }


def genesis(lab):
    return lab.rpc(support.urls(lab, "wire")["dev-1"], "ridge_status")["genesis"].removeprefix("0x")


@case
def nothing_of_readings_commands_blocks_or_archives_can_be_read_on_the_wire():
    own_network()
    capture = Capture()
    try:
        with support.cluster() as lab:
            work(lab)
            secrets, local = needles(lab), local_ports(lab)
            # The tokens are gone with enrolment; that they went inside TLCP is proven by their port.
            gateway = port_of(labs.read_json(os.path.join(lab.cloud.dir, "cloud.json"))["link_url"])
            capture.stop()
            carried = sum(len(data) for data in capture.on({gateway}).values())
            check(carried > 20000, f"only {carried} bytes were captured on the devices' links")
            between = {pair: data for pair, data in capture.off(local | {gateway}).items() if len(data) > 5000}
            check(between, "no link between nodes was captured")
            control = found(capture.on(local), secrets)
            check("a reading's meter" in control and "contract code in hex" in control,
                  f"the search finds nothing even where it must: {control}")  # fmt: skip
            seen = found(capture.off(local), secrets)
            check(not seen, f"can be read on the wire: {seen}; links are to {gateway}, local are {sorted(local)}")
    finally:
        if capture.running:
            capture.stop()


if __name__ == "__main__":
    sys.exit(main())
