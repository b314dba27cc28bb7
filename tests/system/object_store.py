"""Files of devices in an object store: signed, in parts, read back before they count; through failures, cuts and lies."""

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import s3_server
from archives import archive_through_cuts, begin_encrypted, cuts, end_of, genesis_kept, grow, key_file, order, secrets
from cases import case, check, equal, main
from https_front import Authority, Front
from support import Meter, cluster, deploy, labs, run_seed
from uploads import check_equal, content, fetch, files, give, wait_files


def store(lab_dir_file):
    """A server, and the cloud's arguments for it."""
    server = s3_server.Server()
    with open(lab_dir_file, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"[default]\naws_access_key_id = {s3_server.ACCESS}\naws_secret_access_key = {s3_server.SECRET}\n")
    return server, ("--collect-store", server.url, "--collect-store-credentials", lab_dir_file)


def behind_tls(front, arguments):
    """The same store, by the address of what stands in front of it."""
    return (arguments[0], s3_server.Server.url_at(front.url), *arguments[2:])


def key_of(data):
    done = hashlib.new("sm3", data).hexdigest()
    return f"/bucket/ridge/objects/{done[:2]}/{done}"


def part(lab, number, offset, size):
    where = urllib.parse.urlsplit(lab.cloud.url).netloc
    request = urllib.request.Request(
        f"http://{where}/api/v1/files/{number}/content?offset={offset}&size={size}",
        headers={"Authorization": f"Bearer {lab.cloud.token}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def local_objects(lab):
    folder = os.path.join(lab.cloud.dir, "collect", "objects")
    return [name for _, _, names in os.walk(folder) for name in names]


@case
def files_are_kept_in_an_object_store_and_come_back():
    with tempfile.TemporaryDirectory() as folder:
        server, arguments = store(os.path.join(folder, "keys"))
        with cluster(("dev-1",), cloud=arguments) as lab:
            agent = lab.agents["dev-1"]
            small, large = content(100_000, 1), content(20_000_000, 2)
            server.mood(r"^PUT .*partNumber=2", 503)
            server.mood(r"^PUT .*partNumber=3", "cut")
            server.mood(r"^GET .*", "half")
            give(agent, "log", "small", small)
            give(agent, "log", "large", large)
            files = wait_files(lab, 2)
            for data in (small, large):
                check(server.objects.get(key_of(data)) == data, "an object is not what was given")
            equal((server.uploads, local_objects(lab)), ({}, []), "what is left over")
            by_name = {file["name"]: file for file in files}
            check_equal(lab, by_name["small"], small)
            check_equal(lab, by_name["large"], large)
            number = by_name["large"]["number"]
            equal(part(lab, number, 9_000_000, 1000), large[9_000_000:9_001_000], "a range")
            lab.cloud.kill()
            lab.cloud.start()
            check_equal(lab, by_name["small"], small)
            equal(len(server.objects), 2, "objects after a restart")
            lab.cloud.must("DELETE", f"/files/{number}")
            equal(list(server.objects), [key_of(small)], "objects after a removal")
        server.shutdown()


@case
def an_object_store_that_lies_or_fails_stores_nothing():
    with tempfile.TemporaryDirectory() as folder:
        server, arguments = store(os.path.join(folder, "keys"))
        with cluster(("dev-1",), cloud=arguments) as lab:
            agent = lab.agents["dev-1"]
            data = content(9_000_000, 3)
            server.mood(r"^PUT .*partNumber=1", "lie")  # noticed when it is read back
            server.mood(r"^POST .*uploadId=", "error")  # 200, and an error in the body
            give(agent, "log", "one", data)
            file = wait_files(lab, 1, seconds=120)[0]
            check(server.objects.get(key_of(data)) == data, "the object is not what was given")
            equal(server.uploads, {}, "uploads that nobody ended")
            check_equal(lab, file, data)
            check(server.count(r"^DELETE ") >= 1, "a false object was left")
            server.mood(r".", 403, 1000)
            other = content(1000, 4)
            give(agent, "log", "two", other)
            labs.wait_for("a refusal in the cloud's log", 60, lambda: "HTTP status 403" in lab.cloud.log_tail(400), 0.1)
            equal(len(files(lab)), 1, "files that count as stored")
            check(s3_server.SECRET not in lab.cloud.log_tail(100000), "the secret in the log")
            server.moods.clear()
            check_equal(lab, wait_files(lab, 2, seconds=120)[-1], other)
        server.shutdown()


@case
def an_object_store_over_tls_is_believed_by_its_ca_alone():
    with tempfile.TemporaryDirectory() as folder:
        ca, other = Authority(folder, "ca"), Authority(folder, "other")
        server, arguments = store(os.path.join(folder, "keys"))
        front = Front(*ca.issue(), server.server_port)
        tls = behind_tls(front, arguments)
        with cluster(("dev-1",), cloud=(*tls, "--collect-store-ca", ca.path)) as lab:
            agent, first, second = lab.agents["dev-1"], content(9_000_000, 5), content(1000, 6)
            give(agent, "log", "first", first)
            (file,) = wait_files(lab, 1)
            check_equal(lab, file, first)
            # One of each way in which a certificate is wrong: nothing is read, nothing stored, and what it is is said.
            wrong = {"foreign": (other.issue(), "issuer"), "named": (ca.issue("DNS:elsewhere.example"), "match"), "expired": (ca.issue(days=-1), "expired")}
            for name, (certificate, why) in wrong.items():
                front.context.load_cert_chain(*certificate)
                status, said = lab.cloud.call("GET", f"/files/{file['number']}/content")
                check(status == 503 and "certificate is not believed" in str(said) and why in str(said), f"{name}: HTTP {status}: {said}")
            give(agent, "log", "second", second)
            labs.wait_for("the refusal in the cloud's log", 60, lambda: "collect.object_store_failed" in lab.cloud.log_tail(400), 0.05)
            equal((list(server.objects), len(files(lab))), ([key_of(first)], 1), "what is stored where nobody is believed")
            front.context.load_cert_chain(*ca.issue())
            agent.kill()  # so that it asks again at once
            agent.start()
            check_equal(lab, wait_files(lab, 2)[-1], second)
            refusals = {"nowhere.pem": (tls, "nowhere.pem"), ca.base + ".key": (tls, "private key"), ca.path: (arguments, "s3+https://")}
            for path, (how, why) in refusals.items():
                command = [lab.binary("ridge-cloud"), "--data", os.path.join(folder, "cloud"), "--port", "0", "--link-port", "0", *how, "--collect-store-ca", path]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
                check(ended.returncode != 0 and why in ended.stderr, f"{path}: exit status {ended.returncode}: {ended.stderr}")
        front.close()
        server.shutdown()


@case
def kills_lose_nothing_of_encrypted_archives_in_an_object_store():
    """RIDGE_CUTS=N for more."""
    rng = run_seed()
    with tempfile.TemporaryDirectory() as folder:
        server, arguments = store(os.path.join(folder, "keys"))
        with cluster(("dev-1",), cloud=arguments) as lab:
            begin_encrypted(lab, "c", ("dev-1",))
            deploy(lab, "c", bind=True)
            meter, genesis = Meter(lab, "dev-1"), genesis_kept(lab, "c")
            made = archive_through_cuts(lab, "c", meter, ["dev-1"], rng, cuts(2))
            # What the store loses a part of on its way is no archive until it is there as a whole.
            grow(lab, "c", meter, 2)
            server.mood(r"^PUT ", "cut", 2)
            server.mood(r"^GET .*", "half", 2)
            last = end_of(lab, "c", meter, order(lab, "c"))
            equal((last["state"], last["error"]), ("archived", None), "an archive through failures of the store")
            key = key_file(lab, "key", "c")
            for got in [*made, last]:
                path = os.path.join(folder, "archive")
                with open(path, "wb") as file:
                    file.write(fetch(lab, got["file"]))
                said = lab.cli("archive", "verify", path, "--genesis", genesis, "--key", key, "--manifest", got["manifest"])
                equal((said["from"], said["to"]), (got["from"], got["to"]), "what the stored object proves")
            equal((local_objects(lab), server.uploads), ([], {}), "what is left over")
            held = b"".join(server.objects.values())
            check(len(server.objects) >= len(made) + 1 and not any(s in held for s in secrets(lab)), "the store's objects hold no key")
        server.shutdown()


if __name__ == "__main__":
    sys.exit(main())
