"""The main job as a user starts it, end to end: what it prints, what it proves, and that it leaves nothing."""

import contextlib
import csv
import datetime
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import containers  # noqa: E402
import lab as labs  # noqa: E402
from cases import Skip, case, check, equal, main  # noqa: E402

FIELDS = {
    "devices", "consensus", "driver", "chain_create_ms", "first_block_ms", "blocks", "readings_in", "readings_on_chain",
    "totals_match", "tx_p50_ms", "tx_p99_ms", "tps", "node_rss_kib", "agent_rss_kib", "chain_destroy_ms",
}  # fmt: skip
ETT = os.path.join(os.environ.get("RIDGE_SHARED", os.path.join(ROOT, "..", "shared")), "data", "ett")


class Play:
    """One start of the main job in a directory for temporary files of its own, where it must leave nothing."""

    def __init__(self, *arguments, **environment):
        self.dir = tempfile.mkdtemp(prefix="ridge-play-")
        os.chmod(self.dir, 0o755)
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "tools", "lab", "first_chain.py"), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ, TMPDIR=self.dir, **environment),
        )  # fmt: skip
        self.said = []

    def until(self, word):
        """Reads what it says to the person up to the first line with the word."""
        for line in self.process.stderr:
            self.said.append(line)
            if word in line:
                return
        raise AssertionError(f"ended before it said {word!r}:\n{''.join(self.said)}")

    def end(self):
        out, err = self.process.communicate(timeout=180)
        self.said.append(err)
        return self.process.returncode, out

    def check_nothing_left(self, files=()):
        equal([f for f in os.listdir(self.dir) if f not in files], [], "files left behind")
        equal(containers.mounts_below(self.dir), [], "mounts left behind")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().decode(errors="replace")
            except OSError:
                continue
            check(self.dir not in line + (containers.data_of(pid) or ""), f"process left behind: {pid} {line!r}")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def play(*arguments, consensus="pbft"):
    p = Play(*arguments, "--consensus", consensus, "--once", "--json")
    try:
        status, out = p.end()
        check(status == 0, f"exit status {status}:\n{''.join(p.said)}")
        p.check_nothing_left()
    finally:
        p.close()
    lines = out.strip().splitlines()
    equal(len(lines), 1, "lines on standard output with --json")
    result = json.loads(lines[0])
    equal(FIELDS - set(result), set(), "fields that are missing")
    check(result["totals_match"] is True, "the totals of the chain are not those of the input")
    equal(result["readings_on_chain"], result["readings_in"], "readings on the chain")
    check(result["readings_in"] > 0, "no readings went in")
    equal(result["consensus"], consensus, "consensus")
    for name in FIELDS - {"totals_match", "consensus", "driver"}:
        check(isinstance(result[name], (int, float)) and result[name] > 0, f"{name} is {result[name]!r}")
    check(result["first_block_ms"] <= result["chain_create_ms"], "the first block came after the creation")
    return result


def cgroups():
    return set(glob.glob("/sys/fs/cgroup/ridge*") + glob.glob("/sys/fs/cgroup/*/ridge*"))


def need_oci():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not shutil.which("runc") and not shutil.which("crun"):
        raise Skip("needs runc or crun")


def image(directory):
    """The image of the node under test, built once for the suite."""
    path = os.path.join(directory, "image")
    program = os.path.join(os.environ["RIDGE_BIN"], "ridge-node")
    subprocess.run([os.path.join(ROOT, "deploy", "image", "build"), program, path], stdout=subprocess.DEVNULL, check=True)
    return path


def with_image(run):
    with tempfile.TemporaryDirectory(prefix="ridge-image-") as directory:
        return run(image(directory))


@case
def process_driver():
    result = play("--driver", "process")
    equal((result["devices"], result["driver"]), (4, "process"), "devices and driver")


@case
def oci_driver():
    need_oci()
    before = cgroups()
    result = with_image(lambda path: play("--driver", "oci", "--image", path))
    equal((result["devices"], result["driver"]), (4, "oci"), "devices and driver")
    equal(cgroups() - before, set(), "control groups left behind")


@contextlib.contextmanager
def podman_service():
    """The socket of an engine with storage of its own; skips by name where there is none."""
    if os.geteuid() != 0 or not shutil.which("podman"):
        raise Skip("needs root and podman (Debian: podman)")
    with tempfile.TemporaryDirectory(prefix="ridge-podman-") as directory:
        socket, run = os.path.join(directory, "engine.sock"), os.path.join(directory, "run")
        command = ["podman", "--root", os.path.join(directory, "storage"), "--runroot", run, "--tmpdir", run, "--runtime", "runc"]
        command += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        command += ["system", "service", "--time", "0", "unix://" + socket]
        with open(os.path.join(directory, "log"), "w+b") as log, subprocess.Popen(command, stdout=log, stderr=log) as service:
            try:
                end = time.monotonic() + 30
                while not os.path.exists(socket):
                    if service.poll() is not None or time.monotonic() > end:
                        raise Skip("podman's service does not run here")
                    time.sleep(0.05)
                yield socket
            finally:
                service.terminate()


@case
def docker_driver():
    with podman_service() as socket:
        result = with_image(lambda path: play("--driver", "docker", "--devices", "1", "--image", path, "--docker-socket", socket))
    equal((result["devices"], result["driver"]), (1, "docker"), "devices and driver")


@case
def driver_auto_takes_containers_when_it_may():
    need_oci()
    result = with_image(lambda path: play("--image", path))
    equal(result["driver"], "oci", "driver")


@case
def readings_of_a_file():
    rows = 40  # for each device; they begin 97 rows apart
    start = datetime.datetime(2016, 7, 1)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "meters.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["date", "Load", "Oil"])
            for minute in range(500):
                when = start + datetime.timedelta(minutes=minute)
                table.writerow([when, f"{minute / 7:.9f}", f"-{minute}.{minute:06}"])
        result = play("--driver", "process", "--readings", path, "--rows", str(rows))
    equal(result["readings_in"], 4 * rows * 2, "readings")


@case
def transformer_readings():
    path = os.path.join(ETT, "ETTh1.csv")
    files = sorted(glob.glob(os.path.join(ETT, "*.csv")))
    if not files:
        raise Skip(f"no CSV in {ETT}")
    result = play("--driver", "process", "--readings", path if path in files else files[0], "--rows", "50")
    check(result["readings_in"] >= 4 * 50, f"only {result['readings_in']} readings went in")


@case
def readings_by_mqtt():
    if not shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin"):
        raise Skip("needs mosquitto")
    play("--driver", "process", "--intake", "mqtt")


@case
def three_devices_only_when_asked_for():
    result = play("--driver", "process", "--devices", "3")
    equal(result["devices"], 3, "devices")


@case
def three_devices_under_raft():
    result = play("--driver", "process", "--devices", "3", consensus="raft")
    equal(result["devices"], 3, "devices")


def interrupted(sig, *arguments, after):
    p = Play(*arguments)
    try:
        p.until(after)
        p.process.send_signal(sig)
        status, _ = p.end()
        check(status != 0, "exit status 0 although it was interrupted")
        p.check_nothing_left()
    finally:
        p.close()


@case
def interrupted_while_devices_enrol():
    interrupted(signal.SIGINT, "--driver", "process", "--once", "--json", after="cloud is up")


@case
def interrupted_while_the_chain_is_created():
    interrupted(signal.SIGTERM, "--driver", "process", "--once", "--json", after="start")


@case
def interrupted_with_containers():
    need_oci()
    before = cgroups()
    with_image(lambda path: interrupted(signal.SIGINT, "--driver", "oci", "--image", path, "--once", "--json", after="start"))
    with_image(lambda path: interrupted(signal.SIGTERM, "--driver", "oci", "--image", path, "--json", after="is deployed"))
    equal(cgroups() - before, set(), "control groups left behind")


@case
def stays_up_until_it_is_told_to_end():
    p = Play("--driver", "process", "--json")
    try:
        p.until("Everything stays up")
        check(p.process.poll() is None, "ended by itself")
        p.process.send_signal(signal.SIGINT)
        status, _ = p.end()
        equal(status, 0, "exit status after Ctrl-C")
        p.check_nothing_left()
    finally:
        p.close()


@case
def a_container_runtime_that_fails():
    need_oci()
    before = cgroups()
    with tempfile.TemporaryDirectory() as directory:
        runtime = os.path.join(directory, "runc")
        with open(runtime, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\n[ "$3" = --log ] && echo \'{"level":"error","msg":"no \\"pivot\\"","time":"now"}\' >>"$4"\nexit 1\n')
        os.chmod(runtime, 0o755)
        p = Play("--driver", "oci", "--image", image(directory), "--once", PATH=directory + ":" + os.environ["PATH"])
        try:
            status, _ = p.end()
            said = "".join(p.said)
            equal(status, 1, "exit status")
            check("Traceback" not in said and "logs are kept in" in said, said)
            check(f'{runtime} cannot start the container of demo: no "pivot"\n' in said, f"the reason is not shown:\n{said}")
            p.check_nothing_left(files=os.listdir(p.dir))  # the logs
        finally:
            p.close()
    equal(cgroups() - before, set(), "control groups left behind")


@case
def a_program_that_is_missing_is_named():
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "tools", "lab", "first_chain.py"), "--once"],
            env=dict(os.environ, RIDGE_BIN=empty, TMPDIR=empty), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    equal(done.returncode, 1, "exit status")
    check("ridge-cloud is not there" in done.stderr and "tools/build" in done.stderr, done.stderr)


if __name__ == "__main__":
    for program in ("ridge-cloud", "ridge-agent", "ridge-node", "ridge"):
        if not os.access(os.path.join(os.environ["RIDGE_BIN"], program), os.X_OK):
            sys.exit(f"{program} is not in {os.environ['RIDGE_BIN']}: build it with tools/build dev, or set RIDGE_BIN")
    sys.exit(main())
