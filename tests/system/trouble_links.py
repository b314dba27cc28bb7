"""Brokers that are away, die, or carry rubbish; devices and clouds that cannot reach each other."""

import mqtt
from support import *  # noqa: F403
from cases import case, check, equal


def identity(lab, name):
    return labs.read_json(os.path.join(lab.dir, "devices", name, "enrolment.json"))["mqtt"]


def broker_url(lab):
    """Where the cloud's broker listens for this machine: devices reach it through their links only."""
    return labs.read_json(os.path.join(lab.cloud.dir, "cloud.json"))["broker_url"]


def certificates_of(lab, name, chain):
    """What chain.start was given, from the node's directory."""
    texts = {}
    for field, file in (("sign", "node-sign.crt"), ("enc", "node-enc.crt"), ("chain", "ca-chain.crt")):
        with open(os.path.join(lab.node_dir(name, chain), "node", file), encoding="ascii") as f:
            texts[field] = f.read()
    return texts


def as_device(lab, name):
    """A connection with the device's own credentials, beside the agent's."""
    access = identity(lab, name)
    return mqtt.Client(broker_url(lab), access["username"], access["password"])


@case
def broker_away_when_the_cloud_starts():
    broker = Broker()
    lab = labs.Lab()
    try:
        broker.place(lab)
        lab.start_cloud(["--broker-url", broker.url])  # nobody listens there yet
        tokens = lab.cloud.must("POST", "/device-tokens", {"count": 4})["tokens"]
        for name, token in zip(NAMES, tokens):
            lab.agents[name] = labs.Agent(lab, name)
            lab.agents[name].start(token["token"])
        status, answer = lab.cloud.call("POST", "/chains", {"name": "c", "devices": NAMES, "driver": "process"})
        check(status in (404, 503) and "dev-1" in answer["error"]["message"], f"{status}: {answer}")
        broker.start()
        lab.wait_online(NAMES)
        create(lab, "c")
        check_one_node_each(lab, "c")
    finally:
        broker.stop()
        lab.stop()


@case
def broker_lost_and_back():
    with cluster() as lab:
        create(lab, "c")
        for turn in range(2):
            old = child_of(lab.cloud.pid, "mosquitto")
            check(old, "the cloud has no broker")
            os.kill(old, 9)
            # Asked for while the broker is down: it waits, and has its effect and its result.
            command = lab.cloud.must("POST", "/devices/dev-2/commands", {"type": "chain.stop", "params": {"chain": "c"}})
            wait_command(lab, command["id"])
            equal(sorted(lab.node_pids("c")), ["dev-1", "dev-3", "dev-4"], "nodes after chain.stop")
            labs.wait_for("a new broker", 20, lambda o=old: child_of(lab.cloud.pid, "mosquitto") not in (None, o), 0.02)
            lab.wait_online(NAMES)
            url = urls(lab, "c")["dev-1"]
            genesis = labs.read_json(os.path.join(lab.node_dir("dev-2", "c"), "node", "genesis.json"))
            peers = labs.read_json(os.path.join(lab.node_dir("dev-2", "c"), "node", "peers.json"))
            again = {"chain": "c", "genesis": genesis, "peers": peers, "certificates": certificates_of(lab, "dev-2", "c")}
            command = lab.cloud.must("POST", "/devices/dev-2/commands", {"type": "chain.start", "params": again})
            wait_command(lab, command["id"])
            check(height(lab, url) is not None, f"turn {turn}: dev-1 does not answer")
        check_same_blocks(lab, "c")


@case
def broker_lost_in_a_creation():
    with cluster() as lab:
        for number, (step, state) in enumerate((("chain", "creating"), ("prepare", "sent"), ("prepare", "done"), ("start", "sent"))):
            chain = f"c{number}"
            ask_create(lab, chain)
            await_event(lab, chain, step, state)
            os.kill(child_of(lab.cloud.pid, "mosquitto"), 9)
            await_chain(lab, chain, "running")
            check_one_node_each(lab, chain)
            destroy(lab, chain)
            check_nothing_of(lab, chain)


@case
def foreign_broker_that_forgets_everything():
    """Restarted without persistence, a broker knows no session and no message any more."""
    broker = Broker()
    with cluster(broker=broker) as lab:
        for number, (step, state) in enumerate((("chain", "creating"), ("prepare", "done"), ("start", "sent"))):
            chain = f"c{number}"
            ask_create(lab, chain)
            await_event(lab, chain, step, state)
            broker.kill()
            broker.start()
            await_chain(lab, chain, "running")
            check_one_node_each(lab, chain)
            destroy(lab, chain)


@case
def the_same_command_three_times():
    broker = Broker()
    with cluster(broker=broker) as lab, mqtt.Client(broker.url) as spy:
        spy.subscribe("devices/+/command")
        create(lab, "c")
        seen = {}
        while len(seen) < 8:
            topic, text = spy.receive()
            seen[json.loads(text)["id"]] = (topic, text)
        pids = lab.node_pids("c")
        keys = {name: node_key(lab, name) for name in NAMES}
        spy.subscribe("devices/+/result")
        for _ in range(2):
            for command, (topic, text) in seen.items():
                spy.publish(topic, text)
                equal(results(spy, {command}), {command: (topic.replace("command", "result"), "done")}, "answer to a repetition")
        equal(lab.node_pids("c"), pids, "the nodes are the same processes")
        equal({name: node_key(lab, name) for name in NAMES} == keys, True, "the nodes' keys are the same")
        destroy(lab, "c")
        # A creation that is repeated after the removal has no effect either.
        for topic, text in seen.values():
            spy.publish(topic, text)
        results(spy, set(seen))
        check_nothing_of(lab, "c")


def node_key(lab, name):
    with open(os.path.join(lab.node_dir(name, "c"), "node", "node.key"), "rb") as file:
        return file.read()


def results(spy, commands):
    """The next result of each of the commands, in whatever order they come: {id: (topic, state)}."""
    found = {}
    while commands - set(found):
        got = spy.receive()
        check(got, f"no answer to {commands - set(found)}")
        value = json.loads(got[1])
        if got[0].endswith("/result") and value["id"] in commands:
            found[value["id"]] = (got[0], value["state"])
    return found


RUBBISH = [
    b"", b"{", b"[]", b"null", b"7", b"\xff\xfe\x00", b"[" * 20000, b'{"id":7}', b'{"id":"x"}', b'{"id":"x","type":7,"params":[]}',
    b'{"id":"../../x","type":"chain.remove","params":{"chain":"c"}}', b'{"id":"r1","type":"chain.remove","params":{"chain":"../.."}}',
    b'{"id":"r2","type":"chain.remove","params":{"chain":"c"}}', b'{"id":"r3","type":"chain.start","params":{"chain":"c"}}',
    b'{"id":"r4","type":"chain.start","params":{"chain":"c","genesis":[],"peers":{}}}',
    b'{"id":"r5","type":"chain.prepare","params":{"chain":"","driver":"x"}}', b'{"id":"r6","type":"no.such","params":{"chain":"c"}}',
    b'{"id":"r7","type":"chain.stop","params":{"chain":"c"},"deadline_ms":1}', b'{"id":"' + b"i" * 5000 + b'","type":"chain.stop"}',
    b'{"id":"r8","method":"node.rpc","params":{"chain":"c","method":"admin_stop"}}', b'{"id":"r9","method":"no.such"}',
    b'{"id":"x","state":"done","result":{}}', b'{"id":"x","state":"odd","progress":-5,"step":[]}', b'{"time_ms":"x","chains":7,"agent":[]}',
    b'{"time_ms":1,"agent":{"rss_kib":"x"},"chains":[7,{"chain":7},{"chain":"c","height":-1,"hash":[]}],"intake":7}',
    b"x" * 300000,
]  # fmt: skip


@case
def rubbish_on_every_topic():
    broker = Broker()
    with cluster(broker=broker) as lab:
        create(lab, "c")
        pids = lab.node_pids("c")
        with mqtt.Client(broker.url) as stranger:
            for leaf in ("command", "request", "result", "response", "telemetry", "status", "odd", "command/deeper"):
                for payload in RUBBISH:
                    stranger.publish(f"devices/dev-3/{leaf}", payload)
                    if leaf in ("result", "telemetry", "status", "response"):
                        stranger.publish(f"devices/nobody/{leaf}", payload)
            stranger.publish("devices/dev-3/status", {"online": True}, retain=True)

        def answer():  # not before the cloud has read all of it: some of it says that the device is offline
            status, got = lab.cloud.call("POST", "/devices/dev-3/requests", {"method": "agent.info", "params": {}, "timeout_ms": 10000})
            return got if status == 200 else None

        # What it refuses it refuses by name, and it still does what it is told.
        got = labs.wait_for("dev-3 to answer", 60, answer, 0.1)
        check("result" in got, f"agent.info: {got}")
        lab.wait_online(NAMES)
        check(lab.cloud.alive() and all(agent.alive() for agent in lab.agents.values()), "a program has ended")
        equal(lab.node_pids("c"), pids, "nodes")
        destroy(lab, "c")
        create(lab, "d")
        check_same_blocks(lab, "d")


@case
def a_device_reaches_only_its_own_topics():
    with cluster() as lab:
        create(lab, "c")
        with as_device(lab, "dev-1") as thief:
            thief.subscribe("devices/dev-2/command")
            thief.subscribe("devices/+/result")
            stop = {"id": "stolen", "type": "chain.stop", "params": {"chain": "c"}}
            for name in NAMES[1:]:
                thief.publish(f"devices/{name}/command", stop)
                thief.publish(f"devices/{name}/status", {"online": False})
            for payload in RUBBISH:  # what is its own it may send, and harms itself at most
                for leaf in ("result", "response", "telemetry"):
                    thief.publish(f"devices/dev-1/{leaf}", payload)
            command = lab.cloud.must("POST", "/devices/dev-2/commands", {"type": "intake.unbind", "params": {"chain": "c"}})
            wait_command(lab, command["id"])
            while got := thief.receive(0.2):
                check(got[0].startswith("devices/dev-1/"), f"dev-1 received {got[0]}")
        equal(set(NAMES) - lab.online(), set(), "devices that were declared offline")
        check_one_node_each(lab, "c")
        access = identity(lab, "dev-1")
        for user, password in (("dev-2", access["password"]), (None, None), ("cloud", access["password"]), ("dev-1", "x")):
            try:
                mqtt.Client(broker_url(lab), user, password).socket.close()
            except mqtt.MqttError:
                continue
            raise AssertionError(f"the broker let {user} in")


@case
def agent_restarted_while_the_cloud_is_away():
    with cluster() as lab:
        create(lab, "c")
        pids = lab.node_pids("c")
        lab.cloud.stop()
        for number, agent in enumerate(lab.agents.values()):
            agent.stop() if number % 2 else agent.kill()
            agent.start()
        equal(lab.node_pids("c"), pids, "the nodes are the same processes")
        before = height(lab, urls(lab, "c")["dev-1"])
        lab.cloud.start()
        lab.wait_online(NAMES)
        equal(chain_state(lab, "c")["state"], "running", "state of the chain")
        equal(lab.node_pids("c"), pids, "the nodes are the same processes")
        check((height(lab, urls(lab, "c")["dev-1"]) or 0) >= before, "the height went back")


@case
def workloads_run_after_a_reboot_with_the_cloud_away():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-1")
        meter.post(10)
        lab.cloud.kill()
        for agent in lab.agents.values():
            agent.kill()
        for pid in lab.node_pids("c").values():
            kill_9(pid)
        for name, agent in lab.agents.items():
            agent.start()
            labs.wait_for(f"the node of {name}", 20, lambda n=name: n in lab.node_pids("c"), 0.01)
        meter.post(10)
        labs.wait_for("receipts without the cloud", 30, meter.queue_empty, 0.02)
        lab.cloud.start()
        lab.wait_online(NAMES)
        meter.check_on("c")
        check_same_blocks(lab, "c")


@case
def device_offline_at_a_creation():
    with cluster() as lab:
        lab.agents["dev-3"].stop()
        labs.wait_for("dev-3 offline", 20, lambda: "dev-3" not in lab.online(), 0.02)
        status, answer = lab.cloud.call("POST", "/chains", {"name": "c", "devices": NAMES, "driver": "process"})
        equal((status, answer["error"]["code"]), (503, "UNAVAILABLE"), "answer")
        check("dev-3" in answer["error"]["message"] and "agent" in answer["error"]["message"], answer["error"]["message"])
        lab.agents["dev-3"].start()
        lab.wait_online(NAMES)
        create(lab, "c")


def broken_device(lab, name):
    """Its agent runs, but there is no program of the node."""
    agent = lab.agents[name]
    agent.stop()
    good = list(agent.argv)
    agent.argv[agent.argv.index("--node-program") + 1] = os.path.join(lab.dir, "no-such-program")
    agent.start()
    lab.wait_online([name])
    return good


@case
def creation_that_fails_on_one_device_and_is_retried():
    with cluster() as lab:
        good = broken_device(lab, "dev-3")
        ask_create(lab, "c")
        got = labs.wait_for("the failure", 60, lambda: chain_failed(lab, "c"), 0.02)
        for word in ("dev-3", "no-such-program"):
            check(word in got["error"], f"'{word}' is not in: {got['error']}")
        equal([d["device"] for d in got["devices"] if d["error"]], ["dev-3"], "devices with an error")
        status, said = lab.cli("chain", "retry", "c", check=False)  # nothing has changed: it fails again, and says so
        check(status != 0 and "failed" in said, said)
        lab.agents["dev-3"].stop()
        lab.agents["dev-3"].argv = good
        lab.agents["dev-3"].start()
        lab.wait_online(["dev-3"])
        lab.cloud.must("POST", "/chains/c/retry", {"device": "dev-3"})
        await_chain(lab, "c", "running")
        check_one_node_each(lab, "c")
        check_same_blocks(lab, "c")


def chain_failed(lab, chain):
    got = chain_state(lab, chain)
    check(got["state"] != "running", f"chain {chain} is running")
    return got if got["state"] == "failed" else None


@case
def creation_that_is_cancelled_leaves_nothing():
    with cluster() as lab:
        good = broken_device(lab, "dev-3")
        ask_create(lab, "c")
        labs.wait_for("the failure", 60, lambda: chain_failed(lab, "c"), 0.02)
        lab.cloud.must("POST", "/chains/c/cancel")
        await_chain(lab, "c", "cancelled")
        check_nothing_of(lab, "c")
        lab.agents["dev-3"].stop()
        lab.agents["dev-3"].argv = good
        lab.agents["dev-3"].start()
        lab.wait_online(NAMES)
        for number, (step, state) in enumerate((("chain", "creating"), ("prepare", "done"), ("genesis", "done"), ("start", "sent"))):
            chain = f"d{number}"
            ask_create(lab, chain)
            await_event(lab, chain, step, state)
            status, answer = lab.cloud.call("POST", f"/chains/{chain}/cancel")
            if status == 409:  # its first block was sealed meanwhile
                check("destroy" in answer["error"]["message"], f"{answer}")
                destroy(lab, chain)
            else:
                equal(status, 202, f"cancel ({answer})")
                await_chain(lab, chain, "cancelled")
            check_nothing_of(lab, chain)
        create(lab, "c")  # the name is free again


@case
def destruction_with_a_device_away():
    with cluster() as lab:
        create(lab, "c")
        away = lab.agents["dev-2"]
        away.kill()
        labs.wait_for("dev-2 offline", 60, lambda: "dev-2" not in lab.online(), 0.05)
        before = last_event(lab, "c")
        lab.cloud.must("DELETE", "/chains/c?discard=c")
        removed = set()
        for event in events(lab, "c", before):
            if (event["step"], event["state"]) == ("remove", "done"):
                removed.add(event["device"])
            if len(removed) == 3:
                break
        equal(chain_state(lab, "c")["state"], "destroying", "state while a device is away")
        check_nothing_of(lab, "c", ["dev-1", "dev-3", "dev-4"])
        away.start()
        await_chain(lab, "c", "destroyed")
        check_nothing_of(lab, "c")


@case
def rubbish_on_the_local_broker():
    """A device's meters share its broker: one that sends rubbish stops none of the others, nor does a broken broker."""
    with cluster(agent=["--intake-broker", "spawn"]) as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        agent, meter = lab.agents["dev-1"], Meter(lab, "dev-1")
        for payload in [*RUBBISH, b'[{"meter":"m","time":1}]', b'{"meter":"","time":1,"value":1}']:
            agent.publish("ridge/readings", payload)
        for turn in range(2):
            batch = meter.batch(50)
            meter.values += [readings.micro(r["value"]) for r in batch]
            labs.wait_for("readings by MQTT", 20, lambda b=batch: given_by_mqtt(agent, b, len(meter.values)), 0.02)
            if turn == 0:
                os.kill(child_of(agent.pid, "mosquitto"), 9)
        meter.check_on("c")


def given_by_mqtt(agent, batch, total):
    """Gives the batch, again and again: a broker that dies loses what it had; what comes twice counts once."""
    with contextlib.suppress(OSError, mqtt.MqttError):
        agent.publish("ridge/readings", batch)
    with contextlib.suppress(labs.LabError):
        labs.wait_for("receipts", 0.5, lambda: agent.intake()["confirmed"] == total, 0.02)
    return agent.intake()["confirmed"] == total


@case
def commands_for_a_device_that_is_away():
    """One waits for it, one is cancelled, one expires; only the first has an effect when the device returns."""
    with cluster() as lab:
        create(lab, "c")
        away = lab.agents["dev-2"]
        away.stop()
        labs.wait_for("dev-2 offline", 20, lambda: "dev-2" not in lab.online(), 0.02)

        def ask(kind, **more):
            body = {"type": kind, "params": {"chain": "c", "discard": True}, **more}
            return lab.cloud.must("POST", "/devices/dev-2/commands", body)["id"]

        waits, cancelled = ask("chain.stop"), ask("chain.remove")
        expires = ask("chain.remove", deadline_ms=int(time.time() * 1000) + 3000)  # one that is over already would be refused
        equal(lab.cloud.must("POST", f"/commands/{cancelled}/cancel")["state"], "cancelled", "state after cancel")
        wait_command(lab, expires, "expired")
        status, answer = lab.cloud.call("POST", f"/commands/{expires}/cancel")
        equal((status, answer["error"]["code"]), (409, "CONFLICT"), "cancel of a command that has ended")
        away.start()
        wait_command(lab, waits)
        lab.wait_online(["dev-2"])
        equal(sorted(lab.node_pids("c")), ["dev-1", "dev-3", "dev-4"], "nodes after chain.stop")
        check(os.path.exists(os.path.join(lab.node_dir("dev-2", "c"), "node", "node.key")), "the chain was removed from dev-2")
