"""The main job of ./run: from enrolment to readings in sealed blocks, then either stay up or take all down again."""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import time

import lab as labs
import readings

CHAIN = "demo"
CONTRACT = "metering"
BATCH = 500


def arguments():
    parser = argparse.ArgumentParser(prog="./run", description="Shows Ridge's first chain on this machine.")
    parser.add_argument("--once", action="store_true", help="destroy the chain at the end and stop everything")
    parser.add_argument("--devices", type=int, default=4, metavar="N", help="edge devices (default 4)")
    parser.add_argument("--consensus", choices=("pbft", "raft"), default="pbft", help="who agrees how (default pbft)")
    parser.add_argument("--driver", choices=("auto", "oci", "docker", "process"), default="auto", help="how nodes run (default auto)")
    parser.add_argument("--docker-socket", metavar="PATH", help="socket of Docker or Podman, for driver docker (default: Docker's own)")
    parser.add_argument("--readings", metavar="FILE.csv", help="meter readings; default: this machine's /proc")
    parser.add_argument("--rows", type=int, default=100, help="rows of the file for each device (default 100)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--image", metavar="DIR", default=os.path.join(labs.ROOT, "build", "image"),
                        help="OCI image layout of the node, for drivers oci and docker (default build/image)")  # fmt: skip
    parser.add_argument("--intake", choices=("http", "mqtt"), default="http", help="how devices get their readings")
    parser.add_argument("--keep", action="store_true", help="keep the files after --once")
    return parser.parse_args()


class Show:
    """What a person sees: one line a step, on standard error when JSON is wanted."""

    def __init__(self, quiet):
        self.out = sys.stderr if quiet else sys.stdout
        self.start = time.monotonic()

    def __call__(self, text):
        print(f"[{time.monotonic() - self.start:7.2f} s] {text}", file=self.out, flush=True)


def choose_driver(wanted):
    if wanted != "auto":
        return wanted
    runtime = shutil.which("runc") or shutil.which("crun")
    return "oci" if os.geteuid() == 0 and runtime else "process"


def feed(lab, names, options, show):
    """Gives every device its readings; returns what went in: {(device, meter): [values]}."""
    given = {name: {} for name in names}
    count = 0

    def send(name, batch):
        nonlocal count
        for at in range(0, len(batch), BATCH):
            part = batch[at : at + BATCH]
            values = [readings.as_json(*r) for r in part]
            if options.intake == "mqtt":
                lab.agents[name].publish("ridge/readings", values)
            else:
                status, answer = lab.agents[name].call("POST", "/v1/readings", values)
                if status != 202 or answer.get("refused"):
                    raise labs.LabError(f"{name} refused readings: HTTP {status}: {answer}")
            for meter, _, value in part:
                given[name].setdefault(meter, []).append(value)
            count += len(part)

    if options.readings:
        for k, name in enumerate(names):
            send(name, readings.from_csv(options.readings, k, options.rows))
    else:
        last = 0
        for _ in range(5):
            labs.wait_for("the next second", 3, lambda: int(time.time()) > last, 0.02)
            last = int(time.time())
            for name in names:
                send(name, readings.from_proc(last))
    show(f"{count} readings are durable on the devices")
    return given, count


def wait_confirmed(lab, names, given):
    expected = {name: sum(len(v) for v in given[name].values()) for name in names}

    def done():
        for name in names:
            state = lab.agents[name].intake()
            if state["refused"]:
                raise labs.LabError(f"{name}: the contract refused {state['refused']} readings: see {lab.agents[name].log}")
            if state["confirmed"] < expected[name]:
                return False
        return True

    labs.wait_for("receipts for all readings", 300, done, 0.05)


def check_totals(lab, given):
    """Totals of every meter by eth_call through the cloud, against what went in: (matches, readings on the chain)."""
    on_chain, matches = 0, True
    for name, meters in given.items():
        for meter, values in meters.items():
            answer = lab.cloud.must(
                "POST", f"/chains/{CHAIN}/contracts/{CONTRACT}/call",
                {"method": "totals", "args": [readings.meter_id(name, meter)]},
            )["result"]  # fmt: skip
            totals = answer if isinstance(answer, dict) else dict(zip(("count", "sum", "min", "max", "lastTime"), answer))
            low = totals.get("min", totals.get("minimum"))
            high = totals.get("max", totals.get("maximum"))
            on_chain += int(totals["count"])
            same = (int(totals["count"]), int(totals["sum"]), int(low), int(high)) == (
                len(values), sum(values), min(values), max(values),
            )  # fmt: skip
            if not same:
                print(f"totals differ: {name}/{meter}: chain {totals}, input {len(values)} {sum(values)}", file=sys.stderr)
            matches = matches and same
    return matches, on_chain


def measure_chain(lab):
    url = next(iter(lab.rpc_urls(CHAIN).values()))
    status = lab.rpc(url, "ridge_status")
    first = last = None
    transactions = 0
    for height in range(2, status["height"] + 1):
        block = lab.rpc(url, "eth_getBlockByNumber", [hex(height), False])
        if not block["transactions"]:
            continue
        at = int(block["timestampMs"], 16)
        first, last = first or at, at
        transactions += len(block["transactions"])
    seconds = (last - first) / 1000 if first and last > first else 0
    return status, transactions / seconds if seconds else float(transactions)


def intake_latency(lab, names):
    states = [lab.agents[name].intake().get("latency_ms", {}) for name in names]
    p50 = [s["p50"] for s in states if s.get("p50")]
    p99 = [s["p99"] for s in states if s.get("p99")]
    return (statistics.median(p50) if p50 else 0, max(p99) if p99 else 0)


def play(lab, options, show):
    driver = choose_driver(options.driver)
    names = [f"dev-{i + 1}" for i in range(options.devices)]
    lab.start_cloud(["--image", options.image] if driver in ("oci", "docker") else [])
    show(f"cloud is up at {lab.cloud.url}, data in {lab.cloud.dir}")
    extra = ["--intake-broker", "spawn"] if options.intake == "mqtt" else []
    if options.docker_socket:
        extra += ["--docker-socket", options.docker_socket]
    lab.enrol(names, driver, extra)
    show(f"{len(names)} devices are enrolled and online: {', '.join(names)}")

    begin = time.monotonic()
    command = ["chain", "create", CHAIN, "--devices", ",".join(names), "--driver", driver, "--consensus", options.consensus]
    if options.devices < (3 if options.consensus == "raft" else 4):
        command.append("--allow-no-fault-tolerance")
    chain = lab.cli(*command, progress=True)
    create_ms = round((time.monotonic() - begin) * 1000)
    show(f"chain {CHAIN} runs on {len(names)} devices (driver {driver}): first block sealed after {create_ms} ms")

    artifact = os.path.join(labs.ROOT, "contracts", "artifacts", "Metering.json")
    deployed = lab.cli("contract", "deploy", CHAIN, CONTRACT, "--artifact", artifact)
    show(f"contract {CONTRACT} is deployed at {deployed['address']} in block {deployed['height']}")
    lab.cli("intake", "bind", CHAIN, CONTRACT)
    given, count = feed(lab, names, options, show)
    wait_confirmed(lab, names, given)
    show("every reading has the receipt of its transaction")
    matches, on_chain = check_totals(lab, given)
    show(f"totals on the chain {'equal' if matches else 'DIFFER FROM'} the totals of the input ({on_chain} readings)")
    status, tps = measure_chain(lab)
    p50, p99 = intake_latency(lab, names)
    nodes = lab.node_pids(CHAIN)
    return {
        "devices": len(names),
        "consensus": status["consensus"]["protocol"],
        "driver": driver,
        "chain_create_ms": create_ms,
        "first_block_ms": chain.get("first_block_ms"),
        "blocks": status["height"],
        "height_hash": status["hash"],
        "readings_in": count,
        "readings_on_chain": on_chain,
        "totals_match": matches,
        "tx_p50_ms": p50,
        "tx_p99_ms": p99,
        "tps": round(tps, 1),
        "node_rss_kib": max((labs.resident_kib(p) for p in nodes.values()), default=0),
        "agent_rss_kib": max(labs.resident_kib(a.pid) for a in lab.agents.values()),
        "chain_destroy_ms": None,
    }


def destroy(lab, show, result):
    begin = time.monotonic()
    lab.cli("chain", "destroy", CHAIN, progress=True)
    result["chain_destroy_ms"] = round((time.monotonic() - begin) * 1000)
    show(f"chain {CHAIN} is archived, anchored and destroyed in {result['chain_destroy_ms']} ms")
    if lab.node_pids():
        raise labs.LabError(f"nodes are still there: {lab.node_pids()}")
    kept = [a for a in lab.cloud.must("GET", "/archives")["archives"] if a["state"] == "archived"]
    if max((a["to"] for a in kept), default=0) < result["blocks"]:
        raise labs.LabError(f"the archives do not reach to block {result['blocks']}: {kept}")


def stay(lab, show, result):
    try:
        print(json.dumps(result, indent=2), file=show.out)
        show(f"Everything stays up. Try:  export RIDGE_HOME={lab.cloud.dir} PATH={lab.bin}:$PATH")
        show(f"  ridge chain status {CHAIN};  ridge block list {CHAIN};  ridge device list")
        show(f"  logs: {lab.dir}/*.log    API: {lab.cloud.url}/api/v1    end: Ctrl-C")
        while True:
            signal.pause()
    except KeyboardInterrupt:
        show("stopping")


def main():
    options = arguments()
    show = Show(options.json)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lab = labs.Lab(keep=options.keep)
    failed = True
    try:
        result = play(lab, options, show)
        if not options.once:
            stay(lab, show, result)
        if options.once:
            destroy(lab, show, result)
        failed = not result["totals_match"]
    except labs.LabError as error:
        lab.keep = True
        print(f"run: {error}\nrun: the logs are kept in {lab.dir}", file=sys.stderr)
    except KeyboardInterrupt:
        print("run: interrupted; stopping", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # asked twice, it still clears up
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            lab.stop()
        except labs.LabError as error:
            print(f"run: {error}", file=sys.stderr)
            failed = True
    if not failed:
        show("all processes have ended; nothing is left behind")
        if options.json:
            print(json.dumps(result))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
