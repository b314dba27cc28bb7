"""Collection on a whole system: files from devices, resumed through kills, stored once; see tests/suites.d/collection."""

import hmac
import http.server
import json
import os
import sys
import threading
import time

from cases import case, check, equal, main
from https_front import Authority, Front
from support import cluster, held_port, labs, run_seed
from uploads import check_equal, content, files, give, outbox, wait_files


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
        with open(lab.cloud.log, encoding="utf-8") as log:
            told = [line for line in log if '"collect.no_room"' in line]
        check(len(told) == 1 and all(word in told[0] for word in ('"dev-1"', '"second"', "--collect-bytes")), f"the cloud's log tells: {told}")
        lab.cloud.must("DELETE", f"/files/{file['number']}")
        agent.kill()  # so that it asks again at once
        agent.start()
        (file,) = wait_files(lab, 1)
        check_equal(lab, file, second)


@case
def urgent_records_go_before_files_and_arrive_once():
    with cluster(("dev-1",), agent=["--upload-rate", "50000"]) as lab:
        agent = lab.agents["dev-1"]
        give(agent, "log", "backlog", content(8_000_000, 9))  # longer on its way than all that follows takes
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
def what_happens_is_watched_from_the_command_line():
    with cluster(("dev-1",)) as lab:
        seen, number = [], 0
        watch = threading.Thread(
            target=lambda: seen.append(lab.cli("event", "watch", "--type", "record", "--kind", "seen", "--count", "1"))
        )
        watch.start()
        while watch.is_alive() and number < 600:
            for kind in ("other", "seen"):
                record = {"id": f"{kind}-{number}", "kind": kind, "data": number}
                equal(lab.agents["dev-1"].call("POST", "/v1/records", record)[0], 202, "status of a record")
            number += 1
            watch.join(0.1)
        check(not watch.is_alive(), "ridge event watch has seen nothing of 600 records")
        equal((seen[0]["event"], seen[0]["data"]["kind"], seen[0]["data"]["device"]), ("record", "seen", "dev-1"), "what was seen")


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


class Subscriber:
    """A webhook that answers as it is told, and keeps what it has taken, in order, with its repetitions."""

    def __init__(self, port=0):
        self.secret, self.answers, self.events, self.faults = "", [], [], []
        subscriber = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                mac = hmac.new(subscriber.secret.encode(), self.headers["Ridge-Timestamp"].encode() + b"." + body, "sm3")
                if self.headers["Ridge-Signature"] != "hmac-sm3=" + mac.hexdigest():
                    subscriber.faults.append(self.headers["Ridge-Signature"])
                status, seconds = subscriber.answers.pop(0) if subscriber.answers else (204, 0)
                time.sleep(seconds)
                if status == 204:
                    subscriber.events += json.loads(body)["events"]
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@case
def subscribers_lose_nothing_while_they_and_the_cloud_fail():
    with cluster(("dev-1", "dev-2")) as lab:
        (port, held), secret = held_port(), "the-secret-of-this-test"
        made = lab.cloud.must("POST", "/subscriptions", {"name": "ops", "webhook": f"http://127.0.0.1:{port}/", "secret": secret, "filter": {"types": ["record"]}})
        equal(made["state"], "active", "state of a new subscription")
        sent = {"dev-1": [], "dev-2": []}

        def send(count):
            for i in range(count):
                for name, ids in sent.items():
                    ids.append(f"s-{len(ids)}")
                    record = {"id": ids[-1], "kind": "trip", "data": {"n": i}}
                    equal(lab.agents[name].call("POST", "/v1/records", record)[0], 202, "status of a record")

        send(20)
        labs.wait_for("a delivery that fails", 30, lambda: lab.cli("subscription", "show", "ops")["tries"] > 0, 0.1)
        hook = Subscriber(port)
        hook.secret, hook.answers = secret, [(500, 0), (204, 1.5)]
        try:
            lab.cli("subscription", "resume", "ops")
            send(20)
            labs.wait_for("a slow delivery", 30, lambda: len(hook.answers) < 1, 0.02)
            lab.cloud.kill()
            send(20)
            lab.cloud.start()

            def done():
                got = {event["record"]["id"] + event["record"]["device"] for event in hook.events}
                return len(got) == sum(len(ids) for ids in sent.values())

            labs.wait_for("every record at the subscriber", 60, done, 0.1)
            equal(hook.faults, [], "deliveries with a wrong signature")
            for name, ids in sent.items():
                of = {}
                for event in hook.events:
                    if event["record"]["device"] == name:
                        of.setdefault(event["id"], event["record"]["id"])
                equal(list(of.values()), ids, f"records of {name} in order, what came again left out")
            labs.wait_for("the count", 30, lambda: lab.cli("subscription", "list")["subscriptions"][0]["delivered"] >= 120, 0.1)
            equal(lab.cli("subscription", "test", "ops")["taken"], True, "answer to a test event")
            lab.cli("subscription", "rm", "ops")
            equal(lab.cli("subscription", "list")["subscriptions"], [], "subscriptions")
        finally:
            hook.close()
            held.close()


@case
def a_webhook_over_https_is_believed_by_its_ca_alone():
    with cluster(("dev-1",)) as lab:
        ca, other = Authority(lab.dir, "ca"), Authority(lab.dir, "other")
        hook, fronts = Subscriber(), []
        hook.secret, secret = "the-secret-of-this-test", os.path.join(lab.dir, "secret")
        with open(secret, "w", encoding="ascii") as file:
            file.write(hook.secret)

        def subscribe(name, certificate, *more):
            fronts.append(Front(*certificate, hook.port))
            made = lab.cli("subscription", "create", name, "--webhook", fronts[-1].url + "/ridge", "--secret-file", secret, *more)
            equal((made["state"], made["roots"]), ("active", "own" if more else "system"), f"subscription {name}")

        try:
            # One of each way in which a certificate is wrong; nothing is sent to any of them.
            wrong = {"foreign": (other.issue(), "issuer"), "named": (ca.issue("DNS:elsewhere.example"), "match"), "expired": (ca.issue(days=-1), "expired")}
            for name, (certificate, why) in wrong.items():
                subscribe(name, certificate, "--ca", ca.path)
                status, said = lab.cli("subscription", "test", name, check=False)
                check(status == 5 and "certificate" in said and why in said, f"{name}: exit status {status}: {said}")
            subscribe("system", ca.issue())
            status, said = lab.cli("subscription", "test", "system", check=False)
            check(status == 5 and "certificate is not believed" in said, f"system: exit status {status}: {said}")
            equal(hook.events, [], "what came to servers that are not believed")
            subscribe("ops", ca.issue(), "--ca", ca.path)
            equal(lab.cli("subscription", "test", "ops")["taken"], True, "answer to a test event")
            record = {"id": "r-1", "kind": "trip", "data": {"n": 1}}
            equal(lab.agents["dev-1"].call("POST", "/v1/records", record)[0], 202, "status of a record")
            labs.wait_for("the record at the subscriber", 60, lambda: [e for e in hook.events if e["type"] == "record"], 0.05)
            equal(hook.faults, [], "deliveries with a wrong signature")
            labs.wait_for("a delivery that fails", 60, lambda: "issuer" in lab.cli("subscription", "show", "foreign").get("error", ""), 0.1)
            lab.cloud.stop()
            lab.cloud.start()
            equal(lab.cli("subscription", "test", "ops")["taken"], True, "answer to a test event after a restart")
            equal(lab.cli("subscription", "test", "foreign", check=False)[0], 5, "exit status for a foreign certificate after a restart")
            with open(ca.path, encoding="ascii") as file:
                equal(lab.cli("subscription", "show", "ops")["ca"], file.read(), "the CA that is kept")
            refused = lab.cli("subscription", "create", "key", "--webhook", "https://a.example/", "--ca", ca.base + ".key", check=False)
            check(refused[0] != 0 and "private key" in refused[1], f"a key as a CA: {refused}")
        finally:
            hook.close()
            for front in fronts:
                front.close()


if __name__ == "__main__":
    sys.exit(main())
