"""What has to hold after a fleet was troubled: every command had exactly one effect or a reported expiry, which names itself and
comes after the deadline, and no telemetry record that a device was told is stored is lost. Knows nothing of how it was run."""

from collections import Counter

EFFECT, NONE = ("done", "failed"), ("expired", "cancelled")


def bad_expiry(told):
    """Why this end of a command is no report of an expiry, or None. Clocks of cloud and devices are one."""
    if (told["error"] or {}).get("code") != "EXPIRED" or not told["error"].get("message"):
        return f"says {told['error']}"
    if not told["ended_ms"] or told["ended_ms"] < told["deadline_ms"]:
        return f"ended at {told['ended_ms']}, before its deadline {told['deadline_ms']}"
    return None


def violations(ordered, commands, effects, acks, stored):
    """ordered: {id: device} that the cloud has taken; commands: {id: {"device", "state", "error", "deadline_ms", "ended_ms"}} as
    the cloud tells them at the end; effects: [(device, id)]; acks and stored: (device, seq, time_ms) each. Returns texts."""
    found = []
    times = Counter(command for _, command in effects)
    for device, command in effects:
        if command not in ordered:
            found.append(f"{device} carried out {command}, which nobody ordered")
        elif ordered[command] != device:
            found.append(f"{device} carried out {command} of {ordered[command]}")
    for command, device in ordered.items():
        told = commands.get(command)
        if told is None:
            found.append(f"{command} of {device} is forgotten")
        elif told["state"] in EFFECT and times[command] != 1:
            found.append(f"{command} of {device} is {told['state']} and had {times[command]} effects")
        elif told["state"] in NONE and times[command] != 0:
            found.append(f"{command} of {device} is {told['state']} and had {times[command]} effects")
        elif told["state"] not in EFFECT + NONE:
            found.append(f"{command} of {device} is still {told['state']}, with {times[command]} effects")
        elif told["state"] == "expired" and bad_expiry(told):
            found.append(f"{command} of {device} is expired and {bad_expiry(told)}")
    found += [f"record {seq} of {device} was acknowledged and is not stored" for device, seq, _ in sorted(set(acks) - set(stored))]
    return found


def sound():
    """A small run without a fault: arguments of violations."""
    ordered = {f"c{i}": f"d{i % 3}" for i in range(9)}
    commands = {c: {"device": d, "state": "expired" if c == "c8" else "failed" if c == "c7" else "done", "error": None,
                    "deadline_ms": 1000, "ended_ms": 900} for c, d in ordered.items()}  # fmt: skip
    commands["c8"].update(error={"code": "EXPIRED", "message": "why"}, ended_ms=1001)
    effects = [(d, c) for c, d in ordered.items() if c != "c8"]
    acks = {("d0", 1, 10), ("d0", 2, 20), ("d1", 1, 10)}
    return {"ordered": ordered, "commands": commands, "effects": effects, "acks": acks, "stored": acks | {("d1", 2, 20)}}


PLANTED = {
    "an effect twice": lambda run: run["effects"].append(("d1", "c1")),
    "no effect of what is done": lambda run: run["effects"].remove(("d1", "c1")),
    "no effect of what has failed": lambda run: run["effects"].remove(("d1", "c7")),
    "an effect of what is expired": lambda run: run["effects"].append(("d2", "c8")),
    "an effect on another device": lambda run: run["effects"].__setitem__(0, ("d1", "c0")),
    "an effect that nobody ordered": lambda run: run["effects"].append(("d0", "x")),
    "an expiry without a word": lambda run: run["commands"]["c8"].update(error=None),
    "an expiry that says something else": lambda run: run["commands"]["c8"]["error"].update(code="INTERNAL"),
    "an expiry before its deadline": lambda run: run["commands"]["c8"].update(ended_ms=999),
    "a command that does not end": lambda run: run["commands"]["c1"].update(state="running"),
    "a command that is forgotten": lambda run: run["commands"].pop("c1"),
    "a record that is lost": lambda run: run["stored"].discard(("d1", 1, 10)),
    "a record stored with another time": lambda run: (run["stored"].discard(("d0", 1, 10)), run["stored"].add(("d0", 1, 11))),
}
