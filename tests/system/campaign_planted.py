"""The checker must find what is planted: in made-up evidence, and on a real node's disk."""

import copy

import campaign_check
from campaign_check import Journal, Ledger, violations
from cases import case, check, equal

METERS = ["aa" * 32, "bb" * 32]
NODES = ["node-1", "node-2", "node-3"]
BLOCKS = 6


def word(text):
    return text.ljust(64, "0")


def evidence():
    """Three ledgers of six blocks with two readings each, and their journal; nothing is wrong with them."""
    blocks, lines, sums = [], [], {meter: [0, 0] for meter in METERS}
    for height in range(1, BLOCKS + 1):
        txs = [word(f"{height:x}{k}") for k in range(2)]
        receipts = [f"1 100 {100 * (k + 1)} {word('c')}" for k in range(2)]
        blocks.append({
            "height": height, "hash": word(f"e{height}"), "parent": word(f"e{height - 1}"), "state": word(f"5{height}"),
            "executed": word(f"6{height}"), "view": 0, "checkpoint": True, "txs": txs, "receipts": receipts, "wrong": [],
        })  # fmt: skip
        for k, tx in enumerate(txs):
            lines.append({"sent": tx, "meter": METERS[k], "reading": True, "value": height})
            lines.append({"acknowledged": tx, "height": height, "index": k, "block": word(f"e{height}"), "receipt": receipts[k],
                          "node": "node-1"})  # fmt: skip
            sums[METERS[k]] = [sums[METERS[k]][0] + 1, sums[METERS[k]][1] + height]
    ledger = Ledger(blocks, {meter: tuple(got) for meter, got in sums.items()}, list(range(1, BLOCKS + 1)))
    return {name: copy.deepcopy(ledger) for name in NODES}, Journal(lines)


def finds(plant, *words):
    ledgers, journal = evidence()
    plant(ledgers, journal)
    found = violations(ledgers, journal)
    check(found, "the checker finds nothing")
    check(any(all(w in line for w in words) for line in found), f"none of these says {words}: {found}")


@case
def checker_is_content_with_good_evidence():
    equal(violations(*evidence()), [], "violations")


@case
def checker_finds_an_altered_receipt():
    def plant(ledgers, _):
        ledgers["node-2"].blocks[2]["receipts"][1] = f"1 100 201 {word('c')}"

    finds(plant, "was acknowledged as", "node-2")
    finds(plant, "height 3", "two receipts")


@case
def checker_finds_a_receipt_that_is_wrong_everywhere():
    def plant(ledgers, _):
        for ledger in ledgers.values():
            ledger.blocks[2]["receipts"][1] = f"0 100 200 {word('c')}"

    finds(plant, "was acknowledged as", "node-1")


@case
def checker_finds_a_missing_transaction():
    def plant(ledgers, _):
        for ledger in ledgers.values():
            ledger.blocks[4]["txs"].pop()
            ledger.blocks[4]["receipts"].pop()

    finds(plant, "acknowledged transaction", "is missing")


@case
def checker_finds_a_transaction_that_is_there_twice():
    def plant(ledgers, _):
        for ledger in ledgers.values():
            ledger.blocks[5]["txs"].append(ledger.blocks[1]["txs"][0])
            ledger.blocks[5]["receipts"].append(ledger.blocks[1]["receipts"][0])

    finds(plant, "is in block 2 and in block 6")


@case
def checker_finds_two_blocks_of_one_height():
    def fork(ledgers, _):
        ledgers["node-3"].blocks[3]["hash"] = word("ff")

    def twice(ledgers, _):
        ledgers["node-3"].records.insert(3, 3)

    def again(ledgers, _):
        ledgers["node-3"].blocks.insert(3, copy.deepcopy(ledgers["node-3"].blocks[2]))

    finds(fork, "height 4", "two hash")
    finds(twice, "node-3", "twice: [3]")
    finds(again, "node-3", "stands where")


@case
def checker_finds_another_state_or_result():
    def state(ledgers, _):
        ledgers["node-2"].blocks[5]["state"] = word("ff")

    def executed(ledgers, _):
        ledgers["node-2"].blocks[5]["executed"] = word("ff")

    finds(state, "height 6", "two state")
    finds(executed, "height 6", "two executed")


@case
def checker_finds_a_gap_and_a_short_chain():
    def gap(ledgers, _):
        del ledgers["node-1"].blocks[2]

    def short(ledgers, _):
        ledgers["node-2"].blocks.pop()

    def parent(ledgers, _):
        ledgers["node-1"].blocks[2]["parent"] = word("ff")

    finds(gap, "block 4 stands where 3 should")
    finds(short, "node-2 has 5 blocks")
    finds(parent, "does not follow")


@case
def checker_finds_a_seal_that_does_not_verify():
    def plant(ledgers, _):
        ledgers["node-3"].blocks[0]["wrong"].append("seal: signature does not verify")

    finds(plant, "node-3", "block 1", "seal")


@case
def checker_finds_wrong_totals():
    def count(ledgers, _):
        ledgers["node-1"].totals[METERS[0]] = (BLOCKS + 1, 21)

    def total(ledgers, _):
        ledgers["node-2"].totals[METERS[1]] = (BLOCKS, 22)

    finds(count, "node-1", METERS[0])
    finds(total, "node-2", METERS[1])


@case
def checker_finds_what_clients_cannot_have_seen():
    def stranger(ledgers, _):
        for ledger in ledgers.values():
            ledger.blocks[0]["txs"] += [word("77"), word("88")]
            ledger.blocks[0]["receipts"] += ["1 1 1 x", "1 1 1 x"]

    def open_one(_, journal):
        journal.sent[word("99")] = {"sent": word("99"), "meter": METERS[0], "reading": True, "value": 1}

    def refused(_, journal):
        next(iter(journal.acknowledged.values()))["receipt"] = f"0 100 100 {word('c')}"

    finds(stranger, "nobody sent")
    finds(open_one, "never acknowledged")
    finds(refused, "acknowledged as failed")


def _crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def damage_on_disk(campaign):
    """A receipt changed in a stopped node's block file, its checksum made right again; a seal with one bit changed."""
    journal = campaign_check.Journal.load(campaign.journal)
    contract, before = "00" * 20, list(campaign.violations)
    found = campaign.read_ledgers(contract, journal, 1, ["--spoil-seal", "2"])["node-2"].blocks
    check(any("seal" in what for what in found[1]["wrong"]), f"a spoilt seal was not found: {found[1]['wrong']}")
    equal(found[2]["wrong"], [], "what is wrong with the block after it")
    path = f"{campaign.chain.nodes[1].dir}/data/blocks/000001.blk"
    with open(path, "r+b") as file:
        data = bytearray(file.read())
        at = 0
        for _ in range(2):  # the third record
            at += campaign_check.record_size(data, at)
        end = at + campaign_check.record_size(data, at)
        data[end - 5] ^= 1  # the last byte of the receipts
        data[end - 4 : end] = _crc32c(data[at + campaign_check.HEAD : end - 4]).to_bytes(4, "big")
        file.seek(0)
        file.write(data)
    found = campaign.read_ledgers(contract, journal, 1, ["--spoil-seal", "0"])["node-2"].blocks
    check(any("receipts" in what for what in found[2]["wrong"]), f"an altered receipt was not found: {found[2]['wrong']}")
    equal(campaign.violations, before, "further violations")
