"""Suite libridge: what `cmake --install --component client` installs is what a C program needs, and no more; the examples of
sdk/c, built against it by pkg-config, work on a chain, and offline after its validators changed."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import case, check, equal, main  # noqa: E402
from support import ARTIFACT, ROOT, cluster, create  # noqa: E402

BUILD = os.environ.get("RIDGE_BUILD", os.path.join(ROOT, "build", "dev"))
METER = "0x" + "6d31".ljust(64, "0")
scratch = tempfile.mkdtemp(prefix="ridge-libridge-")
prefix = os.path.join(scratch, "usr")
LIB = os.path.join(prefix, "lib")
environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(LIB, "pkgconfig"), LD_LIBRARY_PATH=LIB, RIDGE_PASSPHRASE="correct horse")


def run(*command, ok=True, **more):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False, **more)
    check((done.returncode == 0) == ok, f"{' '.join(command)}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout if ok else done.stderr


def install():
    if not os.path.isdir(prefix):
        run("cmake", "--install", BUILD, "--component", "client", "--prefix", prefix)


def pkg_config(*options):
    return run("pkg-config", *options, "ridge").split()


def headers():
    folder = os.path.join(prefix, "include", "ridge")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


@case
def what_is_installed_is_the_interface_and_nothing_else():
    install()
    public = sorted(os.listdir(os.path.join(ROOT, "include", "ridge")))
    equal([os.path.basename(h) for h in headers()], public, "installed headers")
    version = pkg_config("--modversion")[0]
    files = sorted(os.listdir(LIB))
    equal(files, ["libridge.a", "libridge.so", "libridge.so.0", f"libridge.so.{version}", "pkgconfig"], "installed libraries")
    shared = os.path.join(LIB, f"libridge.so.{version}")
    dynamic = run("readelf", "--dynamic", "--wide", shared)
    equal(re.findall(r"\(SONAME\).*\[(.*)\]", dynamic), ["libridge.so.0"], "soname")
    equal(re.findall(r"\((?:RPATH|RUNPATH)\).*", dynamic), [], "paths of the machine that built it")
    needed = {name.split(".so")[0] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    equal(needed - {"ld-linux-x86-64", "ld-linux-aarch64", "libc", "libcrypto", "libgcrypt", "libjansson", "libm"}, set(), "other libraries that it needs")
    declared = set()
    for header in headers():
        with open(header, encoding="utf-8") as file:
            declared |= set(re.findall(r"RIDGE_API[^;(]*?\b(ridge_\w+)\(", file.read()))
    symbols = run("nm", "--dynamic", "--defined-only", "--format=posix", shared).splitlines()
    exported = {line.split()[0].split("@")[0] for line in symbols} - {"RIDGE_0"}
    equal(exported, declared, "exported symbols, beside those of the headers")
    check(len(declared) > 40, "the headers' functions were found")


@case
def each_header_stands_alone_in_c_and_in_cpp():
    install()
    for header in headers():
        for language, standard in (("c", "c11"), ("c++", "c++11")):
            run("cc", "-x", language, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *pkg_config("--cflags"), header)


def examples():
    install()
    folder = os.path.join(scratch, "examples")
    if not os.path.isdir(folder):
        shutil.copytree(os.path.join(ROOT, "sdk", "c", "examples"), folder)
        run("make", "-C", folder, "CFLAGS=-O1 -Wall -Wextra -Werror")
    return folder


@case
def the_static_library_makes_a_program_that_needs_no_libridge():
    folder = examples()
    program = os.path.join(scratch, "static-keys")
    libraries = [o for o in pkg_config("--static", "--libs") if o != "-lridge"]
    run("cc", "-std=c17", *pkg_config("--cflags"), "-o", program, os.path.join(folder, "keys.c"), os.path.join(LIB, "libridge.a"), *libraries)
    check("libridge" not in run("readelf", "--dynamic", program), "it is not linked to the shared library")
    key = os.path.join(scratch, "static.key")
    made, opened = run(program, key).split(), run(os.path.join(folder, "keys"), key).split()
    equal((made[1], opened[1], made[0]), ("new", "opened", opened[0]), "one key, by either library")


@case
def the_examples_work_on_a_chain_and_what_they_keep_proves_itself_without_one():
    folder = examples()
    key = os.path.join(scratch, "mine.key")
    program = lambda name: os.path.join(folder, name)  # noqa: E731
    run(program("keys"), key)
    with cluster() as lab:
        create(lab, "main")
        url = lab.rpc_urls("main")["dev-1"].rstrip("/")
        genesis = shutil.copy(os.path.join(lab.node_dir("dev-1", "main"), "node", "genesis.json"), scratch)
        said = run(program("contract"), url, key, ARTIFACT, METER)
        contract = re.search(r"contract (0x[0-9a-f]{40})", said).group(1)
        check('"MeterRegistered"' in said and "meters" in said and "BadLimits" in said, said)
        kept = [send_reading(program("reading"), url, key, contract, 1000)]
        stored = read(kept[0], "reading.tx")
        again = run(program("reading"), url, key, ARTIFACT, contract, METER, "9", "9", kept[0])
        check("success" in again and read(kept[0], "reading.tx") == stored, f"a second run sends the same again: {again}")
        lab.cli("device", "set", "dev-2", "--group", "feeders")
        environment["RIDGE_TOKEN"] = lab.cloud.token
        for _ in range(2):  # a second run gives the same command again, which stays one
            told = run(program("command"), lab.cloud.url, "feeders").splitlines()
            equal([d["name"] for d in json.loads(told[0])], ["dev-2"], "devices of the group")
            equal((json.loads(told[1])["state"], json.loads(told[1])["device"]), ("done", "dev-2"), "the command")
        check("UNAUTHENTICATED" in run("env", "RIDGE_TOKEN=wrong", program("command"), lab.cloud.url, "feeders", ok=False), "a wrong token")
        lab.cli("chain", "validator", "remove", "main", "dev-4")
        kept.append(send_reading(program("reading"), url, key, contract, 2000))
    receipts(program("receipt"), genesis, kept)


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def send_reading(program, url, key, contract, time):
    folder = os.path.join(scratch, f"reading-{time}")
    os.mkdir(folder)
    said = run(program, url, key, ARTIFACT, contract, METER, str(time), "42", folder)
    check("success" in said, said)
    return folder


def receipts(program, genesis, kept):
    """Nothing runs any more."""
    before, after = kept
    equal((os.path.exists(f"{before}/epoch.1"), os.path.exists(f"{after}/epoch.1")), (False, True), "changes of the validators")
    first = json.loads(run(program, genesis, f"{before}/evidence"))
    equal((first["success"], first["epoch"], len(first["logs"])), (True, 0, 1), "the first receipt")
    check("STALE" in run(program, genesis, f"{after}/evidence", ok=False), "validators that the genesis does not know")
    second = json.loads(run(program, genesis, f"{after}/evidence", f"{after}/epoch.1"))
    equal((second["success"], second["epoch"], second["block"] > first["block"]), (True, 1, True), "the second receipt")
    equal(json.loads(run(program, genesis, f"{before}/evidence", f"{after}/epoch.1"))["epoch"], 1, "an old one, with newer knowledge")
    for name in (f"{after}/evidence", f"{after}/epoch.1"):
        good = read(*os.path.split(name))
        with open(name, "wb") as file:
            file.write(good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :])
        run(program, genesis, f"{after}/evidence", f"{after}/epoch.1", ok=False)
        with open(name, "wb") as file:
            file.write(good)
    with open(genesis, encoding="utf-8") as file:
        other = json.load(file)
    other["chain_id"] -= 1
    with open(os.path.join(scratch, "other.json"), "w", encoding="utf-8") as file:
        json.dump(other, file)
    check("WRONG_CHAIN" in run(program, os.path.join(scratch, "other.json"), f"{before}/evidence", ok=False), "another chain's genesis")


if __name__ == "__main__":
    sys.exit(main(lambda: shutil.rmtree(scratch, ignore_errors=True)))
