"""Certificates on a whole system: who gets them, who is refused, how they are renewed and revoked, and through what
crashes. What the programs made is judged by openssl where it can, and by `ridge cert verify`."""

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
import support  # noqa: E402
from cases import Skip, case, check, equal, main  # noqa: E402

ID = "distid:1234567812345678"  # the standard's user id, which openssl does not take by itself


def openssl(*args, cwd=None, stdin=None):
    if not shutil.which("openssl"):
        raise Skip("needs the program openssl")
    done = subprocess.run(["openssl", *args], cwd=cwd, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def must_openssl(*args, cwd=None, stdin=None):
    status, out, err = openssl(*args, cwd=cwd, stdin=stdin)
    check(status == 0, f"openssl {' '.join(args)}: {err}")
    return out


def device_dir(lab, name):
    return os.path.join(lab.dir, "devices", name)


def node_files(lab, name, chain="c"):
    return os.path.join(lab.node_dir(name, chain), "node")


def certificates(lab, *args):
    return lab.cli("cert", "list", *args)["certificates"]


def current(lab, device, chain="", use="sign"):
    """The newest certificate of a holder."""
    return next(c for c in certificates(lab, "--device", device) if c["chain"] == chain and c["use"] == use)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def serial(path):
    return must_openssl("x509", "-in", path, "-noout", "-serial").strip().split("=")[1].lower()


def list_number(path):
    try:
        return int(must_openssl("crl", "-in", path, "-noout", "-crlnumber").strip().split("=")[1], 16)
    except (AssertionError, IndexError):
        return 0


def verify(lab, directory, prefix, name):
    """By our own command, with the list; both certificates for their use and name."""
    for which, use in (("sign", "sign"), ("enc", "encrypt")):
        more = ["--crl", os.path.join(directory, "ca.crl")] if os.path.exists(os.path.join(directory, "ca.crl")) else []
        lab.cli(
            "cert", "verify", os.path.join(directory, f"{prefix}-{which}.crt"), "--root", os.path.join(directory, "roots.crt"),
            "--chain", os.path.join(directory, "ca-chain.crt"), "--use", use, "--name", name, *more,
        )  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def bare(cloud=()):
    """A cloud without devices."""
    lab = labs.Lab()
    try:
        lab.start_cloud(cloud)
        yield lab
    except BaseException:
        support.print_logs(lab)
        raise
    finally:
        lab.stop()


def token(lab):
    return lab.cloud.must("POST", "/device-tokens", {"count": 1})["tokens"][0]["token"]


def log_of(agent):
    return read(agent.log)


# --- issuing ---------------------------------------------------------------------------------------------------


@case
def devices_and_nodes_hold_certificates_that_verify():
    with support.cluster() as lab:
        support.create(lab, "c")
        for name in support.NAMES:
            verify(lab, device_dir(lab, name), "identity", name)
            verify(lab, node_files(lab, name), "node", f"{name}.c")
            for path in ("identity.key", "identity-enc.key"):
                equal(os.stat(os.path.join(device_dir(lab, name), path)).st_mode & 0o777, 0o600, path)
            equal(read(os.path.join(node_files(lab, name), "roots.crt")), read(os.path.join(device_dir(lab, name), "roots.crt")), "roots")
        one = node_files(lab, support.NAMES[0])
        # openssl 3.0 gives the user id to the first certificate of a chain only: link by link, then.
        must_openssl("verify", "-partial_chain", "-CAfile", "ca-chain.crt", "-vfyopt", ID, "node-sign.crt", cwd=one)
        must_openssl("verify", "-CAfile", "roots.crt", "-vfyopt", ID, "ca-chain.crt", cwd=one)
        # The sign certificate's key is the validator's.
        genesis = json.loads(read(os.path.join(one, "genesis.json")))
        validator = next(v["key"] for v in genesis["validators"] if v["name"] == support.NAMES[0])
        text = must_openssl("x509", "-in", "node-sign.crt", "-noout", "-text", cwd=one)
        point = "".join(text.split("pub:")[1].split("ASN1")[0].split()).replace(":", "")
        equal(point, "04" + validator, "the key of the sign certificate")
        equal(len(certificates(lab, "--state", "valid")), 2 + 4 * 4, "certificates")
        shown = lab.cli("ca", "show")
        root = must_openssl("x509", "-in", "roots.crt", "-outform", "DER", "-out", os.path.join(lab.dir, "root.der"), cwd=one)
        equal(root, "", "output")
        digest = must_openssl("dgst", "-sm3", "-r", os.path.join(lab.dir, "root.der")).split()[0]
        equal(shown["fingerprint"], digest, "the fingerprint")
        lab.cli("chain", "destroy", "c", "--discard", "c")
        support.await_chain(lab, "c", "destroyed")
        equal({c["state"] for c in certificates(lab) if c["chain"]}, {"ended"}, "states of the nodes' certificates")
        equal(lab.cli("ca", "show")["list"]["entries"], 0, "entries of the list: keys that are gone need none")


@case
def a_token_of_another_root_is_refused_by_the_device():
    with bare() as lab:
        given = token(lab)
        secret, fingerprint = given.split(".")
        agent = lab.agents["dev-1"] = labs.Agent(lab, "dev-1")
        with contextlib.suppress(labs.LabError):  # it ends at once, or just after its local address was told
            agent.start(f"{secret}.{hashlib.sha256(fingerprint.encode()).hexdigest()}")
        check(agent.end(20) != 0, "an agent with the token of another root ended well")
        check("is not that of this token" in log_of(agent), log_of(agent))
        check(not os.path.exists(os.path.join(device_dir(lab, "dev-1"), "roots.crt")), "a root was stored all the same")
        other = lab.agents["dev-2"] = labs.Agent(lab, "dev-2")
        with contextlib.suppress(labs.LabError):
            other.start(secret)
        check(other.end(20) != 0, "an agent whose token has no fingerprint ended well")
        check("copy the whole line" in log_of(other), log_of(other))
        equal(lab.cloud.must("GET", "/devices")["devices"], [], "devices")
        agent.start(given)  # the token has not been sent to anybody: it is good
        lab.wait_online(["dev-1"])


@case
def bad_requests_are_refused_and_make_nothing():
    """For a node, over the REST interface; the libraries' tests do the same for an enrolment."""
    with support.cluster(names=("dev-1",)) as lab:
        work = os.path.join(lab.dir, "work")
        os.mkdir(work)
        name = "dev-1.c"
        must_openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "rsa.key", "-subj", f"/CN={name}", "-out", "rsa", cwd=work)
        for key in ("sign", "enc"):
            must_openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", f"{key}.key", cwd=work)
            must_openssl("req", "-new", "-key", f"{key}.key", "-sm3", "-sigopt", ID, "-subj", f"/CN={name}", "-out", key, cwd=work)
        must_openssl("req", "-new", "-key", "enc.key", "-sm3", "-sigopt", ID, "-subj", "/CN=dev-2.c", "-out", "other", cwd=work)
        must_openssl("req", "-new", "-key", "enc.key", "-sm3", "-subj", f"/CN={name}", "-out", "plain-id", cwd=work)
        sign, enc, other, rsa, plain = (read(os.path.join(work, f)) for f in ("sign", "enc", "other", "rsa", "plain-id"))
        middle = len(enc) // 2
        damaged = enc[:middle] + ("A" if enc[middle] != "A" else "B") + enc[middle + 1 :]

        def issue(*requests, wants):
            body = {"chain": "c", "sign_request": requests[0], "enc_request": requests[1]}
            status, answer = lab.cloud.call("POST", "/devices/dev-1/certificates", body)
            check(status in wants, f"HTTP {status}, not {wants}: {answer}")
            return answer

        issue("nothing", enc, wants=[400])
        check("SM2" in issue(rsa, enc, wants=[501])["error"]["message"], "the algorithm is not named")
        check("dev-2.c" in issue(sign, other, wants=[400])["error"]["message"], "the name is not named")
        issue(sign, damaged, wants=[400, 422, 501])
        issue(sign, plain, wants=[422])  # signed with another user id than the standard's
        issue(sign, sign, wants=[400])
        issue(sign, "A" * 5000, wants=[413])
        issue(sign, enc + enc, wants=[400])
        equal([c for c in certificates(lab, "--device", "dev-1") if c["chain"]], [], "certificates")
        equal(issue(sign, enc, wants=[201]), issue(sign, enc, wants=[201]), "the answer to a repeated request")
        equal(len([c for c in certificates(lab, "--device", "dev-1") if c["chain"]]), 2, "certificates")


@case
def a_cloud_killed_while_it_issues_gives_every_device_one_pair():
    rng = support.run_seed()
    with bare(("--port", str(free_port()))) as lab:
        names = [f"dev-{n}" for n in range(1, 7)]
        for name in names:
            lab.agents[name] = labs.Agent(lab, name)
        tokens = [t["token"] for t in lab.cloud.must("POST", "/device-tokens", {"count": len(names)})["tokens"]]
        for name, given in zip(names, tokens):
            lab.agents[name].start(given)
            if rng.random() < 0.5:
                time.sleep(rng.random() * 0.1)
                lab.cloud.kill()
                lab.cloud.start()
        lab.wait_online(names, 60)
        for name in names:
            found = [c for c in certificates(lab, "--device", name)]
            equal(sorted(c["use"] for c in found), ["encrypt", "sign"], f"certificates of {name}")
            equal(serial(os.path.join(device_dir(lab, name), "identity-sign.crt")), current(lab, name)["serial"], f"{name}'s certificate")


@case
def a_creation_goes_on_when_the_cloud_dies_between_certificates_and_start():
    rng = support.run_seed()
    with support.cluster() as lab:
        support.ask_create(lab, "c")
        labs.wait_for("certificates of a node", 30, lambda: any(c["chain"] == "c" for c in certificates(lab)), 0.005)
        time.sleep(rng.random() * 0.05)
        lab.cloud.kill()
        lab.cloud.start()
        support.await_chain(lab, "c", "running")
        for name in support.NAMES:
            equal(len([c for c in certificates(lab, "--device", name) if c["chain"] == "c"]), 2, f"certificates of {name}'s node")
            verify(lab, node_files(lab, name), "node", f"{name}.c")


# --- an external CA -----------------------------------------------------------------------------------------------


def make_ca(work, issuing_usage="critical,CA:TRUE,pathlen:0", key_usage="critical,keyCertSign,cRLSign"):
    """Root and issuing CA by openssl: (chain file, key file)."""
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "ext"), "w", encoding="ascii") as file:
        file.write(f"basicConstraints={issuing_usage}\nkeyUsage={key_usage}\nsubjectKeyIdentifier=hash\n")
    for who in ("root", "issuing"):
        must_openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", f"{who}.key", cwd=work)
        os.chmod(os.path.join(work, f"{who}.key"), 0o600)
    must_openssl("req", "-x509", "-new", "-key", "root.key", "-sm3", "-sigopt", ID, "-subj", "/C=CN/O=Grid/CN=Grid root",
                 "-days", "3650", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", "root.crt", cwd=work)  # fmt: skip
    must_openssl("req", "-new", "-key", "issuing.key", "-sm3", "-sigopt", ID, "-subj", "/C=CN/O=Grid/CN=Grid devices",
                 "-out", "issuing.csr", cwd=work)  # fmt: skip
    must_openssl("x509", "-req", "-in", "issuing.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-sm3",
                 "-sigopt", ID, "-vfyopt", ID, "-days", "1800", "-extfile", "ext", "-out", "issuing.crt", cwd=work)  # fmt: skip
    chain = os.path.join(work, "chain.pem")
    with open(chain, "w", encoding="ascii") as file:
        file.write(read(os.path.join(work, "issuing.crt")) + read(os.path.join(work, "root.crt")))
    return chain, os.path.join(work, "issuing.key")


def start_fails(lab, extra):
    """What a cloud says that cannot start."""
    cloud = labs.Program([lab.binary("ridge-cloud"), "--data", os.path.join(lab.dir, "cloud"), "--port", "0", *extra], os.path.join(lab.dir, "fails.log"))
    cloud.start()
    status = cloud.end()
    check(status != 0, "it started")
    return cloud.log_tail()


@case
def an_external_ca_takes_the_place_of_our_own():
    lab = labs.Lab()
    try:
        chain, key = make_ca(os.path.join(lab.dir, "grid"))
        bad, bad_key = make_ca(os.path.join(lab.dir, "bad"), "critical,CA:FALSE", "critical,digitalSignature")
        said = start_fails(lab, ["--ca-chain", bad, "--ca-key", bad_key])
        check("keyCertSign" in said, said)
        said = start_fails(lab, ["--ca-chain", chain])
        check("give both or none" in said, said)
        said = start_fails(lab, ["--ca-chain", chain, "--ca-key", bad_key])
        check("issuing CA first" in said, said)
        lab.start_cloud(["--ca-chain", chain, "--ca-key", key])
        equal(lab.cli("ca", "show")["root_name"], "Grid root", "the root")
        lab.enrol(support.NAMES)
        support.create(lab, "c")
        one = node_files(lab, support.NAMES[0])
        must_openssl("verify", "-partial_chain", "-CAfile", os.path.join(lab.dir, "grid", "issuing.crt"), "-vfyopt", ID,
                     "node-enc.crt", cwd=one)  # fmt: skip
        lab.cloud.stop()
        said = start_fails(lab, [])  # the CA of our own would have another root
        check("enrol them again" in said, said)
        lab.cloud.start()
        lab.wait_online(support.NAMES)
    except BaseException:
        support.print_logs(lab)
        raise
    finally:
        lab.stop()


# --- revoking ---------------------------------------------------------------------------------------------------------


@case
def a_revoked_device_is_cut_off_and_everybody_hears_of_it():
    with support.cluster(names=("dev-1", "dev-2", "dev-3")) as lab:
        support.create(lab, "c", ("dev-1", "dev-2"))
        lab.agents["dev-2"].stop()  # it hears of it when it is back
        before = lab.cli("ca", "show")["list"]["number"]
        victim = current(lab, "dev-3")["serial"]
        status, said = lab.cli("cert", "revoke", victim, "--reason", "because", check=False)
        check(status != 0 and "key-compromise" in said, said)
        answer = lab.cli("cert", "revoke", victim, "--reason", "key-compromise")
        equal((answer["device"], answer["current"]), ("dev-3", True), "what was revoked")
        equal({c["state"] for c in certificates(lab, "--device", "dev-3")}, {"revoked"}, "states")
        labs.wait_for("dev-3 offline", 20, lambda: "dev-3" not in lab.online(), 0.05)
        number = lab.cli("ca", "show")["list"]["number"]
        check(number > before, f"list {number} after {before}")
        places = [device_dir(lab, "dev-1"), node_files(lab, "dev-1")]
        for place in places:
            path = os.path.join(place, "ca.crl")
            labs.wait_for(f"list {number} in {path}", 20, lambda p=path: list_number(p) >= number, 0.1)
        lab.agents["dev-2"].start()
        path = os.path.join(node_files(lab, "dev-2"), "ca.crl")
        labs.wait_for("the list on the device that was away", 20, lambda: list_number(path) >= number, 0.1)
        listed = must_openssl("crl", "-in", path, "-noout", "-text").lower()
        check(victim in listed, "the serial number is not in the list")
        status, said = lab.cli(
            "cert", "verify", os.path.join(device_dir(lab, "dev-3"), "identity-sign.crt"), "--root",
            os.path.join(device_dir(lab, "dev-3"), "roots.crt"), "--chain", os.path.join(device_dir(lab, "dev-3"), "ca-chain.crt"),
            "--crl", path, check=False,
        )  # fmt: skip
        check(status != 0 and "revoked" in said, said)
        verify(lab, node_files(lab, "dev-2"), "node", "dev-2.c")
        lab.agents["dev-3"].stop()
        lab.agents["dev-3"].start()
        time.sleep(3)  # its password is not taken any more
        check("dev-3" not in lab.online(), "a revoked device is online again")


# --- renewing -----------------------------------------------------------------------------------------------------------


@case
def certificates_are_renewed_while_the_chain_goes_on():
    with support.cluster(cloud=("--certificate-life", "24s"), names=("dev-1", "dev-2")) as lab:
        support.create(lab, "c", ("dev-1", "dev-2"))
        paths = {
            (d, w): os.path.join(place, f"{prefix}-{w}.crt")
            for d in ("dev-1", "dev-2")
            for place, prefix in ((node_files(lab, d), "node"),)
            for w in ("sign", "enc")
        }
        paths[("device", "sign")] = os.path.join(device_dir(lab, "dev-1"), "identity-sign.crt")
        first = {k: serial(p) for k, p in paths.items()}
        pids = lab.node_pids("c")
        labs.wait_for("every certificate renewed", 60, lambda: all(serial(p) != first[k] for k, p in paths.items()), 0.3)
        equal(lab.node_pids("c"), pids, "the nodes' processes")
        for name in ("dev-1", "dev-2"):
            verify(lab, node_files(lab, name), "node", f"{name}.c")
        shown = labs.wait_for("certificates in telemetry", 10, lambda: lab.cli("device", "show", "dev-1").get("certificates"), 0.2)
        equal(sorted(c["chain"] for c in shown), ["", "c"], "certificates that are shown")
        check(not any(c["alarm"] for c in shown), f"an alarm: {shown}")


@case
def a_device_that_was_away_for_too_long_comes_back_with_a_new_token():
    with support.cluster(cloud=("--certificate-life", "24s"), names=("dev-1",)) as lab:
        agent = lab.agents["dev-1"]
        key = read(os.path.join(device_dir(lab, "dev-1"), "identity.key"))
        agent.stop()
        time.sleep(26)
        agent.start()
        labs.wait_for("the refusal", 20, lambda: "uplink.failed" in log_of(agent), 0.1)
        check("dev-1" not in lab.online(), "a device with an expired certificate is online")
        agent.stop()
        agent.start(token(lab))
        lab.wait_online(["dev-1"])
        equal(read(os.path.join(device_dir(lab, "dev-1"), "identity.key")), key, "the device's key")


if __name__ == "__main__":
    sys.exit(main())
