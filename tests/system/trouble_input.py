"""Wrong, hostile and repeated input: the error names thing, reason and remedy, and everything goes on."""

import socket
import urllib.parse

from support import *  # noqa: F403
from cases import case, check, equal


def refused(lab, status, code, words, method, path, body=None):
    """The request is answered with this status and code, in words that help."""
    got, answer = lab.cloud.call(method, path, body)
    what = f"{method} {path}"
    equal(got, status, f"{what}: status ({answer})")
    equal(answer["error"]["code"], code, f"{what}: code ({answer})")
    for word in words:
        check(word in answer["error"]["message"], f"{what}: '{word}' is not in: {answer['error']['message']}")
    check(re.fullmatch("[0-9a-f]{32}", answer["error"]["trace"]), f"{what}: no trace id")


def agent_that_ends(lab, name, token, *words):
    """An agent that is refused ends, and says why."""
    agent = labs.Agent(lab, name)
    agent.env = {"RIDGE_AGENT_TOKEN": token} if token else {}
    labs.Program.start(agent)
    try:
        check(agent.end() != 0, "exit status 0 although it was refused")
    finally:
        agent.stop()
    for word in words:
        check(word in agent.log_tail(3), f"'{word}' is not in: {agent.log_tail(3)}")


def token(lab, **how):
    return lab.cloud.must("POST", "/device-tokens", {"count": 1, **how})["tokens"][0]


@case
def enrolment_with_a_wrong_token():
    lab = shared.get()
    root = token(lab)["token"].split(".")[1]
    agent_that_ends(lab, "stranger", f"rdt_{'0' * 48}.{root}", "token", "not known", "ridge device token")
    agent_that_ends(lab, "stranger", f"rdt_{'0' * 48}", "64 digits", "ridge device token")


@case
def enrolment_with_a_token_of_another_cloud():
    lab = shared.get()
    secret = token(lab)["token"].split(".")[0]
    agent_that_ends(lab, "stranger", f"{secret}.{'0' * 64}", "is not that of this token")
    check("stranger" not in lab.online(), "a device is online that was to refuse this cloud")


@case
def enrolment_without_a_token():
    agent_that_ends(shared.get(), "stranger-2", None, "no token", "ridge device token")


@case
def enrolment_with_a_used_token():
    lab = shared.get()
    once = token(lab)["token"]
    first = labs.Agent(lab, "first-user")
    try:
        first.start(once)
        labs.wait_for("first-user online", 20, lambda: "first-user" in lab.online(), 0.02)
        agent_that_ends(lab, "second-user", once, "has been used", "ridge device token")
    finally:
        first.stop()


@case
def enrolment_with_an_expired_token():
    lab = shared.get()
    old = token(lab, ttl_s=1)
    labs.wait_for("the token's end", 5, lambda: time.time() * 1000 > old["expires_ms"] + 50, 0.05)
    agent_that_ends(lab, "late", old["token"], "has expired", "ridge device token")


@case
def device_name_twice():
    lab = shared.get()
    other = labs.Agent(lab, "dev-1-again")  # its own directory and key, the other's name
    other.argv[other.argv.index("--name") + 1] = "dev-1"
    other.env = {"RIDGE_AGENT_TOKEN": token(lab)["token"]}
    labs.Program.start(other)
    try:
        check(other.end() != 0, "exit status 0")
    finally:
        other.stop()
    for word in ("dev-1", "another key", "another name"):
        check(word in other.log_tail(3), f"'{word}' is not in: {other.log_tail(3)}")
    check("dev-1" in lab.online(), "the device that had the name is offline")


@case
def cloud_token_wrong_or_missing():
    lab = shared.get()
    for wrong in (None, "nonsense", lab.cloud.token[:-1], lab.cloud.token + "0", "\u00e4".encode().decode("latin-1")):
        status, answer = labs.request(lab.cloud.url, "GET", "/api/v1/devices", token=wrong)
        equal((status, answer["error"]["code"]), (401, "UNAUTHENTICATED"), f"token {wrong!r}")
    status, said = lab.cli("--help", check=False)
    environment = dict(os.environ, RIDGE_TOKEN="nonsense", RIDGE_URL=lab.cloud.url)
    done = subprocess.run([lab.binary("ridge"), "device", "list"], env=environment, stderr=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE, check=False)  # fmt: skip
    check(done.returncode != 0 and "token" in done.stderr, f"exit {done.returncode}: {done.stderr}")


@case
def three_devices_tolerate_nothing():
    lab = shared.get()
    status, said = lab.cli("chain", "create", "small", "--devices", "dev-1,dev-2,dev-3", check=False)
    check(status != 0, "it was created")
    for word in ("4 tolerate 1", "1 to 3 tolerate 0", "--allow-no-fault-tolerance"):
        check(word in said, f"'{word}' is not in: {said}")
    refused(lab, 404, "NOT_FOUND", ["small"], "GET", "/chains/small")


@case
def chains_that_cannot_be():
    lab = shared.get()

    def create_with(status, code, words, **changes):
        body = {"name": "odd", "devices": NAMES, "driver": "process", **changes}
        refused(lab, status, code, words, "POST", "/chains", body)

    create_with(400, "INVALID", ["dev-1", "twice"], devices=["dev-1", "dev-2", "dev-3", "dev-1"])
    create_with(404, "NOT_FOUND", ["dev-9", "ridge device list"], devices=["dev-1", "dev-2", "dev-3", "dev-9"])
    create_with(409, "EXISTS", ["main"], name="main")
    create_with(400, "INVALID", ["name"], name="../../etc")
    create_with(400, "INVALID", ["devices"], devices=[])
    create_with(400, "INVALID", ["driver"], driver="podman")
    create_with(400, "INVALID", ["consensus"], consensus="luck")
    create_with(400, "INVALID", ["memory_bytes"], memory_bytes=1)
    for body in ({}, {"name": "odd"}, {"name": 7, "devices": NAMES}, {"name": "odd", "devices": "dev-1"}, [], "x", None):
        got, answer = lab.cloud.call("POST", "/chains", body)
        check(got == 400 and answer["error"]["code"] in ("INVALID", "MALFORMED"), f"{body}: {got} {answer}")
    refused(lab, 404, "NOT_FOUND", ["odd"], "GET", "/chains/odd")


@case
def chain_and_contract_that_do_not_exist():
    lab = shared.get()
    for method, path, body in (
        ("GET", "", None), ("DELETE", "?discard=nope", None), ("POST", "/retry", {}), ("POST", "/cancel", None),
        ("GET", "/contracts", None), ("GET", "/blocks", None), ("GET", "/blocks/1", None), ("GET", "/events?after=0", None),
        ("POST", "/contracts/c/call", {"method": "m", "args": []}), ("POST", "/intake", {"contract": "c"}),
        ("POST", "/rpc", {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}),
    ):  # fmt: skip
        refused(lab, 404, "NOT_FOUND", ["nope"], method, "/chains/nope" + path, body)
    for how in ("send", "call"):
        refused(lab, 404, "NOT_FOUND", ["nope"], "POST", f"/chains/main/contracts/nope/{how}", {"method": "m", "args": []})
    refused(lab, 404, "NOT_FOUND", ["nope"], "POST", "/chains/main/intake", {"contract": "nope"})
    refused(lab, 404, "NOT_FOUND", ["nope"], "GET", "/devices/nope")
    refused(lab, 404, "NOT_FOUND", ["nope"], "POST", "/devices/nope/commands", {"type": "chain.stop", "params": {}})
    refused(lab, 404, "NOT_FOUND", [], "GET", "/chains/main/blocks/1000000")
    refused(lab, 404, "NOT_FOUND", [], "GET", "/chains/main/txs/0x" + "ab" * 32)
    status, said = lab.cli("chain", "status", "nope", check=False)
    check(status != 0 and "nope" in said and "ridge chain list" in said, said)


@case
def destruction_wants_the_name():
    lab = shared.get()
    for query in ("?discard=", "?discard=yes", "?discard=MAIN", "?discard=other"):
        refused(lab, 409, "CONFLICT", ["archive", "--discard main"], "DELETE", "/chains/main" + query)
    check_one_node_each(lab, "main")


@case
def bytecode_that_is_none():
    lab = shared.get()

    def deploy_with(status, code, words, **changes):
        refused(lab, status, code, words, "POST", "/chains/main/contracts",
                {"name": "odd", "abi": [], "bytecode": "0x00", "args": [], **changes})  # fmt: skip

    deploy_with(400, "INVALID", ["bytecode"], bytecode="0xthis is no hex")
    deploy_with(400, "INVALID", ["bytecode"], bytecode="0x123")
    deploy_with(400, "INVALID", ["bytecode"], bytecode="")
    deploy_with(400, "INVALID", ["bytecode"], bytecode=7)
    deploy_with(400, "INVALID", ["abi"], abi="no")
    deploy_with(400, "INVALID", ["name"], name="No Name")
    deploy_with(413, "TOO_LARGE", ["bytecode"], bytecode="0x" + "00" * 60000)
    unresolved = "0x6080__$2f1c9a0e0b0e1e7d8f6a5b4c3d2e1f0a9b$__5b"
    deploy_with(400, "INVALID", ["bytecode"], bytecode=unresolved)
    equal([c["name"] for c in lab.cloud.must("GET", "/chains/main/contracts")["contracts"]], ["metering"], "contracts")


@case
def arguments_that_do_not_fit():
    lab = shared.get()
    meter = "0x" + "11" * 32

    def invoke(how, status, code, words, method, args):
        refused(lab, status, code, words, "POST", f"/chains/main/contracts/metering/{how}", {"method": method, "args": args})

    for how in ("call", "send"):
        invoke(how, 404, "NOT_FOUND", ["fly"], "fly", [])
        invoke(how, 404, "NOT_FOUND", ["0 arguments", "totals(bytes32)"], "totals", [])
        invoke(how, 404, "NOT_FOUND", ["2 arguments", "totals(bytes32)"], "totals", [meter, meter])
        invoke(how, 400, "INVALID", [], "totals", ["0x12"])
        invoke(how, 400, "INVALID", [], "totals", [{"a": 1}])
        invoke(how, 400, "INVALID", [], "totals", [["deep"]])
        invoke(how, 400, "INVALID", [], "totals", "no list")
    invoke("send", 422, "REVERTED", ["UnknownMeter"], "submit", [meter, ["1"], ["1"]])


STREAM = "/api/v1/events"  # what it is asked for well it answers without an end


@case
def hostile_requests_to_every_route():
    """Whatever is sent: an error of the caller's, in the agreed form; never one of ours."""
    lab = shared.get()
    bodies = [
        b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe{}", b"{}" + b" " * 5000, b"[" * 5000, b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"name":1e999,"devices":[1e999],"count":-1,"type":[]}',
        b'{"name":"\\u0000","devices":["\\ud800"],"token":"\\u0000","type":"\\u0000"}',
        json.dumps({k: v for v in ({"x": []},) for k in FIELDS}).encode(),
        json.dumps({k: "A" * 70000 for k in FIELDS}).encode(),
        json.dumps({k: -(2**63) for k in FIELDS}).encode(),
        json.dumps({k: [[["x"] * 50] * 5] * 5 for k in FIELDS}).encode(),
    ]  # fmt: skip
    with open(os.path.join(ROOT, "docs", "openapi.yaml"), encoding="utf-8") as file:
        routes, path = [], None
        for line in file:
            if found := re.match(r"  (/\S+):$", line):
                path = found[1]
            elif found := re.match(r"    (get|post|put|delete|patch):$", line):
                routes.append((found[1].upper(), path))
    check(len(routes) > 25, f"only {len(routes)} routes found in docs/openapi.yaml")
    for method, path in routes:
        for filler in ("nope", "%00", "..%2f..%2fetc%2fpasswd", "A" * 3000, "%ff%fe", "'; DROP TABLE chains; --"):
            where = re.sub(r"\{[^}]*\}", urllib.parse.quote(filler, safe="%"), path)
            for body in bodies if filler == "nope" or "{" not in path else bodies[:3]:
                knock(lab, method, where + ("?type=nope" if path == STREAM else ""), body)
            if "{" not in path:
                break
        knock(lab, method, re.sub(r"\{[^}]*\}", "nope", path) + "?after=x&wait_ms=-1&limit=99999999999999999999&from=%00&type=nope", b"{}")
    check(lab.cloud.healthy(), "the cloud is not well afterwards")
    equal(set(NAMES) - lab.online(), set(), "devices that are gone")
    equal(chain_state(lab, "main")["state"], "running", "state of the chain")


FIELDS = ("name", "devices", "token", "public_key", "signature", "count", "ttl_s", "type", "params", "id", "deadline_ms", "method",
          "timeout_ms", "args", "abi", "bytecode", "contract", "consensus", "driver", "image", "memory_bytes", "pids", "device",
          "allow_no_fault_tolerance", "jsonrpc", "drivers", "arch")  # fmt: skip


def knock(lab, method, path, body):
    status, answer = labs.request(lab.cloud.url, method, path, body, lab.cloud.token)
    what = f"{method} {path[:80]} with {body[:60]!r}"
    if status in (429, 503):
        return
    check(status < 500, f"{what}: HTTP {status}: {answer}")
    if status >= 400:
        check(isinstance(answer, dict) and answer["error"]["code"] and answer["error"]["message"], f"{what}: {status} {answer!r}")


@case
def broken_http():
    lab = shared.get()
    where = urllib.parse.urlsplit(lab.cloud.url)
    device = urllib.parse.urlsplit(lab.agents["dev-1"].url)
    node = urllib.parse.urlsplit(urls(lab, "main")["dev-1"])
    for host in (where, device, node):
        for data in (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 5000,
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nhello",
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000,
        ):  # fmt: skip
            with socket.create_connection((host.hostname, host.port), timeout=0.5) as s:
                with contextlib.suppress(OSError):  # closed at once, or still waiting for an end of the line: both are fine
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    s.recv(65536)
    check(lab.cloud.healthy(), "the cloud is not well afterwards")
    equal(lab.agents["dev-1"].call("GET", "/v1/health")[0], 200, "health of the agent")
    check(height(lab, urls(lab, "main")["dev-1"]) is not None, "the node does not answer")
    check_one_node_each(lab, "main")


@case
def json_rpc_that_is_none():
    lab = shared.get()
    url = urls(lab, "main")["dev-1"]
    for body in (b"", b"{", b"[]", b"7", b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","id":1,"method":7}', b"[" * 3000,
                 b'{"jsonrpc":"2.0","id":{},"method":"eth_call","params":{"a":1}}'):  # fmt: skip
        status, answer = labs.request(url, "POST", "/", body)
        check(status in (200, 400) and "error" in str(answer), f"{body[:60]}: {status} {answer}")
    for method, params in (
        ("ridge_sendTransaction", ["0xzz"]), ("ridge_sendTransaction", ["0x"]), ("ridge_sendTransaction", ["0x" + "ff" * 200]),
        ("ridge_sendTransaction", ["0x" + "00" * 300000]), ("ridge_sendTransaction", [7]), ("ridge_sendTransaction", []),
        ("eth_getBlockByNumber", ["0x"]), ("eth_getBlockByNumber", ["-1", False]), ("eth_call", [{"to": "0x12"}]),
        ("eth_getLogs", [{"fromBlock": "0xffffffffffffffffff"}]), ("eth_nothing", []), ("admin_stop", []),
    ):  # fmt: skip
        status, answer = labs.request(url, "POST", "/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        check("error" in answer and answer["error"]["message"], f"{method} {str(params)[:60]}: {status} {answer}")
    check_one_node_each(lab, "main")


@case
def readings_that_are_none():
    lab = shared.get()
    agent = lab.agents["dev-4"]
    for body in (b"", b"{", b"[[]]" * 500, b"\xff" * 100):
        status, answer = agent.call("POST", "/v1/readings", body)
        check(status == 400 and answer["error"]["message"], f"{body[:20]}: {status} {answer}")
    status, answer = agent.call("POST", "/v1/readings", [{"meter": "x", "time": k, "value": 1} for k in range(1, 1002)])
    check(status in (400, 413), f"1,001 readings: HTTP {status}: {answer}")
    odd = [
        {"meter": "", "time": 1, "value": 1}, {"meter": "m" * 40, "time": 1, "value": 1}, {"meter": "odd", "time": -1, "value": 1},
        {"meter": "odd", "time": 1, "value": "1.1234567"}, {"meter": "odd", "time": 1, "value": "9" * 30},
        {"meter": "odd", "time": 1, "value": "NaN"}, {"meter": "odd", "time": 1}, {"meter": 7, "time": 1, "value": 1}, "x", None,
    ]  # fmt: skip
    status, answer = agent.call("POST", "/v1/readings", [*odd, {"meter": "good", "time": 5, "value": "1.5"}])
    equal((status, answer["accepted"]), (202, 1), f"the good one among them ({answer})")
    equal([r["index"] for r in answer["refused"]], list(range(len(odd))), "indexes that are refused")
    check(all(r["code"] and r["message"] for r in answer["refused"]), f"a reason is missing: {answer}")
    status, answer = agent.call("POST", "/v1/readings", {"meter": "good", "time": 5, "value": "1.5"})
    equal((status, answer["accepted"], answer["refused"][0]["code"]), (202, 0, "STALE"), "the same reading again")


@case
def ports_in_use():
    lab = shared.get()
    with taken_port() as port:
        done = subprocess.run([lab.binary("ridge-cloud"), "--data", os.path.join(lab.dir, "cloud-2"), "--port", str(port)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30, check=False)  # fmt: skip
        equal(done.returncode, 4, f"exit status of ridge-cloud ({done.stderr})")
        check(str(port) in done.stderr, f"the port is not named: {done.stderr}")
        agent = labs.Agent(lab, "dev-5")
        agent.argv[agent.argv.index("--http-port") + 1] = str(port)
        agent.env = {"RIDGE_AGENT_TOKEN": token(lab)["token"]}
        labs.Program.start(agent)
        check(agent.end() != 0 and str(port) in agent.log_tail(), f"the agent does not name the port: {agent.log_tail()}")
    done = subprocess.run([lab.binary("ridge-cloud"), "--data", lab.cloud.dir, "--port", "0"], stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, timeout=30, check=False)  # fmt: skip
    check(done.returncode != 0 and "another ridge-cloud" in done.stderr, f"a second cloud on the same data: {done.stderr}")
