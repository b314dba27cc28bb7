"""Collection on a whole system: files from devices, resumed through kills, stored once; see tests/suites.d/collection."""

import hashlib
import http.client
import random
import sys
import time
import urllib.parse

from cases import case, check, equal, main
from support import cluster, labs, run_seed

PIECE = 1 << 20


def content(size, seed):
    return random.Random(seed).randbytes(size)


def give(agent, kind, name, data):
    """A file to the agent, in pieces, going on where it says after its restart."""
    offset = 0
    while True:
        piece = data[offset : offset + PIECE]
        last = "&last=1" if offset + len(piece) == len(data) else ""
        status, answer = agent.call("PUT", f"/v1/files/{kind}/{name}?offset={offset}{last}", piece)
        if status == 409:
            offset = answer["offset"]
            continue
        check(status in (200, 202), f"{agent.name}: HTTP {status}: {answer}")
        offset = answer["offset"]
        if last:
            return


def fetch(lab, number):
    parts = urllib.parse.urlsplit(lab.cloud.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", f"/api/v1/files/{number}/content", headers={"Authorization": f"Bearer {lab.cloud.token}"})
        answer = connection.getresponse()
        data = answer.read()
        equal(answer.status, 200, f"status of the content of file {number}")
        return data
    finally:
        connection.close()


def files(lab, device=None):
    return lab.cloud.must("GET", "/files?limit=1000" + (f"&device={device}" if device else ""))["files"]


def wait_files(lab, count, device=None, seconds=60):
    def there():
        try:
            found = files(lab, device)
        except OSError:
            return None
        return found if len(found) >= count else None

    found = labs.wait_for(f"{count} files", seconds, there, 0.05)
    equal(len(found), count, "files in the cloud")
    return found


def outbox(agent):
    return agent.call("GET", "/v1/files")[1]


def check_equal(lab, file, data):
    got = fetch(lab, file["number"])
    equal((len(got), hashlib.sha256(got).hexdigest()), (len(data), hashlib.sha256(data).hexdigest()), f"content of {file['name']}")


@case
def files_of_devices_reach_the_cloud_and_are_kept_once():
    with cluster(("dev-1", "dev-2")) as lab:
        data = content(3_000_000, 1)
        for name in ("dev-1", "dev-2"):
            give(lab.agents[name], "log", "day-1", data)
        found = wait_files(lab, 2)
        for file in found:
            check_equal(lab, file, data)
        equal({f["device"] for f in found}, {"dev-1", "dev-2"}, "devices")
        give(lab.agents["dev-1"], "log", "day-1", data)
        labs.wait_for("an empty outbox", 20, lambda: not outbox(lab.agents["dev-1"])["queued"], 0.02)
        equal(len(files(lab)), 2, "files after one was offered again")
        # One is removed: the other still has its bytes.
        lab.cloud.must("DELETE", f"/files/{found[0]['number']}")
        check_equal(lab, found[1], data)
        equal(lab.cloud.call("GET", f"/files/{found[0]['number']}")[0], 404, "status of a removed file")
        equal(lab.cloud.call("GET", f"/files/{found[1]['number']}/content?offset=99999999")[0], 400, "status of an offset beyond")
        # What a program on the device may not do.
        agent = lab.agents["dev-1"]
        equal(agent.call("PUT", "/v1/files/archive/x?last=1", b"x")[0], 403, "status of a forged archive")
        equal(agent.call("PUT", "/v1/files/log/..%2fx?last=1", b"x")[0], 404, "status of a path as a name")
        equal(agent.call("PUT", "/v1/files/log/x?offset=5", b"x")[0], 409, "status of a file that begins at 5")


@case
def an_upload_survives_whatever_is_killed():
    dice = run_seed()
    with cluster(("dev-1",), agent=["--upload-rate", "1500000"]) as lab:
        agent, data = lab.agents["dev-1"], content(6_000_000, dice.random())
        give(agent, "log", "big", data)
        for turn, victims in enumerate(([agent], [lab.cloud], [agent, lab.cloud], [lab.cloud], [agent])):
            seen = labs.resident_kib(agent.pid)
            check(seen < 40_000, f"the agent has {seen} KiB while it uploads")
            # The moment is what varies.
            pause = dice.uniform(0.05, 0.4)
            time.sleep(pause)
            for victim in victims:
                victim.kill()
            for victim in reversed(victims):
                victim.start()
        (file,) = wait_files(lab, 1)
        check_equal(lab, file, data)
        labs.wait_for("an empty outbox", 20, lambda: not outbox(agent)["queued"], 0.02)
        equal(outbox(agent)["failed"], [], "failed files")


@case
def a_full_cloud_holds_devices_back_and_loses_nothing():
    with cluster(("dev-1",), cloud=["--collect-bytes", "2MiB"]) as lab:
        agent, first, second = lab.agents["dev-1"], content(1_500_000, 2), content(1_500_000, 3)
        give(agent, "log", "first", first)
        (file,) = wait_files(lab, 1)
        give(agent, "log", "second", second)

        def postponed():
            with open(agent.log, encoding="utf-8") as log:
                return any('"upload.postponed"' in line and '"status":507' in line and '"retry_after_s":60' in line for line in log)

        labs.wait_for("the agent being told to come back", 20, postponed, 0.05)
        equal([f["name"] for f in outbox(agent)["queued"]], ["second"], "files that wait")
        lab.cloud.must("DELETE", f"/files/{file['number']}")
        agent.kill()  # so that it asks again at once
        agent.start()
        (file,) = wait_files(lab, 1)
        check_equal(lab, file, second)


@case
def urgent_records_go_before_files_and_arrive_once():
    with cluster(("dev-1",), agent=["--upload-rate", "200000"]) as lab:
        agent = lab.agents["dev-1"]
        give(agent, "log", "backlog", content(4_000_000, 9))
        sent = []
        for turn, victims in enumerate(([agent], [lab.cloud], [])):
            batch = [{"id": f"r-{turn}-{i}", "kind": "alarm", "data": {"n": i}} for i in range(50)]
            status, answer = agent.call("POST", "/v1/records", batch)
            equal((status, answer), (202, {"accepted": 50}), "answer for urgent records")
            sent += [record["id"] for record in batch]
            for victim in victims:
                victim.kill()
                victim.start()
        again, _ = agent.call("POST", "/v1/records", {"id": "r-0-0", "kind": "alarm", "data": {"n": 0}})
        equal(again, 202, "status of a record that is given twice")

        def there():
            try:
                got = lab.cloud.must("GET", "/records?limit=1000&kind=alarm")["records"]
            except OSError:
                return None
            return got if len(got) >= len(sent) else None

        got = labs.wait_for("the records", 60, there, 0.05)
        equal([record["id"] for record in got], sent, "ids of records, in order")
        equal(files(lab), [], "files that came before them")
        listed = lab.cli("record", "list", "--device", "dev-1")["records"]
        equal(len(listed), len(sent), "records of the command line")
        for bad in ({}, {"id": "a"}, {"id": "A B", "kind": "x", "data": 1}, {"id": "a", "kind": "x"}, [], [{}] * 101):
            equal(agent.call("POST", "/v1/records", bad)[0], 400, f"status of {str(bad)[:40]}")
        equal(agent.call("POST", "/v1/records", {"id": "a", "kind": "x", "data": "y" * 40000})[0], 413, "status of a long record")


@case
def a_full_device_holds_its_programs_back_and_loses_no_record():
    with cluster(("dev-1",), agent=["--records-bytes", "65536"]) as lab:
        agent = lab.agents["dev-1"]
        lab.cloud.kill()
        sent, status = [], 202
        while status == 202 and len(sent) < 1000:
            record = {"id": f"f-{len(sent)}", "kind": "fill", "data": "x" * 1000}
            status, answer = agent.call("POST", "/v1/records", record)
            sent += [record["id"]] if status == 202 else []
        equal((status, answer["error"]["code"]), (429, "FULL"), "answer of a full device")
        check(len(sent) >= 40, f"{len(sent)} records found room")
        agent.kill()
        agent.start()
        lab.cloud.start()

        def taken():
            return agent.call("POST", "/v1/records", {"id": "last", "kind": "fill", "data": "x" * 1000})[0] == 202

        labs.wait_for("room on the device", 60, taken, 0.1)

        def there():
            got = lab.cloud.must("GET", "/records?limit=1000&device=dev-1")["records"]
            return got if got and got[-1]["id"] == "last" else None

        got = labs.wait_for("the records", 60, there, 0.1)
        equal([record["id"] for record in got], sent + ["last"], "ids of records, in order")


if __name__ == "__main__":
    sys.exit(main())
