"""One campaign: a chain in namespaces under load and faults, then healing, convergence, and the checker."""

import contextlib
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))

import campaign_check  # noqa: E402
import campaign_faults  # noqa: E402
import lab as labs  # noqa: E402
import netns  # noqa: E402
import nodes  # noqa: E402

ARTIFACT = os.path.join(ROOT, "contracts", "artifacts", "Metering.json")
VIEW_TIMEOUT = {"pbft": "2s", "raft": "1s"}
CONVERGENCE_S = 90  # from the last fault's end to all nodes at one height with blocks growing
DRAIN_S = 90
EXIT_RESTART = 5
LOGS = os.path.join(ROOT, "build", "campaign")  # what nodes and load said in runs that failed


def binary(name):
    path = os.path.join(os.environ.get("RIDGE_BIN") or os.path.join(ROOT, "build", "dev", "bin"), name)
    if not os.access(path, os.X_OK):
        raise labs.LabError(f"{path} is not there: build it with tools/build dev")
    return path


class Campaign:
    """run() returns a report; what must not be stands in self.violations."""

    def __init__(self, consensus, count, seed, seconds, rate=150, meters=60, say=print):
        self.consensus, self.count, self.seed, self.seconds = consensus, count, seed, seconds
        self.rate, self.meters, self.say = rate, meters, say
        self.violations, self.restarts = [], 0
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="ridge-campaign-", dir=os.environ.get("TMPDIR", "/tmp")))
        self.journal = os.path.join(self.dir, "journal")

    def run(self, keep=None):
        """keep(campaign) may look at the stopped nodes' directories before they go."""
        try:
            network = netns.Network(self.count)
            self._make_disks()
            genesis = ["--view-timeout", VIEW_TIMEOUT[self.consensus], "--block-interval", "50ms"]
            with nodes.Chain(binary, self.dir, self.consensus, self.count, network, genesis, ["--memory", "8MiB"]) as self.chain:
                self.chain.start()
                self.faults = campaign_faults.Faults(self.chain, network)
                with self._load() as load:
                    self._storm()
                    converged = self._converge()
                    load.process.send_signal(signal.SIGTERM)
                    loaded = self._loaded(load)
                self._settle()
                report = {"converged_s": converged, **self._stop_and_check(loaded)}
                if keep:
                    keep(self)
                return report
        except BaseException as error:
            self.violations.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            if self.violations:
                self._keep_logs()
            for i in range(self.count):
                subprocess.run(["umount", "-l", self._disk(i)], capture_output=True, check=False)
            network.close()
            shutil.rmtree(self.dir, ignore_errors=True)

    def _keep_logs(self):
        place = os.path.join(LOGS, f"{self.consensus}-{self.count}-{self.seed}")
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        for path in glob.glob(os.path.join(self.dir, "*.log")):
            shutil.copy(path, place)
        with open(os.path.join(place, "violations"), "w", encoding="utf-8") as file:
            file.write("\n".join(self.violations) + "\n")
        self.say(f"     what nodes and load said is kept in {place}")

    def _disk(self, i):
        return os.path.join(self.dir, f"node-{i + 1}")

    def _make_disks(self):
        for i in range(self.count):
            os.mkdir(self._disk(i), 0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={campaign_faults.DISK},mode=700", "tmpfs", self._disk(i)], check=True)

    @contextlib.contextmanager
    def _load(self):
        load = labs.Program(
            ["setpriv", "--pdeathsig", "KILL", binary("ridge-campaign"), "load", "--rpc", ",".join(self.chain.urls()),
             "--artifact", ARTIFACT, "--journal", self.journal, "--rate", str(self.rate), "--meters", str(self.meters),
             "--drain", f"{DRAIN_S}s"],
            os.path.join(self.dir, "load.log"),
        )  # fmt: skip
        load.start()
        try:
            labs.wait_for("the first acknowledged transaction", 60, self._acknowledged, 0.1)
            yield load
        except labs.LabError as error:
            raise labs.LabError(f"{error}; the load says: {load.log_tail()}") from None
        finally:
            load.stop(signal.SIGKILL)

    def _acknowledged(self):
        return os.path.exists(self.journal) and os.path.getsize(self.journal) > 0

    # --- the storm ---------------------------------------------------------------------------------------

    def _storm(self):
        plan = campaign_faults.plan(self.seed, self.count, self.seconds)
        begin, open_faults = time.monotonic(), []
        while plan or open_faults:
            now = time.monotonic() - begin
            for fault in [f for f in open_faults if f.at + f.seconds <= now]:
                open_faults.remove(fault)
                self.faults.end(fault)
            while plan and plan[0].at <= now:
                fault = plan.pop(0)
                if self.faults.begin(fault):
                    fault.at = time.monotonic() - begin
                    open_faults.append(fault)
            self._supervise()
            self.faults.watch_wiped()
            time.sleep(0.02)

    def _supervise(self):
        """As an agent does: who asks for a restart gets it. Any other end is a finding."""
        for i, node in enumerate(self.chain.nodes):
            if node.process is None or node.process.poll() is None:
                continue
            holder = self.faults.held.get(i)
            if holder and holder.kind != "disk_full":
                continue
            status = node.process.returncode
            excused = status == EXIT_RESTART or (status > 0 and self.faults.may_fail_for_space(i))
            if not excused:
                self.violations.append(f"{node.name} ended with {status}: {node.log_tail(3)}")
            self.restarts += 1
            node.start()
            time.sleep(0.1)

    # --- after it ----------------------------------------------------------------------------------------

    def _heights(self):
        self._supervise()
        return [node.height(2) for node in self.chain.nodes]

    def _converge(self):
        """Seconds until every node has got 3 blocks further than the highest of them was when all was healed."""
        begin = time.monotonic()
        start = max((h for h in self._heights() if h is not None), default=0)

        def there():
            self.faults.watch_wiped()
            return all(h is not None and h >= start + 3 for h in self._heights())

        try:
            labs.wait_for("convergence", CONVERGENCE_S, there, 0.1)
        except labs.LabError:
            self.violations.append(f"healed from height {start} on, after {CONVERGENCE_S} s the nodes are at {self._heights()}: "
                                   f"{self._consensus()}")  # fmt: skip
        return round(time.monotonic() - begin, 1)

    def _consensus(self):
        return {n.name: {k: v for k, v in (n.status() or {}).items() if k in ("height", "consensus", "halted")} for n in self.chain.nodes}

    def _loaded(self, load):
        status = load.end(DRAIN_S + 30)
        text = load.log_tail(1)
        try:
            loaded = json.loads(text)
        except ValueError:
            raise labs.LabError(f"the load ended with {status} and says: {load.log_tail(5)}") from None
        if status != 0:
            self.violations.append(f"transactions without a receipt {DRAIN_S} s after the end of the load: {loaded['open']}")
        return loaded

    def _settle(self):
        """No load any more: all come to one height."""
        same = lambda: len(set(self._heights())) == 1 and None not in self._heights()  # noqa: E731
        try:
            labs.wait_for("one height", CONVERGENCE_S, same, 0.1)
        except labs.LabError:
            self.violations.append(f"without load the nodes stay at {self._heights()}")
        if self.faults.wiped:
            self.faults.watch_wiped()
        for node in self.chain.nodes:
            status = node.status(10) or {}
            if status.get("halted"):
                self.violations.append(f"{node.name} has halted: {status['halted']}")
            if status.get("consensus", {}).get("evidence"):
                self.violations.append(f"{node.name} holds evidence that a validator signed two things")
            if not status.get("consensus", {}).get("voting"):
                self.violations.append(f"{node.name} does not vote: {status}")

    def _stop_and_check(self, loaded):
        views = [status["consensus"]["view"] for status in (n.status(10) for n in self.chain.nodes) if status]
        for name, status in self.chain.stop().items():
            if status != 0:
                self.violations.append(f"{name} ended with {status} when it was told to stop")
        journal = campaign_check.Journal.load(self.journal)
        ledgers = self.read_ledgers(loaded["contract"], journal)
        self.violations += campaign_check.violations(ledgers, journal)
        blocks = max(len(ledger.blocks) for ledger in ledgers.values())
        return {
            "blocks": blocks,
            "transactions": len(journal.acknowledged),
            "sent_again": loaded["again"],
            "view": max(views, default=0),
            "faults": self.faults.done,
            "left_out": self.faults.left_out,
            "restarts": self.restarts,
            "wiped_caught_up_s": self.faults.caught_up,
            "errors": self._errors(),
        }

    def read_ledgers(self, contract, journal, only=None, extra=()):
        meters = os.path.join(self.dir, "meters")
        with open(meters, "w", encoding="ascii") as file:
            file.write("\n".join(journal.meters()) + "\n")
        ledgers = {}
        for i, node in enumerate(self.chain.nodes):
            if only is not None and i != only:
                continue
            command = [binary("ridge-campaign"), "dump", "--dir", node.dir, "--contract", contract, "--meters", meters, *extra]
            if i == 0 and not extra:  # one node's blocks are executed again; the others must only be equal to it
                command += ["--replica", os.path.join(self.dir, "replica")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode != 0:
                self.violations.append(f"the ledger of {node.name} cannot be read")
                continue
            ledgers[node.name] = campaign_check.read_dump(done.stdout, campaign_check.record_heights(node.dir))
        return ledgers

    def _errors(self):
        """Events of level error in the nodes' logs, counted: for who reads the report."""
        counts = {}
        for node in self.chain.nodes:
            with open(node.log, encoding="utf-8", errors="replace") as file:
                for line in file:
                    if '"level":"error"' in line:
                        event = re.search(r'"event":"([^"]*)"', line)
                        counts[event.group(1) if event else "?"] = counts.get(event.group(1) if event else "?", 0) + 1
        return counts
