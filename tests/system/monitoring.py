"""Monitoring on a whole system: telemetry through kills and an absent cloud, ranges, alarms; see tests/suites.d/monitoring."""

import contextlib
import os
import sqlite3
import sys
import time

from cases import case, check, equal, main
from support import cluster, labs

QUICK = ("--telemetry-interval", "200ms")


def records(lab, device):
    """(number, time) of all records that the cloud has of a device; its agent numbers them without a gap."""
    with contextlib.closing(sqlite3.connect(os.path.join(lab.cloud.dir, "monitor.db"))) as db:
        return db.execute("SELECT seq, time_ms FROM telemetry WHERE device = ? ORDER BY seq", (device,)).fetchall()


def newest(lab, device):
    try:
        status, answer = lab.cloud.call("GET", f"/devices/{device}/telemetry")
    except OSError:
        return None
    return answer if status == 200 else None


@case
def telemetry_tells_how_a_device_is():
    with cluster(("dev-1",), agent=QUICK) as lab:
        record = labs.wait_for("telemetry", 30, lambda: newest(lab, "dev-1"), 0.1)
        for name in ("cpus", "memory_total_kib", "memory_used_kib", "disk_total_kib", "disk_used_kib", "uptime_s", "net_received_bytes", "agent_rss_kib"):
            check(record["host"].get(name, -1) >= 0, f"host tells no {name}: {record['host']}")
        # The first record has no interval behind it.
        labs.wait_for("the processor", 30, lambda: "cpu_permille" in newest(lab, "dev-1")["host"], 0.1)
        check({"intake", "outbox", "telemetry"} <= set(record["queues"]), f"queues: {record['queues']}")
        top = lab.cli("device", "top")["devices"]
        equal([d["device"] for d in top], ["dev-1"], "devices of ridge device top")
        shown = lab.cli("device", "telemetry", "dev-1", "--metric", "cpu_permille,memory_used_kib", "--since", "10m")
        equal({s["metric"] for s in shown["series"]}, {"cpu_permille", "memory_used_kib"}, "metrics of a range")


@case
def nothing_is_missing_after_the_cloud_was_away():
    with cluster(("dev-1",), agent=QUICK) as lab:
        agent = lab.agents["dev-1"]
        labs.wait_for("telemetry", 30, lambda: newest(lab, "dev-1"), 0.1)
        since = int(time.time() * 1000)
        # The time without a cloud is what is tested.
        lab.cloud.kill()
        time.sleep(3)
        lab.cloud.start()
        until = int(time.time() * 1000)

        def whole():
            told = records(lab, "dev-1")
            before, after = [seq for seq, at in told if at < since], [seq for seq, at in told if at > until]
            if not before or not after:
                return False
            meanwhile = [seq for seq, _ in told if before[-1] < seq < after[0]]
            return meanwhile and meanwhile == list(range(before[-1] + 1, after[0]))

        labs.wait_for("what was told while the cloud was away", 60, whole, 0.3)
        agent.kill()
        agent.start()
        again = newest(lab, "dev-1")["seq"]
        labs.wait_for("telemetry after a kill", 30, lambda: newest(lab, "dev-1")["seq"] != again, 0.1)


@case
def an_alarm_comes_and_goes():
    with cluster(("dev-1",), agent=QUICK) as lab:
        agent = lab.agents["dev-1"]
        labs.wait_for("telemetry", 30, lambda: newest(lab, "dev-1"), 0.1)
        equal(lab.cli("alarm", "list")["alarms"], [], "alarms at first")
        lab.cli("alarm", "rule", "device-offline", "--raise", "2", "--clear", "1")
        lab.cli("alarm", "rule", "memory", "--raise", "0", "--clear", "0", "--for", "1s")
        kinds = lambda *more: {a["kind"]: a for a in lab.cli("alarm", "list", *more)["alarms"]}
        labs.wait_for("an alarm of memory", 20, lambda: "memory" in kinds(), 0.2)
        agent.kill()
        alarm = labs.wait_for("an alarm of the device", 40, lambda: kinds().get("device-offline"), 0.2)
        equal((alarm["device"], alarm["state"], alarm["severity"]), ("dev-1", "raised", "critical"), "the alarm")
        equal(lab.cli("alarm", "ack", str(alarm["number"]), "--note", "driving there")["state"], "acknowledged", "state after ack")
        lab.cloud.kill()
        lab.cloud.start()
        equal(kinds()["device-offline"]["number"], alarm["number"], "the alarm after a restart of the cloud")
        agent.start()
        labs.wait_for("the device's alarm to go", 40, lambda: "device-offline" not in kinds(), 0.2)
        equal(kinds("--all")["device-offline"]["note"], "driving there", "note in the history")
        lab.cli("alarm", "rule", "memory", "--off")
        labs.wait_for("the alarm of memory to go", 20, lambda: "memory" not in kinds(), 0.2)


if __name__ == "__main__":
    sys.exit(main())
