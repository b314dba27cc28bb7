"""Files of devices in an object store: signed, in parts, read back before they count; through failures, cuts and lies."""

import hashlib
import os
import sys
import tempfile
import urllib.parse
import urllib.request

import s3_server
from cases import case, check, equal, main
from support import cluster, labs
from uploads import check_equal, content, files, give, wait_files


def store(lab_dir_file):
    """A server, and the cloud's arguments for it."""
    server = s3_server.Server()
    with open(lab_dir_file, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"[default]\naws_access_key_id = {s3_server.ACCESS}\naws_secret_access_key = {s3_server.SECRET}\n")
    return server, ("--collect-store", server.url, "--collect-store-credentials", lab_dir_file)


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


if __name__ == "__main__":
    sys.exit(main())
