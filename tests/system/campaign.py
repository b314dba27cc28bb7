"""Suite campaign: chains of real nodes in network namespaces, under load and a storm of faults; then every ledger and every
receipt is examined.

    ./test campaign                                      the checker's own tests and a short storm of each kind
    ./test campaign --minutes 10 --seed 7 --consensus raft --nodes 3      one long storm
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import campaign_planted  # noqa: E402, F401
from campaign_run import Campaign, netns  # noqa: E402
from cases import Skip, case, check, main  # noqa: E402

SECONDS = int(os.environ.get("RIDGE_CAMPAIGN_SECONDS") or 10)


def storm(consensus, count, seed, seconds, keep=None):
    why = netns.missing()
    if why:
        raise Skip(why)
    print(f"     {consensus}, {count} nodes, seed {seed}, {seconds} s of faults", flush=True)
    campaign = Campaign(consensus, count, seed, seconds)
    report = campaign.run(keep)
    print(f"     {json.dumps(report)}", flush=True)
    check(not campaign.violations, f"seed {seed}: " + "; ".join(campaign.violations))
    return report


@case
def pbft_of_four():
    storm("pbft", 4, 4001, SECONDS, campaign_planted.damage_on_disk)


@case
def pbft_of_seven():
    storm("pbft", 7, 7001, SECONDS)


@case
def raft_of_three():
    storm("raft", 3, 3001, SECONDS)


@case
def raft_of_five():
    storm("raft", 5, 5001, SECONDS)


def by_hand(arguments):
    parser = argparse.ArgumentParser(description="One long storm.")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--consensus", choices=("pbft", "raft"), default="pbft")
    parser.add_argument("--nodes", type=int, default=0, help="default: 4 under PBFT, 3 under Raft")
    options = parser.parse_args(arguments)
    count = options.nodes or {"pbft": 4, "raft": 3}[options.consensus]
    try:
        storm(options.consensus, count, options.seed, int(options.minutes * 60))
    except Skip as skip:
        print(f"skipped: {skip}\n0 passed, 0 failed, 1 skipped")
        return 1
    except AssertionError as error:
        print(f"FAIL {error}\n0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    if "--list" not in sys.argv and not netns.missing():
        netns.enter()
    sys.exit(by_hand(sys.argv[1:]) if "--minutes" in sys.argv else main())
