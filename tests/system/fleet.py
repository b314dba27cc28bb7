"""Suite fleet: many devices, simulated and real, in network namespaces with loss, cuts and restarts of broker and cloud,
while commands run; then each command and each acknowledged telemetry record is accounted for.

    ./test fleet                                                              the checker's own tests and a short round
    ./test fleet --devices 200 --agents 10 --minutes 10 --commands 10000      the long form; --seed N

Simulated devices (ridge-fleet) have the agent's own link, journal and executor, but no workloads; agents are whole. What real agents
have done, and what of their telemetry the cloud has acknowledged, is read from their logs."""

import argparse
import glob
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import support  # noqa: E402
from cases import Skip, case, check, main  # noqa: E402
from fleet_check import PLANTED, sound, violations  # noqa: E402
from support import labs  # noqa: E402

import netns  # noqa: E402

LOSS = 5  # per cent, each way
PROCESSES = 4  # of simulated devices, each in a namespace of its own
SETTLE_S = 900  # after the last fault, at most
UNFINISHED = ("queued", "sent", "running")


class Fleet:
    def __init__(self, devices, agents, seconds, commands, seed, cut_s):
        self.devices, self.agents, self.seconds, self.commands, self.cut_s = devices, agents, seconds, commands, cut_s
        self.rng = random.Random(seed)
        self.lab = labs.Lab()
        self.sims, self.ordered, self.refused, self.faults = [], {}, {}, []
        self.groups = min(PROCESSES, devices)
        self.network = netns.Network(1 + agents + self.groups)
        self.ending = threading.Event()
        self.failed = None

    # --- setting up

    def start(self):
        lab = self.lab
        cloud = labs.Cloud(lab, ["--host", self.network.host(0)])
        cloud.argv[cloud.argv.index("--link-host") + 1] = self.network.host(0)
        cloud.argv[:0] = self.network.prefix(0)
        lab.cloud = cloud
        cloud.start()
        token = cloud.must("POST", "/device-tokens", {"uses": self.devices + self.agents, "group": "fleet"})["tokens"][0]["token"]
        self.names = []
        for g in range(self.groups):
            count = self.devices // self.groups + (g < self.devices % self.groups)
            self.start_sims(g, count, token)
            self.names += [f"sim{g}-{i}" for i in range(count)]
        for i in range(self.agents):
            name = f"agent-{i}"
            agent = lab.agents[name] = labs.Agent(lab, name, extra=("--log-level", "debug"))
            agent.argv[:0] = self.network.prefix(1 + i)
            agent.start(token)
            self.names.append(name)
        # The first links come up without faults, as an installer sees them do.
        lab.wait_online(self.names, 120)
        self.lossy()

    def start_sims(self, group, count, token):
        place = os.path.join(self.lab.dir, "fleet", str(group))
        os.makedirs(place)
        sim = labs.Program(
            [*self.network.prefix(1 + self.agents + group), self.lab.binary("ridge-fleet"), place, self.lab.cloud.link_url, f"sim{group}-",
             str(count), "2000"], os.path.join(self.lab.dir, f"sim-{group}.log"), {"RIDGE_AGENT_TOKEN": token})  # fmt: skip
        sim.start()
        self.sims.append(sim)

    # --- faults

    def places(self):
        return range(1, 1 + self.agents + self.groups)

    def lossy(self, cut=()):
        """Loss everywhere, and nothing at all to and from those that are cut off."""
        for i in self.places():
            self.network.faults(i, deaf_to=(0,) if i in cut else (), loss={0: LOSS})
        self.network.faults(0, deaf_to=cut, loss={i: LOSS for i in self.places() if i not in cut})

    def cut(self):
        chosen = self.rng.sample(list(self.places()), max(1, len(self.places()) // 3))
        self.lossy(tuple(chosen))
        self.ending.wait(self.cut_s)
        self.lossy()

    def broker(self):
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    line = file.read().split(b"\0")
            except OSError:
                continue
            if os.path.basename(line[0]) == b"mosquitto" and any(self.lab.dir.encode() in part for part in line):
                os.kill(int(path.split("/")[2]), self.rng.choice((signal.SIGKILL, signal.SIGTERM)))

    def cloud(self):
        if self.rng.random() < 0.5:
            self.lab.cloud.kill()
        else:
            self.lab.cloud.stop()
        self.lab.cloud.start()

    def trouble(self):
        """One fault after the other, each in its turn, until it is over; each at least once."""
        end, turn = time.monotonic() + self.seconds, 0
        kinds = (self.cut, self.broker, self.cloud)
        while time.monotonic() < end or turn < len(kinds):
            kinds[turn % len(kinds)]()
            self.faults.append(kinds[turn % len(kinds)].__name__)
            turn += 1
            self.ending.wait(min(10, max(0.3, self.seconds / 20)))

    # --- commands

    def order(self, number):
        now = int(time.time() * 1000)
        short = self.rng.random() < 0.3
        return {"id": f"f{number}", "device": self.rng.choice(self.names), "type": "chain.remove",
                "params": {"chain": f"x{self.rng.randrange(20)}", "discard": True},
                "priority": self.rng.choice(("urgent", "normal", "bulk")),
                "deadline_ms": now + (self.rng.randrange(1000, 15000) if short else (int(self.seconds) + 600) * 1000)}  # fmt: skip

    def send(self, batch):
        """The same batch until the cloud has taken it: it stays one command each."""
        while not self.ending.is_set():
            try:
                status, answer = self.lab.cloud.call("POST", "/commands", {"commands": batch}, 10)
            except OSError:
                status, answer = 0, None
            if status == 202:
                for order, told in zip(batch, answer["commands"]):
                    kept = self.ordered if "state" in told else self.refused
                    kept[order["id"]] = order["device"]
                return
            if status not in (0, 429, 502, 503, 504):
                raise labs.LabError(f"POST /commands: HTTP {status}: {answer}")
            self.ending.wait(0.1)

    def give(self):
        try:
            steps = max(1, int(self.seconds * 2))
            for step in range(steps):
                began = time.monotonic()
                first, last = step * self.commands // steps, (step + 1) * self.commands // steps
                if last > first:
                    self.send([self.order(i) for i in range(first, last)])
                self.ending.wait(max(0, 0.5 - (time.monotonic() - began)))
        except Exception as error:  # told by run(): a thread's own failure ends nothing
            self.failed = error

    def run(self):
        giver = threading.Thread(target=self.give)
        giver.start()
        try:
            self.trouble()
            giver.join(60 + self.seconds)
        finally:
            self.ending.set()
            giver.join()
        if self.failed:
            raise self.failed
        for i in range(1 + self.agents + self.groups):
            self.network.faults(i)

    # --- what became of it

    def unfinished(self):
        try:
            return sum(len(self.lab.cloud.must("GET", f"/commands?state={s}&limit=1")["commands"]) for s in UNFINISHED)
        except (OSError, labs.LabError):
            return -1

    def told(self):
        found, before = {}, ""
        while True:
            page = self.lab.cloud.must("GET", f"/commands?limit=1000{before}")
            found.update({c["id"]: c for c in page["commands"]})
            if not page["more_before"]:
                return found
            before = f"&before={page['more_before']}"

    def logged(self, event):
        """(agent, line) of this event in the agents' logs."""
        for name, agent in self.lab.agents.items():
            with open(agent.log, encoding="utf-8", errors="replace") as file:
                for line in file:
                    if f'"event":"{event}"' in line and line.endswith("\n"):
                        yield name, json.loads(line)

    def effects(self):
        found = []
        for path in glob.glob(os.path.join(self.lab.dir, "fleet", "*", "*.effects")):
            with open(path, encoding="ascii") as file:
                found += [tuple(line.split()) for line in file]
        return found + [(name, line["id"]) for name, line in self.logged("command.ended")]

    def acks(self):
        """Of the agents, and of the simulated devices."""
        real, simulated = {(name, line["seq"], line["time_ms"]) for name, line in self.logged("telemetry.acknowledged")}, set()
        for path in glob.glob(os.path.join(self.lab.dir, "fleet", "*", "*.acks")):
            with open(path, encoding="ascii") as file:
                simulated |= {(d, int(seq), int(ms)) for d, seq, ms in map(str.split, file)}
        return real, simulated

    def all_acknowledged(self):
        real, simulated = self.acks()
        return set(self.names) <= {device for device, _, _ in real | simulated}

    def stored(self):
        db = sqlite3.connect(os.path.join(self.lab.cloud.dir, "monitor.db"))
        try:
            return set(db.execute("SELECT device, seq, time_ms FROM telemetry"))
        finally:
            db.close()

    def account(self):
        began = time.monotonic()
        try:
            # A device that says nothing is asked again after two minutes, and after ten when it has begun (command.h).
            labs.wait_for("the end of all commands", SETTLE_S, lambda: self.unfinished() == 0, 0.2)
        except labs.LabError as error:
            open_ones = [t for t in self.told().values() if t["state"] in UNFINISHED]
            raise labs.LabError(f"{error}: {len(open_ones)} open, online {len(self.lab.online())} of {len(self.names)}; {json.dumps(open_ones[:10])}") from None
        settled = round(time.monotonic() - began, 1)
        # A device of which nothing was acknowledged could lose nothing.
        labs.wait_for("an acknowledged record of each device", 120, self.all_acknowledged, 0.5)
        commands = self.told()
        for sim in self.sims:
            check(sim.alive(), f"ridge-fleet ended: {sim.log_tail()}")
            sim.stop()
        self.lab.cloud.stop()
        effects, (real, simulated), stored = self.effects(), self.acks(), self.stored()
        found = violations({**self.ordered}, {c: t for c, t in commands.items() if c in self.ordered}, effects, real | simulated, stored)
        states = {s: sum(t["state"] == s for t in commands.values()) for s in sorted({t["state"] for t in commands.values()})}
        took = sorted(t["ended_ms"] - t["created_ms"] for t in commands.values() if t["state"] == "done")
        quantiles = {f"done_p{q}_ms": took[min(len(took) - 1, len(took) * q // 100)] for q in (50, 90, 99) if took}
        late = sorted(t["ended_ms"] - t["deadline_ms"] for t in commands.values() if t["state"] == "expired")
        quantiles |= {f"expired_told_p{q}_ms": late[min(len(late) - 1, len(late) * q // 100)] for q in (50, 99) if late}
        given = sum(t["state"] == "expired" and t["deliveries"] > 0 for t in commands.values())
        return found, {**quantiles, "settled_s": settled, "expired_after_handing_over": given, "devices": len(self.names), "commands": len(self.ordered), "refused": len(self.refused), **states, "effects": len(effects),
                       "records_acknowledged": len(simulated), "records_acknowledged_of_agents": len(real), "records_stored": len(stored),
                       **{f: self.faults.count(f) for f in sorted(set(self.faults))}}  # fmt: skip

    def stop(self):
        self.ending.set()
        for sim in self.sims:
            sim.stop()
        self.lab.stop()
        self.network.close()


def round_of(devices, agents, seconds, commands, seed, cut_s):
    why = netns.missing()
    if why:
        raise Skip(why)
    print(f"     {devices} simulated devices, {agents} agents, {commands} commands, {seconds} s of faults, seed {seed}", flush=True)
    fleet = Fleet(devices, agents, seconds, commands, seed, cut_s)
    try:
        fleet.start()
        fleet.run()
        found, report = fleet.account()
    except BaseException:
        support.print_logs(fleet.lab)
        raise
    finally:
        fleet.stop()
    print(f"     {json.dumps(report)}", flush=True)
    check(not found, f"seed {seed}: {len(found)} violations: " + "; ".join(found[:20]))


@case
def the_checker_finds_what_is_planted():
    check(violations(**sound()) == [], f"a sound run: {violations(**sound())}")
    for name, plant in PLANTED.items():
        run = sound()
        plant(run)
        check(violations(**run), f"{name}: not found")


@case
def a_small_fleet_and_each_fault_once():
    seed = int(os.environ.get("RIDGE_SEED") or random.SystemRandom().randrange(1 << 32))
    round_of(20, 2, 4, 300, seed, 1.5)


def by_hand(arguments):
    parser = argparse.ArgumentParser(description="A large fleet for long.")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--commands", type=int, default=10000)
    parser.add_argument("--cut", type=float, default=10, help="seconds of a cut")
    parser.add_argument("--seed", type=int, default=1)
    o = parser.parse_args(arguments)
    try:
        round_of(o.devices, o.agents, o.minutes * 60, o.commands, o.seed, o.cut)
    except Skip as skip:
        print(f"skipped: {skip}\n0 passed, 0 failed, 1 skipped")
        return 1
    except (AssertionError, labs.LabError) as error:
        print(f"FAIL {error}\n0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    if "--list" not in sys.argv and not netns.missing():
        netns.enter()
    sys.exit(by_hand(sys.argv[1:]) if "--minutes" in sys.argv else main())
