"""Programs killed with -9 at bad moments: nothing acknowledged is lost, nothing happens twice, everything comes back."""

from support import *  # noqa: F403
from cases import case, check, equal


@case
def node_killed_while_blocks_are_made():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meters = [Meter(lab, name) for name in NAMES]
        for victim in ("dev-1", "dev-2", "dev-3"):
            for meter in meters:
                meter.post(20)
            await_height(lab, "c", height(lab, urls(lab, "c")["dev-4"]) or 0)
            before = height(lab, urls(lab, "c")[victim])
            known = hashes(lab, urls(lab, "c")[victim], before)
            old = lab.node_pids("c")[victim]
            kill_9(old)
            for meter in meters:
                meter.post(5)
            labs.wait_for(f"a new node on {victim}", 15, lambda v=victim, o=old: lab.node_pids("c").get(v, o) != o, 0.02)
            labs.wait_for("its height", 15, lambda v=victim, b=before: (height(lab, urls(lab, "c")[v]) or 0) >= b, 0.02)
            equal(hashes(lab, urls(lab, "c")[victim], before), known, f"blocks that {victim} had before it was killed")
        for meter in meters:
            meter.check_on("c")
        check_same_blocks(lab, "c")
        check_one_node_each(lab, "c")


@case
def all_nodes_killed_at_once():
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meter = Meter(lab, "dev-2")
        meter.post(200)
        known = hashes(lab, urls(lab, "c")["dev-1"], height(lab, urls(lab, "c")["dev-1"]))
        for pid in lab.node_pids("c").values():
            kill_9(pid)
        meter.post(200)  # they are taken while no node runs
        meter.check_on("c")
        equal(check_same_blocks(lab, "c")[: len(known)], known, "blocks from before")


@case
def node_that_cannot_go_on_for_long_holds_up_nobody():
    """One of four is stopped for good: three go on, and it catches up when it is let go."""
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        stopped = lab.node_pids("c")["dev-3"]
        os.kill(stopped, 19)
        try:
            meter = Meter(lab, "dev-1")
            for _ in range(5):
                meter.post(50)
                labs.wait_for("receipts of three nodes", 30, meter.queue_empty, 0.02)
        finally:
            os.kill(stopped, 18)
        meter.check_on("c")
        check_same_blocks(lab, "c")
        equal(lab.node_pids("c")["dev-3"], stopped, "the node that was stopped")


POINTS = [("chain", "creating", None), ("prepare", "sent", "dev-2"), ("prepare", "done", "dev-2"), ("genesis", "done", None),
          ("start", "sent", "dev-2"), ("start", "done", "dev-1"), ("first-block", "running", None)]  # fmt: skip


def killed_in_a_creation(kill, back):
    """kill(lab) at each point of a creation, then back(lab): it ends well, with one node on each device."""
    with cluster() as lab:
        for number, (step, state, device) in enumerate(POINTS):
            chain = f"c{number}"
            ask_create(lab, chain)
            await_event(lab, chain, step, state, device)
            kill(lab)
            back(lab)
            got = await_chain(lab, chain, "running")
            equal(got["error"], None, f"error of {chain} after a kill at {step} {state}")
            equal([d["state"] for d in got["devices"]], ["done"] * 4, f"steps of {chain}")
            check_one_node_each(lab, chain)
            await_height(lab, chain, 1)
            check_same_blocks(lab, chain)
            destroy(lab, chain)
            check_nothing_of(lab, chain)


@case
def agent_killed_in_a_creation():
    killed_in_a_creation(lambda lab: lab.agents["dev-2"].kill(), lambda lab: lab.agents["dev-2"].start())


@case
def cloud_killed_in_a_creation():
    killed_in_a_creation(lambda lab: lab.cloud.kill(), lambda lab: lab.cloud.start())


@case
def everything_killed_in_a_creation():
    def kill(lab):
        lab.cloud.kill()
        for agent in lab.agents.values():
            agent.kill()
        for _, pid in lab.nodes():
            kill_9(pid)

    def back(lab):
        for agent in lab.agents.values():
            agent.start()
        lab.cloud.start()

    killed_in_a_creation(kill, back)


@case
def agent_killed_in_a_removal():
    with cluster() as lab:
        for number, (step, state) in enumerate((("chain", "destroying"), ("remove", "sent"), ("remove", "done"))):
            chain = f"c{number}"
            create(lab, chain)
            before = last_event(lab, chain)
            lab.cloud.must("DELETE", f"/chains/{chain}?discard={chain}")
            await_event(lab, chain, step, state, after=before)
            lab.agents["dev-3"].kill()
            lab.agents["dev-3"].start()
            await_chain(lab, chain, "destroyed")
            check_nothing_of(lab, chain)


@case
def readings_survive_whatever_is_killed():
    """Agents and nodes die at random moments while readings flow: every reading is on the chain once."""
    dice = run_seed()
    with cluster() as lab:
        create(lab, "c")
        deploy(lab, "c", bind=True)
        meters = [Meter(lab, name) for name in NAMES]
        kills = 0
        for turn in range(60):
            for meter in meters:
                meter.post(dice.randint(1, 30))
            if turn % 6 == 5:
                kills += 1
                victim = dice.choice(NAMES)
                time.sleep(dice.random() * 0.15)  # not awaited: the moment is what varies
                if dice.random() < 0.4 and (pid := lab.node_pids("c").get(victim)):
                    kill_9(pid)
                lab.agents[victim].kill()
                lab.agents[victim].start()
        for meter in meters:
            meter.check_on("c", seconds=90)
        check_same_blocks(lab, "c")
        equal(kills, 10, "kills")


@case
def port_taken_between_preparation_and_start():
    with cluster() as lab:
        last = lab.agents["dev-4"]
        os.kill(last.pid, 19)  # the chain waits for its preparation
        try:
            ask_create(lab, "c")
            await_event(lab, "c", "prepare", "done", "dev-1")
            lab.agents["dev-1"].kill()
            record = labs.read_json(os.path.join(lab.dir, "devices", "dev-1", "chains", "c", "chain.json"))
            with taken_port(record["p2p_port"]):
                lab.agents["dev-1"].start()
                os.kill(last.pid, 18)
                got = labs.wait_for("the failure", 60, lambda: failed(lab, "c"), 0.05)
                for word in ("dev-1", str(record["p2p_port"]), "use"):
                    check(word in got["error"], f"'{word}' is not in: {got['error']}")
        finally:
            os.kill(last.pid, 18)
        lab.cloud.must("POST", "/chains/c/retry", {})
        await_chain(lab, "c", "running")
        check_one_node_each(lab, "c")
        check_same_blocks(lab, "c")


def failed(lab, chain):
    got = chain_state(lab, chain)
    check(got["state"] != "running", f"chain {chain} is running")
    return got if got["state"] == "failed" else None
