"""Suite enrolment: who becomes a device on a whole system: by a token for many, by hand, in place of another; through kills."""

import os
import shutil
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import support  # noqa: E402
import mqtt  # noqa: E402
from cases import case, check, equal, main  # noqa: E402
from support import cluster, create, labs  # noqa: E402


def log_of(agent):
    with open(agent.log, encoding="utf-8", errors="replace") as file:
        return file.read()


def waits(agent):
    return (agent.call("GET", "/v1/health")[1].get("enrolment") or {}).get("state") == "pending"


def valid_certificates(lab, device):
    return [c for c in lab.cli("cert", "list", "--device", device, "--state", "valid")["certificates"] if not c["chain"]]


def start(lab, name, token, extra=()):
    lab.agents[name] = labs.Agent(lab, name, "process", extra)
    lab.agents[name].start(token)
    return lab.agents[name]


def pending(lab):
    return {r["device"]: r for r in lab.cli("device", "pending")["requests"]}


@case
def devices_wait_for_an_operator_through_crashes_of_both_ends():
    with cluster(()) as lab:
        made = lab.cli("device", "token", "--uses", "3", "--expires", "7d", "--group", "north", "--approve")["tokens"]
        equal(len(made), 1, "tokens")
        token = made[0]["token"]
        agents = {name: start(lab, name, token) for name in ("dev-a", "dev-b", "dev-c")}
        labs.wait_for("three devices that wait", 20, lambda: len(pending(lab)) == 3, 0.05)
        for name, agent in agents.items():
            labs.wait_for(f"{name} to know that it waits", 10, lambda agent=agent: waits(agent), 0.05)
            equal(agent.call("GET", "/v1/health")[1]["enrolment"]["key"], pending(lab)[name]["key"], f"key of {name}")
            check("enrol.pending" in log_of(agent) and "ridge device approve" in log_of(agent), f"{name} does not say that it waits")
            check(not os.path.exists(os.path.join(agent.dir, "identity-sign.crt")), f"{name} holds a certificate")
        equal(lab.cloud.must("GET", "/devices")["devices"], [], "devices")
        agents["dev-a"].kill()
        lab.cloud.kill()
        lab.cloud.start()
        agents["dev-a"].start(token)
        status, said = lab.cli("device", "approve", "dev-x", check=False)
        check(status == 3 and "dev-x" in said, f"a device that does not wait: {status} {said}")
        lab.cli("device", "approve", "dev-a", "dev-c")
        lab.cli("device", "refuse", "dev-b", "--reason", "not ours")
        lab.wait_online(("dev-a", "dev-c"), 60)
        agents["dev-b"].end(60)
        check("not ours" in log_of(agents["dev-b"]), "a refused device is not told why")
        for name in ("dev-a", "dev-c"):
            equal(len(valid_certificates(lab, name)), 2, f"certificates of {name}")
            equal(lab.cli("device", "show", name)["group"], "north", f"group of {name}")
        listed = lab.cli("device", "tokens")["tokens"][0]
        equal((listed["state"], listed["used"], listed["uses"]), ("valid", 2, 3), "the token")
        lab.cli("device", "tokens", "--revoke", listed["id"])
        late = start(lab, "dev-d", token)
        late.end(30)
        check("was revoked" in log_of(late), "a revoked token is not named")


@case
def an_agent_killed_anywhere_in_its_enrolment_becomes_one_device():
    rng = support.run_seed()
    with cluster(()) as lab:
        token = lab.cli("device", "token", "--uses", "4")["tokens"][0]["token"]
        for name in ("dev-1", "dev-2", "dev-3", "dev-4"):
            for _ in range(4):
                lab.agents[name] = labs.Agent(lab, name)
                lab.agents[name].env = {"RIDGE_AGENT_TOKEN": token}
                labs.Program.start(lab.agents[name])
                time.sleep(rng.random() * 0.15)
                lab.agents[name].kill()
            start(lab, name, token)
        lab.wait_online(("dev-1", "dev-2", "dev-3", "dev-4"), 60)
        for name in ("dev-1", "dev-2", "dev-3", "dev-4"):
            equal(len([c for c in valid_certificates(lab, name) if c["use"] == "sign"]), 1, f"sign certificates of {name}")
        equal(lab.cli("device", "tokens")["tokens"][0]["used"], 4, "uses of the token")
        fifth = start(lab, "dev-5", token)
        fifth.end(30)
        check("as many devices as it is for" in log_of(fifth), "a fifth device is not told why")
        other = start(lab, "dev-6", lab.cli("device", "token", "--group", "north")["tokens"][0]["token"], ("--group", "south"))
        other.end(30)
        check("prepared for group 'south'" in log_of(other), "a token of another group is not named")


@case
def new_hardware_takes_the_place_of_a_validator():
    names = ("dev-1", "dev-2", "dev-3", "dev-4")
    with cluster(names) as lab:
        create(lab, "c", names)
        lab.cli("device", "label", "dev-2", "ring=early")
        old, place = lab.agents["dev-2"], lab.agents["dev-2"].dir
        answer = lab.cli("device", "replace", "dev-2")
        equal(answer["chains"], ["c"], "chains of the old hardware")
        equal(lab.cli("device", "show", "dev-2")["state"], "revoked", "state")
        labs.wait_for("its link to be cut", 20, lambda: "uplink.down" in log_of(old), 0.05)
        old.stop()
        for name, pid in lab.nodes("c"):
            if name == "dev-2":
                os.kill(pid, 9)
        lab.agents["dev-2-old"] = old
        new = labs.Agent(lab, "dev-2")
        new.argv[new.argv.index(place)] = new.dir = place + "-new"
        lab.agents["dev-2"] = new
        os.mkdir(new.dir)
        new.start(answer["token"])
        lab.wait_online(names, 60)
        equal(lab.cli("device", "show", "dev-2")["labels"], {"ring": "early"}, "labels")
        equal(len(valid_certificates(lab, "dev-2")), 2, "certificates")
        for action, count in (("remove", 3), ("add", 4)):
            done = lab.cli("chain", "validator", action, "c", "dev-2")
            equal((done["change"]["state"], len(done["validators"])), ("done", count), f"{action} dev-2")
        at_least = lab.cli("chain", "status", "c")["height"]
        heights = lambda: {d["device"]: d["height"] or 0 for d in lab.cli("chain", "status", "c")["devices"]}  # noqa: E731
        labs.wait_for("all blocks on all four, the new node too", 30, lambda: min(heights()[n] for n in names) >= at_least, 0.2)
        # What was thrown away is switched on once more, with its certificates, and with a new token.
        old.start()
        labs.wait_for("the old hardware to be refused", 30, lambda: "uplink.failed" in log_of(old).rsplit("agent.started", 1)[-1], 0.05)
        old.kill()
        for name in ("enrolment.json", "enrolment.json.2"):
            if os.path.exists(os.path.join(place, name)):
                os.unlink(os.path.join(place, name))
        old.start(lab.cli("device", "token")["tokens"][0]["token"])
        old.end(30)
        check("retired when device 'dev-2' was replaced" in log_of(old), "the retired key is not named")
        check(new.alive() and "dev-2" in lab.online(), "the new hardware was disturbed")


def access(lab, name):
    return labs.read_json(os.path.join(lab.agents[name].dir, "enrolment.json"))["mqtt"]


def at_broker(lab, user, password):
    """Beside the agent: devices come through their links, this machine may come directly."""
    return mqtt.Client(labs.read_json(os.path.join(lab.cloud.dir, "cloud.json"))["broker_url"], user, password)


def refused(lab, user, password):
    try:
        with at_broker(lab, user, password):
            return False
    except mqtt.MqttError as error:
        equal(str(error), "the broker refuses the connection: code 5", f"a login as {user}")
        return True


def files_below(folder):
    found = (os.path.join(path, name) for path, _, names in os.walk(folder) for name in names)
    return [path for path in found if os.path.isfile(path)]  # no sockets


@case
def a_device_that_is_shut_out_is_cut_off_at_the_broker_and_no_other_is():
    with cluster(("dev-1", "dev-2")) as lab:
        one, two = (access(lab, name)["password"] for name in ("dev-1", "dev-2"))
        check(refused(lab, "dev-1", two) and refused(lab, "dev-3", one) and refused(lab, "cloud", one), "a password of another")
        check(refused(lab, "../users/dev-1", one) and refused(lab, "DEV-1", one), "a name that is none")
        with at_broker(lab, "dev-1", one) as inside, at_broker(lab, "dev-2", two) as other:
            lab.cli("device", "revoke", "dev-1")
            try:
                check(inside.receive(30) is not None, "the device's connection is still there")
                check(False, "a message to a device that is shut out")
            except mqtt.MqttError as error:
                check("closed" in str(error), str(error))
            other.publish("devices/dev-2/other", {})
        check(refused(lab, "dev-1", one), "the password of a device that is shut out")
        for path in (lab.cloud.log, *files_below(os.path.join(lab.cloud.dir, "broker"))):
            with open(path, "rb") as file:
                text = file.read()
            check(one.encode() not in text and two.encode() not in text, f"a password is in {path}")


@case
def a_cloud_of_an_earlier_version_takes_its_devices_along():
    with cluster(("dev-1", "dev-2")) as lab:
        keys = {name: access(lab, name) for name in lab.agents}
        broker = os.path.join(lab.cloud.dir, "broker")
        lab.cloud.stop()
        with open(os.path.join(broker, "passwords"), "w", encoding="ascii") as old:
            for user in os.listdir(os.path.join(broker, "users")):
                with open(os.path.join(broker, "users", user), encoding="ascii") as file:
                    old.write(f"{user}:{file.read()}")
        for name in ("users", "kicks"):
            shutil.rmtree(os.path.join(broker, name))
        os.unlink(os.path.join(broker, "ridge-users.so"))
        for stop in (lab.cloud.kill, lab.cloud.stop):
            lab.cloud.start()
            lab.wait_online(("dev-1", "dev-2"), 60)
            check(not os.path.exists(os.path.join(broker, "passwords")), "the password file is still there")
            check(refused(lab, "dev-1", keys["dev-2"]["password"]), "a password of another")
            stop()
        equal({name: access(lab, name) for name in lab.agents}, keys, "what the devices log in with")


if __name__ == "__main__":
    sys.exit(main())
