"""Files that devices give to the cloud, and what the cloud has of them: for the suites collection and object-store."""

import hashlib
import http.client
import random
import urllib.parse

from cases import check, equal
from support import labs

PIECE = 1 << 20


def content(size, seed):
    return random.Random(seed).randbytes(size)


def give(agent, kind, name, data):
    """A file to the agent, in pieces, going on where it says after its restart."""
    offset = 0
    while True:
        piece = data[offset : offset + PIECE]
        last = "&last=1" if offset + len(piece) == len(data) else ""
        status, answer = agent.call("PUT", f"/v1/files/{kind}/{name}?offset={offset}{last}", piece)
        if status == 409:
            offset = answer["offset"]
            continue
        check(status in (200, 202), f"{agent.name}: HTTP {status}: {answer}")
        offset = answer["offset"]
        if last:
            return


def fetch(lab, number):
    parts = urllib.parse.urlsplit(lab.cloud.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", f"/api/v1/files/{number}/content", headers={"Authorization": f"Bearer {lab.cloud.token}"})
        answer = connection.getresponse()
        data = answer.read()
        equal(answer.status, 200, f"status of the content of file {number}")
        return data
    finally:
        connection.close()


def files(lab, device=None):
    return lab.cloud.must("GET", "/files?limit=1000" + (f"&device={device}" if device else ""))["files"]


def wait_files(lab, count, device=None, seconds=60):
    def there():
        try:
            found = files(lab, device)
        except OSError:
            return None
        return found if len(found) >= count else None

    found = labs.wait_for(f"{count} files", seconds, there, 0.05)
    equal(len(found), count, "files in the cloud")
    return found


def outbox(agent):
    return agent.call("GET", "/v1/files")[1]


def check_equal(lab, file, data):
    got = fetch(lab, file["number"])
    equal((len(got), hashlib.sha256(got).hexdigest()), (len(data), hashlib.sha256(data).hexdigest()), f"content of {file['name']}")
