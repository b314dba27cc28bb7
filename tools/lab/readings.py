"""Readings for the first chain: from a CSV of a grid, or from this machine's own /proc.

A reading is (meter, time in seconds, value in micro-units); its JSON form carries the value as an exact decimal.
"""

import csv
import datetime
import decimal

MICRO = decimal.Decimal(1000000)


def micro(text):
    """The value scaled to micro-units, exactly; what has more than 6 places is rounded half up first."""
    return int((decimal.Decimal(text).quantize(decimal.Decimal("0.000001"), decimal.ROUND_HALF_UP) * MICRO).to_integral())


def as_json(meter, when, value):
    return {"meter": meter, "time": when, "value": f"{decimal.Decimal(value) / MICRO:f}"}


def from_csv(path, device, rows):
    """Rows of a CSV whose first column is a date, each further column a meter; device k starts at (k * 97) mod n."""
    with open(path, newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    header, body = table[0], table[1:]
    result = []
    start = (device * 97) % len(body)
    for i in range(min(rows, len(body))):
        row = body[(start + i) % len(body)]
        if start + i >= len(body):
            break  # time would go back
        when = int(datetime.datetime.fromisoformat(row[0]).replace(tzinfo=datetime.timezone.utc).timestamp())
        for name, text in zip(header[1:], row[1:]):
            result.append((name.lower(), when, micro(text)))
    return result


def from_proc(when):
    """One sample of this machine, taken at second `when`: memory, load, CPU and network counters as meters of their own."""
    result = []
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in list(file)[:6]:
            name, value = line.split(":")
            result.append((f"mem-{name.lower()}-mib", when, int(value.split()[0]) * 1000000 // 1024))
    with open("/proc/loadavg", encoding="ascii") as file:
        for name, value in zip(("1m", "5m", "15m"), file.read().split()):
            result.append((f"load-{name}", when, micro(value)))
    with open("/proc/stat", encoding="ascii") as file:
        cpu = file.readline().split()[1:5]
    for name, value in zip(("user", "nice", "system", "idle"), cpu):
        result.append((f"cpu-{name}-s", when, int(value) * 10000))
    with open("/proc/net/dev", encoding="ascii") as file:
        for line in list(file)[2:3]:
            name, counters = line.split(":")
            result.append((f"net-{name.strip()}-rx-mib", when, int(counters.split()[0]) * 1000000 // (1 << 20)))
    return result


def meter_id(device, meter):
    """The meter's id on the chain: its name, prefixed by the device's, as bytes32."""
    name = meter if "/" in meter else f"{device}/{meter}"
    return "0x" + name.encode().ljust(32, b"\0").hex()
