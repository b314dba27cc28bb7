"""The checker of suite campaign: what several ledgers and the clients' journal must say together.

A ledger comes from `ridge-campaign dump` (each block with what does not verify in it) and from the heights of the records
in its block files, read here byte by byte. The journal comes from `ridge-campaign load`. violations() returns sentences.
"""

import json
import os
import struct

MAGIC = 0x52424C4B
HEAD, TRAILER = 28, 4
SHOWN = 20


class Ledger:
    def __init__(self, blocks, totals, records):
        self.blocks, self.totals, self.records = blocks, totals, records


class Journal:
    def __init__(self, lines=()):
        self.sent, self.acknowledged, self.twice = {}, {}, []
        for line in lines:
            if "sent" in line:
                self.sent[line["sent"]] = line
            elif line["acknowledged"] in self.acknowledged:
                self.twice.append(line["acknowledged"])
            else:
                self.acknowledged[line["acknowledged"]] = line

    @classmethod
    def load(cls, path):
        with open(path, encoding="ascii") as file:
            return cls(map(json.loads, file))

    def meters(self):
        return sorted({line["meter"] for line in self.sent.values()})


def read_dump(text, records):
    lines = [json.loads(line) for line in text.splitlines()]
    blocks = [line for line in lines if "height" in line]
    return Ledger(blocks, {line["meter"]: (line["count"], line["sum"]) for line in lines if "meter" in line}, records)


def record_size(data, at):
    """Of the record that begins there, as its head says; None when no record begins there."""
    if at + HEAD > len(data):
        return None
    magic, _, proposal, seal, receipts = struct.unpack_from(">IQIII", data, at)
    return HEAD + proposal + seal + receipts + TRAILER if magic == MAGIC else None


def record_heights(directory):
    """Heights of the records in a node's block files, in their order."""
    heights = []
    folder = os.path.join(directory, "data", "blocks")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        at = 0
        while (size := record_size(data, at)) and at + size <= len(data):
            heights.append(struct.unpack_from(">Q", data, at + 4)[0])
            at += size
    return heights


def _one_ledger(name, ledger):
    parent, seen = None, {}
    for place, block in enumerate(ledger.blocks):
        height = block["height"]
        for what in block["wrong"]:
            yield f"{name}: block {height}: {what}"
        if height != place + 1:
            yield f"{name}: block {height} stands where {place + 1} should"
        if parent and block["parent"] != parent:
            yield f"{name}: block {height} does not follow the block before it"
        parent = block["hash"]
        for tx in block["txs"]:
            if tx in seen:
                yield f"{name}: transaction {tx} is in block {seen[tx]} and in block {height}"
            seen[tx] = height
    if ledger.records != list(range(1, len(ledger.blocks) + 1)):
        twice = sorted({h for h in ledger.records if ledger.records.count(h) > 1})[:5] if len(ledger.records) < 50000 else "…"
        yield f"{name}: block files hold {len(ledger.records)} records for {len(ledger.blocks)} blocks (twice: {twice})"


def _agreement(ledgers):
    (first, reference), *others = ledgers.items()
    for name, ledger in others:
        if len(ledger.blocks) != len(reference.blocks):
            yield f"{name} has {len(ledger.blocks)} blocks, {first} has {len(reference.blocks)}"
        for mine, theirs in zip(ledger.blocks, reference.blocks):
            for field in ("hash", "state", "executed", "txs", "receipts"):
                if mine[field] != theirs[field]:
                    yield f"height {mine['height']}: {name} and {first} have two {field}: {mine[field]}, {theirs[field]}"[:300]


def _clients(name, ledger, journal):
    """What was acknowledged is there, as it was said; what is there was sent."""
    where = {}
    for block in ledger.blocks:
        for index, tx in enumerate(block["txs"]):
            receipt = block["receipts"][index] if index < len(block["receipts"]) else None
            where[tx] = (block["height"], index, block["hash"], receipt)
    for tx, said in journal.acknowledged.items():
        promised = (said["height"], said["index"], said["block"], said["receipt"])
        if tx not in where:
            yield f"{name}: acknowledged transaction {tx} (block {said['height']}) is missing"
        elif where[tx] != promised:
            yield f"{name}: transaction {tx} was acknowledged as {promised}, the ledger has {where[tx]}"
        if not said["receipt"].startswith("1 "):
            yield f"transaction {tx} was acknowledged as failed: {said['receipt']}"
    strangers = [tx for tx in where if tx not in journal.sent]
    if len(strangers) > 1:  # one is the contract's deployment
        yield f"{name}: {len(strangers)} transactions that nobody sent: {strangers[:3]}"


def _totals(name, ledger, journal):
    want = {meter: [0, 0] for meter in journal.meters()}
    for tx in journal.acknowledged:
        line = journal.sent.get(tx)
        if line and line["reading"]:
            want[line["meter"]][0] += 1
            want[line["meter"]][1] += line["value"]
    for meter, (count, total) in want.items():
        got = ledger.totals.get(meter)
        if got != (count, total):
            yield f"{name}: meter {meter} counts {got}, acknowledged were {(count, total)}"


def violations(ledgers, journal):
    """Of {name: Ledger} and a Journal in which nothing is open; sentences, none when all is well."""
    found = [f"transaction {tx} was acknowledged twice" for tx in journal.twice]
    found += [f"transaction {tx} was sent and never acknowledged" for tx in journal.sent if tx not in journal.acknowledged]
    found += [f"transaction {tx} was acknowledged and never sent" for tx in journal.acknowledged if tx not in journal.sent]
    for name, ledger in ledgers.items():
        found += _one_ledger(name, ledger)
        found += _clients(name, ledger, journal)
        found += _totals(name, ledger, journal)
    found += _agreement(ledgers)
    return found if len(found) <= SHOWN else [*found[:SHOWN], f"… and {len(found) - SHOWN} more"]
