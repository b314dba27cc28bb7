"""Suite membership: validators come and go under load, by the command line, and nothing acknowledged is lost."""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from support import Meter, await_height, check_nothing_of, check_same_blocks, cluster, create, deploy, labs  # noqa: E402


class Load:
    """Readings without a pause, until it is ended; what was accepted is the meter's to check."""

    def __init__(self, meter):
        self.meter, self.stopping = meter, threading.Event()
        self.failed = None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.stopping.wait(0.05):
                self.meter.post(5)
        except Exception as error:  # told by end(): a case fails in its own thread only
            self.failed = error

    def end(self):
        self.stopping.set()
        self.thread.join()
        if self.failed:
            raise self.failed


def validators(lab, chain):
    answer = lab.cli("chain", "validator", "list", chain)
    return answer, [v["name"] for v in answer["validators"]]


def change(lab, chain, action, device):
    answer = lab.cli("chain", "validator", action, chain, device)
    equal((answer["change"]["state"], answer["change"]["device"]), ("done", device), f"{action} {device}")
    return [v["name"] for v in answer["validators"]]


@case
def from_one_to_four_and_back_to_three_under_load():
    names = ["dev-1", "dev-2", "dev-3", "dev-4"]
    with cluster(tuple(names)) as lab:
        create(lab, "grow", ["dev-1"])
        deploy(lab, "grow", bind=True)
        meter = Meter(lab, "dev-1")
        load = Load(meter)
        try:
            for count, device in enumerate(names[1:], 2):
                equal(change(lab, "grow", "add", device), names[:count], "validators")
            answer, _ = validators(lab, "grow")
            equal(answer["epoch"], 3, "epoch")
            equal(change(lab, "grow", "remove", "dev-2"), ["dev-1", "dev-3", "dev-4"], "validators")
        finally:
            load.end()
        check(len(meter.values) > 20, f"only {len(meter.values)} readings were given")
        meter.check_on("grow")
        left = ("dev-1", "dev-3", "dev-4")
        await_height(lab, "grow", 1, left)
        check_same_blocks(lab, "grow", left)
        labs.wait_for("the node of dev-2 to be gone", 30, lambda: not [n for n, _ in lab.nodes("grow") if n == "dev-2"])
        labs.wait_for("its directory, too", 30, lambda: not os.path.exists(os.path.join(lab.dir, "devices", "dev-2", "chains", "grow")))
        check_nothing_of(lab, "grow", ("dev-2",))
        equal(change(lab, "grow", "add", "dev-2"), ["dev-1", "dev-3", "dev-4", "dev-2"], "validators")


@case
def what_cannot_work_is_said_at_once():
    with cluster(("dev-1", "dev-2")) as lab:
        create(lab, "small", ["dev-1"])
        for arguments, words in (
            (("remove", "small", "dev-1"), "last validator"),
            (("remove", "small", "dev-2"), "no validator"),
            (("add", "small", "dev-1"), "already"),
            (("add", "small", "dev-9"), "does not exist"),
            (("add", "small"), "usage"),
            (("drop", "small", "dev-1"), "not known"),
            (("list", "nothing"), "does not exist"),
        ):
            status, said = lab.cli("chain", "validator", *arguments, check=False)
            check(status != 0, f"{arguments} ended well")
            check(words in said, f"{arguments}: {said!r} does not say {words!r}")
        told = lab.cli("chain", "consensus", "small")
        equal((told["protocol"], told["epoch"], told["leader"]), ("pbft", 0, "dev-1"), "consensus")
        equal(told["blocks"][0]["voted"], ["dev-1"], "who sealed the last block")


@case
def the_lead_of_a_raft_chain_goes_to_whom_the_operator_names():
    names = ["dev-1", "dev-2", "dev-3"]
    with cluster(tuple(names)) as lab:
        lab.cli("chain", "create", "led", "--devices", ",".join(names), "--driver", "process", "--consensus", "raft")
        before = lab.cli("chain", "consensus", "led")
        to = next(name for name in names if name != before["leader"])
        answer = lab.cli("chain", "leader", "transfer", "led", to)
        equal((answer["leader"], answer["from"]), (to, before["leader"]), "the answer")
        check(answer["term"] > before["view"], f"term {answer['term']} after {before['view']}")
        labs.wait_for("a node that says so", 10, lambda: lab.cli("chain", "consensus", "led")["leader"] == to)
        answer = lab.cli("chain", "leader", "transfer", "led")
        check(answer["leader"] != to and answer["from"] == to, f"without a name: {answer}")
        events = lab.cloud.must("GET", "/chains/led/events?after=0&wait_ms=0")["events"]
        check(any(e["step"] == "leader.transfer" for e in events), "no event tells of it")
        for arguments, words in (
            (("transfer", "led", answer["leader"]), "already"),
            (("transfer", "led", "dev-9"), "no validator"),
            (("transfer", "nothing"), "does not exist"),
            (("give", "led"), "not known"),
        ):
            status, said = lab.cli("chain", "leader", *arguments, check=False)
            check(status != 0 and words in said, f"{arguments}: {status} {said!r} does not say {words!r}")
        create(lab, "voted", ["dev-1"])
        status, said = lab.cli("chain", "leader", "transfer", "voted", check=False)
        check(status != 0 and "rotate_every" in said, f"under pbft: {status} {said!r}")


@case
def a_cloud_that_is_killed_goes_on_with_the_change():
    with cluster(("dev-1", "dev-2")) as lab:
        create(lab, "resume", ["dev-1"])
        lab.cloud.must("POST", "/chains/resume/validators", {"device": "dev-2"})
        for _ in range(4):
            time.sleep(0.4)
            lab.cloud.kill()
            lab.cloud.start()

        def done():
            status, answer = lab.cloud.call("GET", "/chains/resume/validators")
            return status == 200 and answer["change"]["state"] == "done" and answer
        answer = labs.wait_for("the end of the change", 60, done, 0.1)
        equal([v["name"] for v in answer["validators"]], ["dev-1", "dev-2"], "validators")


if __name__ == "__main__":
    sys.exit(main())
