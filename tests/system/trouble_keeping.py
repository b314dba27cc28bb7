"""What is kept: readings in a full queue, secrets, and the disk's last byte."""

import base64

from support import *  # noqa: F403
from cases import Skip, case, check, equal


@case
def queue_full_refuses_and_loses_nothing():
    with cluster(agent=["--queue-bytes", "65536"]) as lab:
        meter = Meter(lab, "dev-1")
        agent = lab.agents["dev-1"]
        status = 202
        while status == 202:  # nothing takes them away yet
            batch = meter.batch(100)
            status, answer = agent.call("POST", "/v1/readings", batch)
            if status == 202:
                equal(answer, {"accepted": 100, "refused": []}, "answer")
                meter.values += [readings.micro(r["value"]) for r in batch]
                check(len(meter.values) < 100000, "the queue takes everything")
        equal((status, answer["error"]["code"]), (503, "FULL"), "answer when it is full")
        equal(agent.intake()["queued"], len(meter.values), "readings in the queue")
        check(agent.intake()["queued_bytes"] <= 65536, f"more bytes than allowed: {agent.intake()}")
        agent.kill()
        agent.start()
        equal(agent.intake()["queued"], len(meter.values), "readings in the queue after a crash")
        labs.wait_for("the agent's connection", 20, lambda: agent.call("GET", "/v1/health")[1]["connected"], 0.02)
        lab.wait_online(["dev-1"])
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter.check_on("c")
        meter.post(100)  # there is room again
        meter.check_on("c")


@case
def no_secret_in_a_log_or_on_a_command_line():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        meter.post(10)
        meter.check_on("c")
        secrets = {"administrator's token": lab.cloud.token}
        for name, agent in lab.agents.items():
            secrets[f"enrolment token of {name}"] = agent.env["RIDGE_AGENT_TOKEN"]
            secrets[f"broker password of {name}"] = labs.read_json(os.path.join(agent.dir, "enrolment.json"))["mqtt"]["password"]
        logs = {}
        for folder, _, files in os.walk(lab.dir):
            for file in files:
                path = os.path.join(folder, file)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    data = f.read()
                if b"PRIVATE KEY" in data:
                    equal(os.stat(path).st_mode & 0o077, 0, f"rights of others to {path}")
                    body = b"".join(data.split(b"-----")[2].split())
                    secrets[f"key {os.path.relpath(path, lab.dir)}"] = body.decode()
                    secrets[f"key {os.path.relpath(path, lab.dir)} in hex"] = base64.b64decode(body)[-100:-68].hex()
                elif file.endswith(".log") and file not in ("commands.log", "transactions.log") and "queue" not in path:
                    logs[os.path.relpath(path, lab.dir)] = data
        check(len(secrets) >= 9 + 2 * 12, f"only {len(secrets)} secrets were found")
        check(len(logs) >= 10, f"only {len(logs)} logs were found: {sorted(logs)}")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
                logs[f"command line of {pid}"] = file.read()
        for name, pid in lab.nodes("c"):
            with open(f"/proc/{pid}/environ", "rb") as file:
                logs[f"environment of the node of {name}"] = file.read()
        for what, secret in secrets.items():
            for where, data in logs.items():
                check(secret.encode() not in data, f"{what} stands in {where}")


@contextlib.contextmanager
def small_disk(path, kib):
    os.makedirs(path, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=755", "tmpfs", path], stderr=subprocess.PIPE, text=True,
                          check=False)  # fmt: skip
    if done.returncode != 0:
        raise Skip(f"needs a mounted tmpfs: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=False)


@case
def disk_full_under_a_node():
    """One node's disk fills up: the chain goes on without it, and with space it comes back with the same blocks."""
    if os.geteuid() != 0:
        raise Skip("needs root to mount a small disk")
    with contextlib.ExitStack() as stack, cluster() as lab:
        ask = stack.enter_context
        data = os.path.join(lab.node_dir("dev-4", "c"), "node")
        create(lab, "warm")  # so that the first chain's costs are not part of what follows
        destroy(lab, "warm")
        os.makedirs(data)
        ask(small_disk(data, 64 * 1024))
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meters = [Meter(lab, name) for name in NAMES[:3]]
        known = hashes(lab, urls(lab, "c")["dev-4"], height(lab, urls(lab, "c")["dev-4"]))
        filler = os.path.join(data, "filler")
        with contextlib.suppress(OSError), open(filler, "wb") as file:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        for _ in range(10):
            for meter in meters:
                meter.post(100)
            for meter in meters:
                labs.wait_for("receipts while a disk is full", 30, meter.queue_empty, 0.02)
        behind, ahead = (height(lab, urls(lab, "c")[name]) for name in ("dev-4", "dev-1"))
        check((behind or 0) < ahead, f"dev-4 is at height {behind} of {ahead} although its disk is full")
        os.unlink(filler)
        for meter in meters:
            meter.check_on("c")
        equal(check_same_blocks(lab, "c")[: len(known)], known, "blocks from before the disk was full")
