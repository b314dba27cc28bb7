"""Suite damage: files of a node are flipped, cut, and removed; it must say so, be recovered by the documented command, and
all ledgers must be equal in the end. Long form: ./test damage --rounds 1000 [--seed N], in which stored archives are harmed
too, and the ledgers compared every --compare-every rounds. What a round does depends on the seed and its number alone: a run
that was interrupted says where it can go on with --from."""

import collections
import concurrent.futures
import contextlib
import glob
import os
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from archives import await_end, files, object_path, order  # noqa: E402
from support import Meter, await_height, chain_state, check_same_blocks, cluster, create, deploy, height, labs, urls  # noqa: E402

CHAIN = "feeder"
# What of a node's directory can be brought back; the keys can not, and are in a case of their own.
KINDS = ("blocks/*.blk", "db/*.sst", "db/*.log", "db/MANIFEST-*", "db/CURRENT", "genesis.json", "node-sign.crt",
         "node-enc.crt", "roots.crt", "ca-chain.crt")  # fmt: skip
# What the agent or the node has made of something else by itself when the node answers again, or never reads.
BY_ITSELF = ("node.conf", "peers.json", "../chain.json", "../peers.json", "voted", "agent.token", "db/OPTIONS-*", "db/IDENTITY")
ARCHIVE = "archive"
WAYS = ("flip", "cut", "remove")


def option(name, fallback):
    """A number behind --name, which is then no word that chooses cases."""
    if name not in sys.argv:
        return fallback
    at = sys.argv.index(name)
    value = int(sys.argv[at + 1])
    del sys.argv[at : at + 2]
    return value


ROUNDS = option("--rounds", 0)
SEED = option("--seed", random.SystemRandom().randrange(1 << 32))
FIRST = option("--from", 1)
COMPARE_EVERY = option("--compare-every", 50)


def node_dir(lab, device):
    return os.path.join(lab.node_dir(device, CHAIN), "node")


def pick(lab, device, kind):
    """The largest file of a kind, so that it holds something; None where there is none."""
    place = node_dir(lab, device)
    found = glob.glob(os.path.join(place, "data", kind) if kind[:2] in ("bl", "db") else os.path.join(place, kind))
    return max(found, key=os.path.getsize) if found else None


def harm(path, way, rng):
    size = os.path.getsize(path)
    if way == "remove":
        os.unlink(path)
    elif way == "cut":
        os.truncate(path, rng.randrange(size) if size else 0)
    else:
        with open(path, "r+b") as file:
            at = rng.randrange(max(size, 1))
            file.seek(at)
            byte = file.read(1) or b"\0"
            file.seek(at)
            file.write(bytes([byte[0] ^ (1 << rng.randrange(8))]))


def kill_node(lab, device):
    for name, pid in lab.nodes(CHAIN):
        if name == device:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def has_ended(pid):
    """No thread of it runs: a process whose first thread is dead names no program any more, while others may still write."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return True
    for thread in threads:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii", errors="replace") as file:
            if file.read().rsplit(")", 1)[1].split()[0] not in "ZX":
                return False
    return True


def stop(lab, device):
    """Agent first: nobody then starts the node again while its file is harmed. One that was just being started has the name
    of the agent still."""
    seen = set()

    def down():
        found = lab.processes_of(device)
        seen.update(found)
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found and all(has_ended(pid) for pid in seen)

    seen.update(pid for name, pid in lab.nodes(CHAIN) if name == device)
    lab.agents[device].stop()
    labs.wait_for(f"everything of {device} to be down", 30, down, 0.02)


def restart(lab, device):
    stop(lab, device)
    lab.agents[device].start()
    labs.wait_for(f"{device} to be sound", 30, lambda: sound(lab, device, 1), 0.05)


def entry(lab, device):
    return next(d for d in chain_state(lab, CHAIN)["devices"] if d["device"] == device)


def sound(lab, device, top, since=None):
    """It answers, was started since then, has what the others have, and has read all that it has stored since."""
    try:
        status = lab.rpc(urls(lab, CHAIN, [device])[device], "ridge_status")
    except (OSError, ValueError, labs.LabError):
        return False
    if since is not None and status["uptime_ms"] > (time.monotonic() - since) * 1000 + 50:
        return False
    return status["halted"] is None and status["height"] >= top and status["checked_ms"] > 0


def verdict(lab, device, top, since=None):
    """After the damage: what the node says is damaged, or "" when it is as sound as before."""

    def known():
        return "sound" if sound(lab, device, top, since) else entry(lab, device).get("damaged")

    text = labs.wait_for(f"{device} to say what is damaged, or to be sound", 90, known, 0.05)
    return "" if text == "sound" else text


def recover(lab, meter, device):
    """By the documented command, while readings come: who begins anew votes when the others have decided without it."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        ended = pool.submit(lab.cli, "node", "recover", CHAIN, device)
        while not ended.done():
            meter.post(1)
            concurrent.futures.wait([ended], 0.2)
        ended.result()
    labs.wait_for(f"no damage of {device}", 60, lambda: not entry(lab, device).get("damaged"), 0.05)


def state_roots(lab):
    found = {name: lab.rpc(url, "ridge_status")["state_root"] for name, url in urls(lab, CHAIN).items()}
    equal(len(set(found.values())), 1, f"state roots {found}")


class Archives:
    """Those that the cloud stores, and a backup of them."""

    def __init__(self, lab, meter):
        self.lab, self.meter = lab, meter
        self.kept = os.path.join(lab.dir, "backup")
        os.makedirs(self.kept)
        self.known = []  # manifest, path of the stored file

    def take(self):
        """Of what is new since the last one; the newest blocks get their certificates with those behind them."""
        for _ in range(20):
            self.meter.post(1)
            got = await_end(self.lab, order(self.lab, CHAIN))
            if got["state"] == "archived" or "checkpoint" not in (got["error"] or ""):
                break
        equal((got["state"], got["error"]), ("archived", None), "archive")
        (file,) = [f for f in files(self.lab) if f["number"] == got["file"]]
        path = object_path(self.lab, file)
        shutil.copy(path, self.kept)
        self.known.append((got["manifest"], path))

    def verify(self, manifest, path):
        """"" when it proves itself; else what is wrong."""
        genesis = os.path.join(node_dir(self.lab, "dev-1"), "genesis.json")
        code, said = self.lab.cli("archive", "verify", path, "--genesis", genesis, "--manifest", manifest, check=False)
        return "" if code == 0 else said.strip()

    def harmed(self, way, rng):
        """Harms one: it is refused with its name, and good again with the copy back in its place."""
        manifest, path = rng.choice(self.known)
        harm(path, way, rng)
        what = self.verify(manifest, path)
        check(what and (os.path.basename(path) in what or "manifest" in what), f"{way} of an archive is not named: {what}")
        copy = path + ".new"
        shutil.copy(os.path.join(self.kept, os.path.basename(path)), copy)
        os.rename(copy, path)
        equal(self.verify(manifest, path), "", "the archive with its copy put back")
        return what


def all_vote(lab, meter):
    """Who lost records, if only by a log that is gone, votes again when the others have decided without it."""

    def voting():
        for url in urls(lab, CHAIN).values():
            try:
                if not lab.rpc(url, "ridge_status")["consensus"]["voting"]:
                    meter.post(1)
                    return False
            except (OSError, ValueError, labs.LabError):
                return False
        return True

    labs.wait_for("all nodes to vote", 180, voting, 0.1)


def content(path):
    """None: it is not there."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def node_harmed(lab, meter, kind, way, rng):
    """The file that was harmed, and what the node said; (None, None) where there is none."""
    device = rng.choice(["dev-2", "dev-3", "dev-4"])  # dev-1 has the meter
    if kind == "db/*.sst" and not pick(lab, device, kind):
        restart(lab, device)  # the store turns its log into a table when it is opened
    all_vote(lab, meter)
    meter.post(1)
    top = height(lab, urls(lab, CHAIN, ["dev-1"])["dev-1"])
    stop(lab, device)
    path = pick(lab, device, kind)
    if not path:
        lab.agents[device].start()
        return None, None
    harm(path, way, rng)
    harmed, since = content(path), time.monotonic()
    check(not lab.processes_of(device), f"something of {device} runs while its files are harmed")
    equal(content(path), harmed, f"{path} after {way}, while nobody runs")
    lab.agents[device].start()
    what = verdict(lab, device, top, since)
    if what:
        check(kind not in BY_ITSELF, f"{way} {kind}: {what}")
        recover(lab, meter, device)
    return f"{device}: {os.path.relpath(path, node_dir(lab, device))}", what


class Tally:
    """What was done and how it ended, by kind of file and of harm; told at the end, and when the run is broken off."""

    def __init__(self, first, last):
        self.first, self.last = first, last
        self.done = self.compared = first - 1  # the last round that was done; the last one after which all was equal
        self.counts = collections.Counter()

    def add(self, kind, way, what):
        self.counts[kind, way, "no such file" if what is None else "named" if what else "no harm"] += 1

    def named(self):
        return sum(n for (_, _, outcome), n in self.counts.items() if outcome == "named")

    def harmless(self):
        return [f"{way} {kind}" for (kind, way, outcome) in self.counts if outcome == "no harm"]

    def show(self, whole):
        for kind in sorted({kind for kind, _, _ in self.counts}):
            parts = [f"{way} {n} {outcome}" for (k, way, outcome), n in sorted(self.counts.items()) if k == kind]
            print(f"     {kind:20} {', '.join(parts)}")
        total = collections.Counter()
        for (_, _, outcome), n in self.counts.items():
            total[outcome] += n
        print(f"     rounds {self.first} to {self.done} of {self.last}, seed {SEED}: {', '.join(f'{n} {o}' for o, n in sorted(total.items()))}; "
              f"the ledgers were equal after round {self.compared}", flush=True)  # fmt: skip
        if not whole:
            print(f"     go on with: ./test damage --rounds {self.last} --seed {SEED} --from {self.compared + 1}", flush=True)


def compare(lab, meter, tally):
    meter.post(5)
    meter.check_on(CHAIN)
    check_same_blocks(lab, CHAIN, seconds=120)
    state_roots(lab)
    tally.compared = tally.done
    print(f"     the ledgers are equal after round {tally.done}", flush=True)


def rounds(lab, meter, plan, tally):
    archives = Archives(lab, meter)
    for at in range(tally.first, tally.last + 1):
        (kind, way, rng), since = plan(at), time.monotonic()
        if kind == ARCHIVE:
            if len(archives.known) < 3:
                archives.take()
            path, what = "a stored archive", archives.harmed(way, rng)
        else:
            path, what = node_harmed(lab, meter, kind, way, rng)
        tally.add(kind, way, what)
        tally.done = at
        if path:
            print(f"     {at} of {tally.last}: {way} {path}: {what[:110] or 'no harm'} ({time.monotonic() - since:.1f} s)", flush=True)
        if at % COMPARE_EVERY == 0 and at < tally.last:
            compare(lab, meter, tally)


def broken_off(*_):
    raise KeyboardInterrupt


def campaign(plan, first, last):
    tally, whole = Tally(first, last), False
    signal.signal(signal.SIGTERM, broken_off)
    with cluster(agent=("--telemetry-interval", "200ms")) as lab:
        try:
            create(lab, CHAIN)
            deploy(lab, CHAIN, bind=True)
            meter = Meter(lab, "dev-1")
            for _ in range(10):
                meter.post(5)
            rounds(lab, meter, plan, tally)
            compare(lab, meter, tally)
            whole = True
        finally:
            tally.show(whole)
    return tally


def by_seed(at):
    rng = random.Random(f"{SEED}/{at}")
    return rng.choice(KINDS + BY_ITSELF + (ARCHIVE,)), rng.choice(WAYS), rng


@case
def each_kind_of_file_harmed_is_named_and_recovered():
    print(f"     seed {SEED}", flush=True)
    if ROUNDS:
        check(campaign(by_seed, FIRST, ROUNDS).named() > 0, "nothing was damaged")
        return
    plan = [("blocks/*.blk", "cut"), ("db/*.sst", "remove"), ("db/MANIFEST-*", "flip"), ("genesis.json", "cut"),
            ("db/CURRENT", "remove"), ("node-sign.crt", "remove"), ("node.conf", "cut"), ("peers.json", "flip"),
            ("roots.crt", "cut"), (ARCHIVE, "flip")]  # fmt: skip
    rng = random.Random(SEED)
    tally = campaign(lambda at: (*plan[at - 1], rng), 1, len(plan))
    equal(sorted(tally.harmless()), ["cut node.conf", "flip peers.json"], "what was harmed and did no harm")


@case
def a_recovery_goes_on_after_kills_and_is_recorded():
    with cluster(agent=("--telemetry-interval", "200ms")) as lab:
        create(lab, CHAIN)
        deploy(lab, CHAIN, bind=True)
        meter = Meter(lab, "dev-1")
        for _ in range(30):
            meter.post(2)
        stop(lab, "dev-3")
        # With one away the others can not spare another one.
        code, why = lab.cli("node", "recover", CHAIN, "dev-4", check=False)
        check(code == 6 and "are needed" in why, f"{code}: {why}")
        os.unlink(os.path.join(node_dir(lab, "dev-3"), "data", "db", "CURRENT"))
        lab.agents["dev-3"].start()
        check("CURRENT is gone" in verdict(lab, "dev-3", 1), "what is damaged")
        lab.wait_online(["dev-3"])
        lab.cloud.must("POST", f"/chains/{CHAIN}/nodes/dev-3/recover", {})
        lab.agents["dev-3"].kill()
        kill_node(lab, "dev-3")
        lab.cloud.kill()
        lab.cloud.start()
        lab.agents["dev-3"].start()

        def recovered():
            events = lab.cloud.must("GET", f"/chains/{CHAIN}/events?after=0")["events"]
            return [e for e in events if e["device"] == "dev-3" and (e["step"], e["state"]) == ("recover", "done")]

        equal(len(labs.wait_for("the end of the recovery", 60, recovered, 0.1)), 1, "ends of the recovery")
        labs.wait_for("no damage", 20, lambda: not entry(lab, "dev-3").get("damaged"), 0.1)
        left = [n for n in ("data.damaged", "recovering", "damaged") if os.path.exists(os.path.join(node_dir(lab, "dev-3"), n))]
        equal(left, [], "what is left of it")

        def recorded():
            answer = lab.cloud.must("GET", f"/mainchain/chains/{CHAIN}")["entries"]
            return [e for e in answer if e["kind"] == "recovery" and e["state"] == "written"]

        entries = labs.wait_for("the recovery on the main chain", 30, recorded, 0.1)
        equal([e["values"]["device"] for e in entries], ["dev-3"], "recoveries on the main chain")
        meter.check_on(CHAIN)
        check_same_blocks(lab, CHAIN)


@case
def what_can_not_be_recovered_is_said():
    with cluster(("dev-1", "dev-2"), agent=("--telemetry-interval", "200ms")) as lab:
        create(lab, "alone", ["dev-1"])
        code, why = lab.cli("node", "recover", "alone", "dev-1", check=False)
        check(code == 5 and "only node" in why, f"{code}: {why}")
        code, why = lab.cli("node", "recover", "alone", "dev-2", check=False)
        check(code == 3, f"{code}: {why}")
        create(lab, CHAIN, ["dev-1", "dev-2"])
        for key in ("node-enc.key", "node.key"):
            path = os.path.join(node_dir(lab, "dev-2"), key)
            os.rename(path, path + ".away")
            code, why = lab.cli("node", "recover", CHAIN, "dev-2", check=False)
            check(code == 1 and key in why and "validator" in why, f"{code}: {why}")
            os.rename(path + ".away", path)
        await_height(lab, CHAIN, 1, ("dev-1", "dev-2"))  # and the node runs on with what it has


if __name__ == "__main__":
    sys.exit(main())
