"""A cloud and devices on this machine, for ./run, the benchmarks and the whole-system tests.

Everything lives below one directory; ports are chosen by the system; stop() ends every process that was started, whoever
started it, takes down what containers need, and removes the directory. Only the standard library is used.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import containers
import mqtt

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class LabError(Exception):
    """Something did not go as it must; the text says what and where to look."""


def patience(seconds):
    """How long to wait for what takes an idle machine less than so many seconds: others may keep the processors busy."""
    return max(seconds, min(4 * seconds, 90))


def wait_for(what, seconds, probe, interval=0.01):
    """The first true value of probe(), asked again and again; LabError after patience(seconds)."""
    end = time.monotonic() + patience(seconds)
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {patience(seconds)} s")
        time.sleep(interval)


def request(url, method, path, body=None, token=None, timeout=60):
    """One HTTP exchange with JSON: (status, value)."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    try:
        connection.request(method, path, body=data, headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text) if text else None
    except ValueError:
        return answer.status, text.decode(errors="replace")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def resident_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def cpu_seconds(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0.0


class Program:
    """A process of ours with its log; restarted with the same arguments."""

    def __init__(self, argv, log, env=None):
        self.argv, self.log, self.env = argv, log, env
        self.process = None

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RIDGE_")}
        environment.update(self.env or {})
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
            )

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=80):
        if not self.alive():
            return
        self.process.send_signal(sig)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self):
        """As a power cut does it."""
        self.process.kill()
        self.process.wait()

    def end(self, seconds=20):
        """The exit status of a program that is to end by itself."""
        try:
            return self.process.wait(patience(seconds))
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.argv[0]} has not ended within {patience(seconds)} s; its log says:\n{self.log_tail()}") from None

    def log_tail(self, lines=5):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except OSError:
            return ""


class Cloud(Program):
    def __init__(self, lab, extra=()):
        self.dir = os.path.join(lab.dir, "cloud")
        super().__init__(
            [lab.binary("ridge-cloud"), "--data", self.dir, "--port", "0", "--link-host", "127.0.0.1", "--link-port", "0", *extra], os.path.join(lab.dir, "cloud.log")
        )
        self.token = None
        self.url = self.link_url = None

    def start(self):
        about = os.path.join(self.dir, "cloud.json")
        if os.path.exists(about):
            os.unlink(about)
        super().start()

        def ready():
            if not self.alive():
                raise LabError(f"ridge-cloud ended at its start; its log says:\n{self.log_tail()}")
            found = read_json(about)
            return found if found and found.get("url") else None

        found = wait_for("the cloud's address in cloud.json", 60, ready)
        self.url, self.link_url = found["url"], found.get("link_url")
        with open(os.path.join(self.dir, "admin.token"), encoding="ascii") as file:
            self.token = file.read().strip()
        wait_for("the cloud's health", 60, self.healthy)

    def healthy(self):
        try:
            return request(self.url, "GET", "/api/v1/health", timeout=5)[0] == 200
        except OSError:
            return False

    def call(self, method, path, body=None, timeout=60):
        """(status, answer) of a REST call."""
        return request(self.url, method, "/api/v1" + path, body, self.token, timeout)

    def must(self, method, path, body=None, timeout=60):
        status, answer = self.call(method, path, body, timeout)
        if not 200 <= status <= 299:
            message = answer.get("error", {}).get("message") if isinstance(answer, dict) else answer
            raise LabError(f"{method} {path}: HTTP {status}: {message}")
        return answer


class Agent(Program):
    def __init__(self, lab, name, driver="process", extra=()):
        self.name, self.lab = name, lab
        self.dir = os.path.join(lab.dir, "devices", name)
        os.makedirs(self.dir, exist_ok=True)
        super().__init__(
            [
                lab.binary("ridge-agent"),
                "--dir", self.dir,
                "--cloud", lab.cloud.link_url,
                "--name", name,
                "--driver", driver,
                "--node-program", lab.binary("ridge-node"),
                "--http-port", "0",
                "--telemetry-interval", "1s",
                *extra,
            ],
            os.path.join(lab.dir, f"{name}.log"),
        )  # fmt: skip

    def start(self, token=None):
        about = os.path.join(self.dir, "agent.json")
        if os.path.exists(about):
            os.unlink(about)
        self.env = {"RIDGE_AGENT_TOKEN": token} if token else {}
        super().start()

        def ready():
            if not self.alive():
                raise LabError(f"ridge-agent {self.name} ended at its start; its log says:\n{self.log_tail()}")
            found = read_json(about)
            return found and found.get("http_url")

        self.url = wait_for(f"the local address of {self.name}", 20, ready)

    def call(self, method, path, body=None, timeout=30):
        return request(self.url, method, path, body, timeout=timeout)

    def publish(self, topic, value):
        """To the device's own broker, for agents that were started with --intake-broker."""
        with mqtt.Client(read_json(os.path.join(self.dir, "agent.json"))["intake_broker"]) as client:
            client.publish(topic, value)

    def intake(self):
        status, answer = self.call("GET", "/v1/intake")
        if status != 200:
            raise LabError(f"{self.name}: GET /v1/intake: HTTP {status}")
        return answer


class Lab:
    def __init__(self, build=None, keep=False):
        """build: the directory of the programs; default $RIDGE_BIN, or the release build."""
        self.bin = build or os.environ.get("RIDGE_BIN") or os.path.join(ROOT, "build", "release", "bin")
        self.dir = os.path.realpath(tempfile.mkdtemp(prefix="ridge-lab-", dir=os.environ.get("TMPDIR", "/tmp")))
        os.chmod(self.dir, 0o755)
        self.keep = keep
        self.cloud = None
        self.agents = {}

    def binary(self, name):
        path = os.path.join(self.bin, name)
        if not os.access(path, os.X_OK):
            raise LabError(f"{path} is not there: build it with tools/build release")
        return path

    def start_cloud(self, extra=()):
        self.cloud = Cloud(self, extra)
        self.cloud.start()
        return self.cloud

    def enrol(self, names, driver="process", extra=()):
        """Agents for names, started together; returns when the cloud sees all of them online."""
        if not names:
            return
        tokens = self.cloud.must("POST", "/device-tokens", {"count": len(names), "ttl_s": 3600})["tokens"]
        for name, token in zip(names, tokens):
            self.agents[name] = Agent(self, name, driver, extra)
            self.agents[name].start(token["token"])
        self.wait_online(names)

    def online(self):
        return {d["name"] for d in self.cloud.must("GET", "/devices")["devices"] if d["state"] == "online"}

    def wait_online(self, names, seconds=30):
        try:
            wait_for("all devices online", seconds, lambda: set(names) <= self.online(), 0.02)
        except LabError as error:
            missing = sorted(set(names) - self.online())
            logs = "".join(f"--- {n}\n{self.agents[n].log_tail()}" for n in missing if n in self.agents)
            raise LabError(f"{error}: missing {', '.join(missing)}\n{logs}") from None

    def cli(self, *args, check=True, progress=False):
        """Runs the command line against this cloud; its JSON answer, or (status, stderr) with check=False."""
        command = [self.binary("ridge"), *args, "--json"]
        environment = dict(os.environ, RIDGE_HOME=self.cloud.dir)
        result = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=None if progress else subprocess.PIPE, check=False
        )
        if check and result.returncode != 0:
            said = "" if progress else result.stderr.decode(errors="replace")
            raise LabError(f"ridge {' '.join(args)}: exit status {result.returncode}: {said}")
        if not check:
            return result.returncode, (result.stderr or b"").decode(errors="replace")
        return json.loads(result.stdout) if result.stdout.strip() else None

    def node_dir(self, device, chain):
        return os.path.join(self.dir, "devices", device, "chains", chain)

    def rpc_urls(self, chain):
        """Addresses of the chain's nodes, as their devices report them: {device: url}."""

        def known():
            urls = {}
            for device in self.cloud.must("GET", "/devices")["devices"]:
                for entry in device.get("chains") or []:
                    if entry.get("chain") == chain and entry.get("rpc_url"):
                        urls[device["name"]] = entry["rpc_url"]
            members = {d["device"] for d in self.cloud.must("GET", f"/chains/{chain}")["devices"]}
            return urls if members <= set(urls) else None

        return wait_for(f"the RPC addresses of chain {chain}", 15, known, 0.05)

    def rpc(self, url, method, params=()):
        status, answer = request(url, "POST", "/", {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        if status != 200 or "error" in answer:
            raise LabError(f"{method}: {answer}")
        return answer["result"]

    def node_pids(self, chain=None):
        """Processes of ridge-node that belong to this lab: {device: pid}."""
        return dict(self.nodes(chain))

    def nodes(self, chain=None):
        """The same as a list of (device, pid): a device that runs two nodes of a chain is there twice."""
        found = []
        for pid, line in self._processes():
            if os.path.basename(line.split("\0")[0]) != "ridge-node":
                continue
            place = line if self.dir in line else containers.data_of(pid) or ""
            for name in self.agents:
                if f"/devices/{name}/chains/{chain + '/' if chain else ''}" in place:
                    found.append((name, pid))
        return found

    def processes_of(self, device):
        """Everything that names the device's directory: agent, nodes, and what is just being started."""
        place = f"/devices/{device}/"
        return [pid for pid, line in self._processes() if place in line.replace("\0", "/") + "/" or place in (containers.data_of(pid) or "") + "/"]

    def _processes(self):
        """(pid, command line) of everything that names our directory, on its command line or as what is mounted in it."""
        ours = os.path.basename(self.dir)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().decode(errors="replace")
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                    state = file.read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if state not in "ZX" and int(pid) != os.getpid() and (self.dir in line or ours in (containers.data_of(pid) or "")):
                yield int(pid), line

    def leftovers(self):
        """What must not be there after the end: processes, mounts and cgroups of ours."""
        left = [f"process {pid}: {line.replace(chr(0), ' ').strip()}" for pid, line in self._processes()]
        left += [f"mount {place}" for place in containers.mounts_below(self.dir)]
        return left + [f"cgroup {path}" for path in containers.cgroups(self.dir, self.agents)]

    def stop(self):
        for agent in self.agents.values():
            agent.stop()
        if self.cloud:
            self.cloud.stop()
        for pid, _ in list(self._processes()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_for("the end of all processes", 10, lambda: not list(self._processes()), 0.02)
        containers.clear(self.dir, self.agents)
        left = self.leftovers()
        if left:
            raise LabError("left behind: " + "; ".join(left))
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
