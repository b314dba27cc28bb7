"""The checks of the OCI conformance suite, of both its generations, against a ridge-cloud as users and devices reach it:
over HTTP, with tokens. And that users, strangers and devices get what is theirs."""

import base64
import hashlib
import http.client
import json
import os
import random
import socket
import sys
import tarfile
import tempfile
import threading
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "lab"))
os.environ.setdefault("RIDGE_BIN", os.path.join(ROOT, "build", "dev", "bin"))

import lab as labs  # noqa: E402
from cases import case, check, equal, main  # noqa: E402
from https_front import Authority, Front  # noqa: E402

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
ARTIFACT = "application/vnd.oci.conformance.artifact"
_lab = None
_random = random.Random(1)


def lab():
    global _lab
    if not _lab:
        _lab = labs.Lab()
        _lab.start_cloud()
    return _lab


def stop():
    if _lab:
        _lab.stop()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return self.headers.get(name, "")

    def json(self):
        return json.loads(self.body)


def ask(method, path, body=None, headers=None, authorization=None, chunked=False, cloud=None, source=None):
    """One request; authorization: None for the administrator, False for nobody, else the header; source: an address of ours."""
    cloud = cloud or lab().cloud
    parts = urllib.parse.urlsplit(cloud.url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30, source_address=source and (source, 0))
    headers = dict(headers or {})
    if authorization is None:
        authorization = basic("admin", cloud.token)
    if authorization:
        headers["Authorization"] = authorization
    if body is None and method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = "0"
    if chunked:
        whole = body
        headers["Transfer-Encoding"] = "chunked"
        body = (whole[i : i + 1000] for i in range(0, len(whole), 1000))
    try:
        connection.request(method, path, body=body, headers=headers, encode_chunked=chunked)
        got = connection.getresponse()
        return Answer(got.status, got.headers, got.read())
    finally:
        connection.close()


def must(status, method, path, *args, **kwargs):
    got = ask(method, path, *args, **kwargs)
    wanted = status if isinstance(status, tuple) else (status,)
    check(got.status in wanted, f"{method} {path[:200]}: status {got.status}, not {status}: {got.body[:300]!r}")
    return got


def error_code(got):
    return got.json()["errors"][0]["code"]


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest(data, algorithm="sha256"):
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def noise(size):
    return _random.randbytes(size)


def with_digest(location, value):
    return location + ("&" if "?" in location else "?") + "digest=" + urllib.parse.quote(value, safe="")


def start(repo, query=""):
    return must(202, "POST", f"/v2/{repo}/blobs/uploads/{query}").header("Location")


def push_post_put(repo, data, name, status=201):
    return must(status, "PUT", with_digest(start(repo), name), data, {"Content-Type": "application/octet-stream"})


def push_post(repo, data, name, status=201):
    return must(status, "POST", f"/v2/{repo}/blobs/uploads/?digest={name}", data)


def push_stream(repo, data, name, status=201):
    got = must(202, "PATCH", start(repo), data, chunked=True)
    return must(status, "PUT", with_digest(got.header("Location"), name))


def push_chunks(repo, data, name, status=201, last_by_put=False, out_of_order=False):
    location, size, at = start(repo), max(len(data) // 3 + 1, 1), 0
    while at < len(data):
        end = min(at + size, len(data))
        if out_of_order:
            wrong = at + size if at + size < len(data) else 0
            wrong_end = min(wrong + size, len(data))
            closing = last_by_put and wrong_end == len(data)
            got = must(416, "PUT" if closing else "PATCH", with_digest(location, name) if closing else location,
                       data[wrong:wrong_end], {"Content-Range": f"{wrong}-{wrong_end - 1}"})  # fmt: skip
            got = must(204, "GET", got.header("Location"))
            if at > 0:
                equal(got.header("Range"), f"0-{at - 1}", "the range after a chunk out of order")
            location = got.header("Location")
        chunk = {"Content-Range": f"{at}-{end - 1}", "Content-Type": "application/octet-stream"}
        if last_by_put and end == len(data):
            return must(status, "PUT", with_digest(location, name), data[at:end], chunk)
        got = must(202, "PATCH", location, data[at:end], chunk)
        equal(got.header("Range"), f"0-{end - 1}", "the range after a chunk")
        location, at = got.header("Location"), end
    return must(status, "PUT", with_digest(location, name))


def pulls(repo, data, name, location=None):
    for path in {f"/v2/{repo}/blobs/{name}", location or f"/v2/{repo}/blobs/{name}"}:
        got = must(200, "GET", path)
        equal(got.body, data, "the blob")
        equal(got.header("Docker-Content-Digest"), name, "its digest")
    got = must(200, "HEAD", f"/v2/{repo}/blobs/{name}")
    equal(got.header("Content-Length"), str(len(data)), "its length")
    equal(got.header("Docker-Content-Digest"), name, "its digest")
    equal(got.body, b"", "the body of HEAD")


def drop_blob(repo, name):
    must(202, "DELETE", f"/v2/{repo}/blobs/{name}")
    must(404, "HEAD", f"/v2/{repo}/blobs/{name}")


WAYS = {
    "post": push_post,
    "post and put": push_post_put,
    "stream": push_stream,
    "chunks": push_chunks,
    "chunks and put": lambda *a, **k: push_chunks(*a, last_by_put=True, **k),
    "chunks out of order": lambda *a, **k: push_chunks(*a, out_of_order=True, **k),
    "chunks out of order and put": lambda *a, **k: push_chunks(*a, last_by_put=True, out_of_order=True, **k),
}


def blobs_by(algorithm):
    repo = "conformance/blobs"
    must(404, "GET", f"/v2/{repo}/blobs/{digest(noise(64), algorithm)}")
    for way, push in WAYS.items():
        data = noise(512 if "chunks" not in way else 3 * 1024 - 5)
        name = digest(data, algorithm)
        got = push(repo, data, name)
        pulls(repo, data, name, got.header("Location"))
        drop_blob(repo, name)
        if "order" not in way:
            push(repo, data + b"oh no", name, status=400)
            must(404, "HEAD", f"/v2/{repo}/blobs/{name}")
    for data in (b"", b"{}"):
        name = digest(data, algorithm)
        push_post_put(repo, data, name)
        pulls(repo, data, name)
        drop_blob(repo, name)
    got = must(202, "POST", f"/v2/{repo}/blobs/uploads/?digest-algorithm={algorithm}")
    data = noise(100)
    must(201, "PUT", with_digest(got.header("Location"), digest(data, algorithm)), data)


@case
def ping_needs_a_login_and_says_where():
    got = must(401, "GET", "/v2/", authorization=False)
    check(got.header("WWW-Authenticate").startswith("Bearer realm="), "the challenge")
    equal(error_code(got), "UNAUTHORIZED", "the code")
    must(200, "GET", "/v2/")


@case
def an_empty_repository_lists_no_tags_and_no_referrers():
    got = ask("GET", "/v2/conformance/empty/tags/list")
    check(got.status in (200, 404), f"tags: {got.status}")
    got = must(200, "GET", f"/v2/conformance/empty/referrers/{digest(noise(9))}")
    equal(got.header("Content-Type"), INDEX, "the type")
    equal(got.json()["manifests"], [], "the referrers")


@case
def blobs_by_sha256_in_every_way_with_right_and_wrong_digests():
    blobs_by("sha256")


@case
def blobs_by_sha512_in_every_way_with_right_and_wrong_digests():
    blobs_by("sha512")


@case
def blobs_are_mounted_or_the_client_is_told_to_upload():
    for algorithm in ("sha256", "sha512"):
        data = noise(512)
        name = digest(data, algorithm)
        push_post_put("conformance/from", data, name)
        for query in (f"?mount={name}&from=conformance/from", f"?mount={name}"):
            got = must(201, "POST", f"/v2/conformance/to/blobs/uploads/{query}")
            pulls("conformance/to", data, name, got.header("Location"))
            drop_blob("conformance/to", name)
        got = must(202, "POST", f"/v2/conformance/to/blobs/uploads/?mount={digest(noise(8), algorithm)}&from=conformance/from")
        must(201, "PUT", with_digest(got.header("Location"), name), data)


@case
def uploads_are_cancelled():
    location = start("conformance/cancel")
    must(204, "GET", location)
    must(204, "DELETE", location)
    must(404, "GET", location)
    must(404, "DELETE", location)


@case
def ranges():
    data = noise(2048)
    for algorithm in ("sha256", "sha512"):
        name = digest(data, algorithm)
        push_post_put("conformance/ranges", data, name)
        for text, first, end in (("500-1499", 500, 1500), ("500-", 500, 2048), ("-500", 1548, 2048), ("2000-5000", 2000, 2048)):
            got = must(206, "GET", f"/v2/conformance/ranges/blobs/{name}", headers={"Range": f"bytes={text}"})
            equal(got.body, data[first:end], f"range {text}")
            equal(got.header("Content-Range"), f"bytes {first}-{end - 1}/2048", f"Content-Range of {text}")
        for text in ("500-0", "5000-10000"):
            must(416, "GET", f"/v2/conformance/ranges/blobs/{name}", headers={"Range": f"bytes={text}"})


# --- manifests: the sets of data that the conformance suite pushes, reads, lists and deletes ------------------------


class Set:
    """Blobs, manifests in order, tags; pushed as they are, and looked for."""

    def __init__(self, repo, algorithm="sha256"):
        self.repo, self.algorithm = repo, algorithm
        self.blobs, self.manifests, self.tags, self.referrers = {}, [], {}, []

    def blob(self, data, media_type="application/vnd.oci.image.layer.v1.tar+gzip"):
        name = digest(data, self.algorithm)
        self.blobs[name] = data
        return {"mediaType": media_type, "digest": name, "size": len(data)}

    def add(self, value, tag=None):
        text = json.dumps(value, indent=1).encode() + b"\n"
        name = digest(text, self.algorithm)
        self.manifests.append((name, value["mediaType"], text))
        if tag:
            self.tags[tag] = name
        about = {"mediaType": value["mediaType"], "digest": name, "size": len(text)}
        if "subject" in value:
            kind = value.get("artifactType") or value.get("config", {}).get("mediaType")
            self.referrers.append((value["subject"]["digest"], {**about, "artifactType": kind}, value.get("annotations", {})))
        return about

    def image(self, tag=None, layers=2, config=b"", config_type="application/vnd.oci.image.config.v1+json", layer_type=None, **more):
        config = self.blob(config or json.dumps({"architecture": "amd64", "os": "linux", "n": _random.random()}).encode(), config_type)
        kinds = {"media_type": layer_type} if layer_type else {}
        body = [self.blob(noise(1024), **kinds) for _ in range(layers)]
        return self.add({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": body, **more}, tag)

    def index(self, manifests, tag=None, **more):
        return self.add({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, **more}, tag)

    def push(self, by_parameter=False):
        ways = list(WAYS.values())[:5]
        for number, (name, data) in enumerate(self.blobs.items()):
            ways[number % len(ways)](self.repo, data, name)
        for name, media_type, text in self.manifests:
            subject = json.loads(text).get("subject", {}).get("digest", "")
            tags = [t for t, d in self.tags.items() if d == name]
            query = "?" + "&".join(f"tag={t}" for t in tags) if by_parameter and tags else ""
            targets = [name + query] + ([] if by_parameter else tags)
            for target in targets:
                if self.algorithm != "sha256" and target in tags:
                    continue  # a push by tag names its manifest by sha256
                got = must(201, "PUT", f"/v2/{self.repo}/manifests/{target}", text, {"Content-Type": media_type})
                equal(got.header("OCI-Subject"), subject, "OCI-Subject")
                equal(got.header("Docker-Content-Digest"), name, "the digest")
                equal(must(200, "GET", got.header("Location")).body, text, "the manifest at its location")
            if query:
                said = {t.strip() for value in got.headers.get_all("OCI-Tag") for t in value.split(",")}
                equal(said, set(tags), "OCI-Tag")

    def look(self):
        for name, media_type, text in self.manifests:
            tags = [t for t, d in self.tags.items() if d == name and self.algorithm == "sha256"]
            for reference in [name, *tags]:
                got = must(200, "GET", f"/v2/{self.repo}/manifests/{reference}", headers={"Accept": f"{IMAGE}, {INDEX}"})
                equal((got.body, got.header("Content-Type")), (text, media_type), "the manifest")
                head = must(200, "HEAD", f"/v2/{self.repo}/manifests/{reference}")
                equal(head.header("Content-Length"), str(len(text)), "its length")
                equal(head.header("Docker-Content-Digest"), name, "its digest")
        for name, data in self.blobs.items():
            pulls(self.repo, data, name)
        self.look_tags()
        self.look_referrers()

    def look_tags(self):
        if not self.tags or self.algorithm != "sha256":
            return
        listed = must(200, "GET", f"/v2/{self.repo}/tags/list").json()
        equal(listed["name"], self.repo, "the name")
        equal(listed["tags"], sorted(self.tags), "the tags")

    def look_referrers(self):
        for subject, about, annotations in self.referrers:
            path = f"/v2/{self.repo}/referrers/{subject}"
            everything = must(200, "GET", path)
            equal(everything.header("Content-Type"), INDEX, "the type")
            kind = about["artifactType"]
            answers = [everything]
            if kind:
                got = must(200, "GET", path + "?artifactType=" + urllib.parse.quote(kind, safe=""))
                equal(got.header("OCI-Filters-Applied"), "artifactType", "the filter")
                check(all(d.get("artifactType") == kind for d in got.json()["manifests"]), "only what was asked for")
                answers.append(got)
            for answer in answers:
                found = [d for d in answer.json()["manifests"] if d["digest"] == about["digest"]]
                check(found, f"{about['digest']} among the referrers")
                equal({k: found[0].get(k) for k in about}, about, "the descriptor")
                equal(found[0].get("annotations", {}), annotations, "its annotations")

    def drop(self):
        for tag in self.tags if self.algorithm == "sha256" else ():
            must(202, "DELETE", f"/v2/{self.repo}/manifests/{tag}")
            must(404, "HEAD", f"/v2/{self.repo}/manifests/{tag}")
        for name, _, _ in reversed(self.manifests):
            must(202, "DELETE", f"/v2/{self.repo}/manifests/{name}")
            must(404, "HEAD", f"/v2/{self.repo}/manifests/{name}")
        for name in self.blobs:
            drop_blob(self.repo, name)

    def whole(self, **how):
        self.push(**how)
        self.look()
        self.drop()


@case
def images():
    one = Set("conformance/image")
    one.image("image")
    one.image("uncompressed", layer_type="application/vnd.oci.image.layer.v1.tar")
    one.image("no-layers", layers=0)
    one.image("fields", custom={"nested": [1, 2, {"x": None}]})
    one.whole()


@case
def large_manifests():
    one = Set("conformance/large")
    one.image("large", annotations={f"large-{i}": "A" * 10000 for i in range(390)})
    one.whole()


@case
def data_in_descriptors_and_layers_that_are_elsewhere():
    one = Set("conformance/data")
    config = {**one.blob(b"{}", EMPTY), "data": "e30="}
    one.add({"schemaVersion": 2, "mediaType": IMAGE, "artifactType": ARTIFACT, "config": config, "layers": [config]}, "data")
    far = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": digest(b"far"), "size": 3,
           "urls": ["https://example.invalid/far"]}  # fmt: skip
    one.add({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [far]}, "far")
    one.whole()


@case
def indexes():
    one = Set("conformance/index")
    platforms = [{"os": "linux", "architecture": a} for a in ("amd64", "arm64")]
    inner = one.index([{**one.image(), "platform": p} for p in platforms], "index")
    other = one.index([{**one.image(), "platform": p} for p in platforms])
    one.index([inner, other], "nested")
    one.index([], "empty")
    one.index([one.image(artifactType=ARTIFACT, config=b"{}", config_type=EMPTY)], "artifacts", artifactType=ARTIFACT)
    one.whole()


@case
def artifacts_with_subjects():
    one = Set("conformance/subject")
    image = one.image("image")
    one.image(subject=image)
    one.image("tagged", artifactType=ARTIFACT, config=b"{}", config_type=EMPTY, annotations={"org.opencontainers.conformance": "hello"},
              subject=image)  # fmt: skip
    one.image(artifactType=ARTIFACT + ".other", config=b"{}", config_type=EMPTY, subject=image)
    one.index([image], "index", subject=image, artifactType=ARTIFACT, annotations={"x": "y"})
    one.index([image], subject=image)
    missing = {"mediaType": IMAGE, "digest": digest(b"not there"), "size": 123}
    one.image("early", artifactType=ARTIFACT, config=b"{}", config_type=EMPTY, subject=missing)
    one.whole()


@case
def everything_by_sha512():
    one = Set("conformance/sha512", "sha512")
    image = one.image()
    one.image(artifactType=ARTIFACT, config=b"{}", config_type=EMPTY, subject=image)
    one.index([image])
    one.whole()


@case
def tags_as_parameters():
    one = Set("conformance/tags")
    about = one.image("1.2.3")
    for tag in ("1.2", "1", "latest", *(f"t{i}" for i in range(10))):
        one.tags[tag] = about["digest"]
    one.whole(by_parameter=True)
    wide = Set("conformance/tags512", "sha512")
    wide.tags["x"] = wide.image()["digest"]
    wide.push(by_parameter=True)
    equal(must(200, "GET", "/v2/conformance/tags512/manifests/x").header("Docker-Content-Digest"), wide.tags["x"], "the digest")


@case
def tag_lists_in_pages():
    one = Set("conformance/pages")
    about = one.image("test0")
    for i in range(1, 6):
        one.tags[f"test{i}"] = about["digest"]
    one.push()
    path = "/v2/conformance/pages/tags/list"
    for n in range(1, 6):
        equal(must(200, "GET", f"{path}?n={n}").json()["tags"], sorted(one.tags)[:n], f"n={n}")
    got = must(200, "GET", f"{path}?n=0")
    equal((got.json()["tags"], got.header("Link")), ([], ""), "n=0")
    equal(must(200, "GET", f"{path}?n=2&last=test2").json()["tags"], ["test3", "test4"], "n and last")
    equal(must(200, "GET", f"{path}?last=test3").json()["tags"], ["test4", "test5"], "last")
    seen, path = [], f"{path}?n=4"
    while path:
        got = must(200, "GET", path)
        seen += got.json()["tags"]
        link = got.header("Link")
        path = link[1 : link.index(">")] if link else None
    equal(seen, sorted(one.tags), "all pages")


@case
def manifests_that_are_refused():
    one = Set("conformance/bad")
    one.image("image")
    name, media_type, text = one.manifests[0]
    missing = json.loads(text)
    equal(error_code(must((400, 404), "PUT", "/v2/conformance/bad/manifests/x", text, {"Content-Type": media_type})),
          "MANIFEST_BLOB_UNKNOWN", "blobs that were not pushed")  # fmt: skip
    for blob, data in one.blobs.items():
        push_post(one.repo, data, blob)
    for reference in ("sha256:baddigeststring", "sha256:totallywrong", digest(b"other")):
        got = must(400, "PUT", f"/v2/conformance/bad/manifests/{reference}", text, {"Content-Type": media_type})
        equal(error_code(got), "DIGEST_INVALID", reference)
    must((400, 404), "GET", "/v2/conformance/bad/manifests/sha256:baddigeststring")
    must(404, "GET", f"/v2/conformance/bad/manifests/{digest(noise(10))}")
    must(404, "GET", "/v2/conformance/bad/manifests/missing-tag")
    must(404, "GET", "/v2/conformance/never/manifests/missing-tag")
    for wrong in (b"blablabla", b"{}", text[:-20], json.dumps({**missing, "mediaType": INDEX}).encode()):
        equal(error_code(must(400, "PUT", "/v2/conformance/bad/manifests/x", wrong)), "MANIFEST_INVALID", repr(wrong[:20]))
    must(413, "PUT", "/v2/conformance/bad/manifests/x", b" " * (5 << 20))
    must(201, "PUT", f"/v2/conformance/bad/manifests/{name}", text, {"Content-Type": media_type})


# --- users, strangers, devices -------------------------------------------------------------------------------------


def token_for(*scopes):
    query = "&".join("scope=" + urllib.parse.quote(s) for s in scopes)
    got = must(200, "GET", f"/v2/token?service=ridge&{query}").json()
    equal(got["token"], got["access_token"], "the token")
    check(got["expires_in"] >= 60, "its life")
    return "Bearer " + got["token"]


@case
def tokens_name_their_scopes_and_strangers_get_nothing():
    data = noise(100)
    name = digest(data)
    push_post("private/app", data, name)
    paths = [("GET", f"/v2/private/app/blobs/{name}"), ("GET", "/v2/private/app/tags/list"), ("POST", "/v2/private/app/blobs/uploads/"),
             ("PUT", "/v2/private/app/manifests/x"), ("DELETE", f"/v2/private/app/blobs/{name}"),
             ("GET", f"/v2/private/app/referrers/{name}"), ("GET", "/v2/token")]  # fmt: skip
    strangers = (False, "Bearer x", "Bearer x.y", basic("admin", "wrong"), basic("baas", lab().cloud.token), "Basic ?")
    for number, authorization in enumerate(strangers, 2):
        for method, path in paths:
            # From addresses of their own: who tries many is refused whatever it shows.
            got = must(401, method, path, authorization=authorization, source=f"127.0.0.{number}")
            equal(error_code(got), "UNAUTHORIZED", f"{method} {path}")
    pull = token_for("repository:private/app:pull")
    must(200, "GET", f"/v2/private/app/blobs/{name}", authorization=pull)
    got = must(401, "POST", "/v2/private/app/blobs/uploads/", authorization=pull)
    check('scope="repository:private/app:pull,push"' in got.header("WWW-Authenticate"), "the scope that is wanted")
    must(401, "GET", f"/v2/private/other/blobs/{name}", authorization=pull)
    push = token_for("repository:private/new:pull,push")
    must(202, "POST", f"/v2/private/new/blobs/uploads/?mount={name}&from=private/app", authorization=push)
    both = token_for("repository:private/new:pull,push", "repository:private/app:pull")
    must(201, "POST", f"/v2/private/new/blobs/uploads/?mount={name}&from=private/app", authorization=both)
    must(200, "GET", f"/v2/private/app/blobs/{name}", authorization="Bearer " + lab().cloud.token)


@case
def images_are_listed_shown_shared_and_removed():
    one = Set("shop/app")
    config = {"architecture": "amd64", "os": "linux", "config": {
        "Env": ["MODE=fast"], "ExposedPorts": {"8080/tcp": {}}, "Labels": {"org.opencontainers.image.version": "1.2", "ridge.memory.min": "64MiB"}}}  # fmt: skip
    image = one.image("1.2", config=json.dumps(config).encode(),
                      annotations={"org.opencontainers.image.description": "counts pumps", "ridge.memory.max": "1GiB", "ridge.cpu.max": "x"})  # fmt: skip
    one.tags["latest"] = image["digest"]
    one.image(artifactType=ARTIFACT, config=b"{}", config_type=EMPTY, subject=image)
    one.push()
    shown = lab().cli("image", "show", "shop/app:1.2")
    equal([shown[k] for k in ("digest", "version", "purpose", "architectures", "ports", "environment", "resources")],
          [image["digest"], "1.2", "counts pumps", ["amd64"], ["8080/tcp"], ["MODE=fast"], {"memory_min": 64 << 20, "memory_max": 1 << 30}],
          "the form")  # fmt: skip
    equal([d["artifactType"] for d in shown["referrers"]], [ARTIFACT], "the referrers")
    equal(lab().cli("image", "show", f"shop/app@{image['digest']}")["version"], "1.2", "by digest")
    listed = {i["name"]: i for i in lab().cli("image", "list")["images"]}
    equal((listed["shop/app"]["tags"], listed["shop/app"]["devices"]), (["1.2", "latest"], "*"), "the list")
    equal(lab().cli("image", "devices", "shop/app", "pump-1,pump-2")["devices"], "pump-1,pump-2", "the devices")
    lab().cli("image", "devices", "shop/app", "none")
    lab().cli("image", "rm", "shop/app:latest")
    must(200, "GET", "/v2/shop/app/manifests/1.2")
    lab().cli("image", "rm", "shop/app:1.2")
    must(404, "GET", f"/v2/shop/app/manifests/{image['digest']}")
    equal(must(200, "GET", f"/v2/shop/app/referrers/{image['digest']}").json()["manifests"], [], "what referred to it")
    for name, status in (("shop/app:1.2", 3), ("no/such:1", 3), ("bad name", 1), ("shop/app", 1)):
        equal(lab().cli("image", "rm", name, check=False)[0], status, f"rm {name}")
    equal(lab().cli("image", "show", "no/such", check=False)[0], 3, "show of nothing")
    status, answer = lab().cloud.call("POST", "/images/collect")
    check(status == 200 and answer["bytes"] > 0, f"collect: {status} {answer}")
    for method, path in (("GET", "/images"), ("GET", "/image?name=x"), ("DELETE", "/image?name=x&reference=1"), ("PUT", "/image/devices")):
        equal(ask(method, "/api/v1" + path, authorization=False).status, 401, path)


@case
def images_are_signed_and_signers_trusted_and_revoked():
    one = Set("signed/app")
    image = one.image("1.0")
    one.push()
    with tempfile.TemporaryDirectory(prefix="ridge-sign-") as directory:
        key = os.path.join(directory, "signer.key")
        secret = os.path.join(directory, "secret")
        with open(secret, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("a long passphrase\n")
        about = lab().cli("key", "new", key, "--passphrase-file", secret)
        made = lab().cli("image", "sign", "signed/app:1.0", "--key", key, "--passphrase-file", secret)
        equal([made["digest"], made["tag"], made["key"]], [image["digest"], "1.0", about["public_key"]], "the signature")
        listed = must(200, "GET", f"/v2/signed/app/referrers/{image['digest']}?artifactType=application%2Fvnd.ridge.image.signature.v1%2Bjson").json()
        equal([(m["digest"], m["annotations"]["ridge.signature.tag"]) for m in listed["manifests"]], [(made["artifact"], "1.0")], "the referrers")
        layer = must(200, "GET", f"/v2/signed/app/manifests/{made['artifact']}").json()["layers"][0]
        signature = must(200, "GET", f"/v2/signed/app/blobs/{layer['digest']}").json()
        text = os.path.join(directory, "text")
        with open(text, "w") as file:
            file.write("\n".join(["ridge-image-signature-v1", image["digest"], "signed/app", "1.0", str(signature["signed_ms"])]))
        raw = os.path.join(directory, "raw")
        with open(raw, "w") as file:
            file.write(signature["signature"])
        equal(lab().cli("key", "verify", signature["key"], text, raw)["valid"], True, "the documented text is what is signed")
        trusted = lab().cli("image", "trust", "factory", about["public_key"], "--repositories", "signed/*")
        equal({s["name"]: s["revoked"] for s in trusted["signers"]}, {"factory": False, "platform": False}, "the signers")
        revoked = lab().cli("image", "distrust", "factory")
        check(revoked["number"] > trusted["number"], "the list's number grows")
        equal({s["name"]: s["revoked"] for s in lab().cli("image", "signers")["signers"]}, {"factory": True, "platform": False}, "after a revocation")
        equal(lab().cli("image", "unsigned", "127.0.0.1:5000/*")["unsigned"], "127.0.0.1:5000/*", "what may be unsigned")
        equal(lab().cli("image", "unsigned", "none")["unsigned"], "", "nothing may be")
        for words in (("sign", "signed/app:2.0", "--key", key, "--passphrase-file", secret), ("distrust", "nobody")):
            equal(lab().cli("image", *words, check=False)[0], 3, " ".join(words))
        for words in (("sign", "signed/app", "--key", key), ("sign", "signed/app:1.0"), ("unsigned", "a,,b"), ("trust", "x", "00")):
            check(lab().cli("image", *words, check=False)[0] != 0, " ".join(words))
    for method, path in (("GET", ""), ("PUT", ""), ("PUT", "/signers/x"), ("DELETE", "/signers/factory")):
        equal(ask(method, "/api/v1/image-trust" + path, authorization=False).status, 401, method + path)


def layout_of(one, tag, directory):
    """The images of a Set as an OCI image layout; the one with this tag is named in it."""
    blobs = os.path.join(directory, "blobs", "sha256")
    os.makedirs(blobs)
    texts = {name: text for name, _, text in one.manifests}
    for name, data in {**one.blobs, **texts}.items():
        with open(os.path.join(blobs, name.removeprefix("sha256:")), "wb") as file:
            file.write(data)
    media_type = next(kind for name, kind, _ in one.manifests if name == one.tags[tag])
    with open(os.path.join(directory, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [{"mediaType": media_type, "digest": one.tags[tag], "size": len(texts[one.tags[tag]]),
                                                      "annotations": {"org.opencontainers.image.ref.name": tag}}]}, file)  # fmt: skip
    with open(os.path.join(directory, "oci-layout"), "w") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')
    return directory


def tar_of(directory, path):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(directory, arcname=".")
    return path


@case
def images_are_pushed_from_layouts_and_archives():
    one = Set("unused")
    platforms = [{"os": "linux", "architecture": a} for a in ("amd64", "arm64")]
    one.index([{**one.image(), "platform": p} for p in platforms], "2.0")
    image = one.image("1.0", layers=3)
    layers = json.loads(one.manifests[-1][2])["layers"]
    with tempfile.TemporaryDirectory(prefix="ridge-push-") as directory:
        layout = layout_of(one, "1.0", os.path.join(directory, "layout"))
        made = lab().cli("image", "push", layout, "pushed/app:1.0")
        equal((made["digest"], made["blobs_sent"] > 0), (image["digest"], True), "a layout")
        for part in layers:
            pulls("pushed/app", one.blobs[part["digest"]], part["digest"])
        again = lab().cli("image", "push", layout, "pushed/app:again")
        equal((again["digest"], again["blobs_sent"], again["bytes_sent"]), (image["digest"], 0, 0), "what is there is not sent")
        mounted = lab().cli("image", "push", tar_of(layout, os.path.join(directory, "oci.tar")), "pushed/other:1.0")
        equal((mounted["digest"], mounted["blobs_sent"]), (image["digest"], 0), "an oci-archive, by mounts")
        check(mounted["blobs_mounted"] > 0, "mounted")
        index = lab().cli("image", "push", layout_of(one, "2.0", os.path.join(directory, "index")), "pushed/index:2.0")
        equal(index["digest"], one.tags["2.0"], "an index with its images")
        equal(lab().cli("image", "show", "pushed/index:2.0")["architectures"], ["amd64", "arm64"], "of both architectures")

        env = os.path.join(directory, "env")
        with open(env, "w") as file:
            file.write("# how it runs\nMODE=fast\nLEVEL=2\n")
        form = ("--version", "1.1", "--purpose", "counts pumps", "--memory-min", "64MiB", "--memory-max", "1GiB", "--cpu-min", "100")
        lab().cli("image", "push", layout, "pushed/app:1.1", *form, "--ports", "8080/tcp,9000/udp", "--env-file", env)
        shown = lab().cli("image", "show", "pushed/app:1.1")
        equal([shown[k] for k in ("version", "purpose", "ports", "environment", "resources")],
              ["1.1", "counts pumps", ["8080/tcp", "9000/udp"], ["MODE=fast", "LEVEL=2"], {"memory_min": 64 << 20, "memory_max": 1 << 30, "cpu_min": 100}],
              "the form")  # fmt: skip
        changed = lab().cli("image", "set", "pushed/app:1.1", "--disk-min", "2GiB")
        check(changed["digest"] != changed["before"] == shown["digest"], "another digest")
        equal(lab().cli("image", "show", "pushed/app:1.1")["resources"]["disk_min"], 2 << 30, "what was set")
        lab().cli("image", "set", "pushed/index:2.0", "--version", "7")
        equal(lab().cli("image", "show", "pushed/index:2.0")["version"], "7", "the form of an index")

        # docker save: manifest.json, a configuration, layers as they are
        docker = os.path.join(directory, "docker")
        os.makedirs(os.path.join(docker, "a"))
        layer = noise(70000)
        for name, data in (("config.json", b'{"architecture":"amd64","os":"linux"}'), ("a/layer.tar", layer),
                           ("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["a/layer.tar"]}]).encode())):  # fmt: skip
            with open(os.path.join(docker, name), "wb") as file:
                file.write(data)
        saved = lab().cli("image", "push", tar_of(docker, os.path.join(directory, "docker.tar")), "pushed/docker:1")
        manifest = must(200, "GET", f"/v2/pushed/docker/manifests/{saved['digest']}").json()
        equal([part["digest"] for part in manifest["layers"]], [digest(layer)], "the layers of a docker-archive")
        pulls("pushed/docker", layer, digest(layer))

        cut = os.path.join(directory, "cut.tar")
        with open(os.path.join(directory, "oci.tar"), "rb") as whole, open(cut, "wb") as file:
            file.write(whole.read(20000))
        squeezed = os.path.join(directory, "oci.tar.gz")
        with open(squeezed, "wb") as file:
            file.write(b"\x1f\x8b rest")
        other = Set("unused")
        other.image("1")
        damaged = layout_of(other, "1", os.path.join(directory, "damaged"))
        with open(os.path.join(damaged, "blobs", "sha256", json.loads(other.manifests[0][2])["layers"][0]["digest"][7:]), "r+b") as file:
            file.write(b"damaged")
        for source, name, more in ((cut, "bad/app:1", ()), (squeezed, "bad/app:1", ()), (os.path.join(directory, "none"), "bad/app:1", ()),
                                   (damaged, "bad/app:1", ()), (layout, "bad/app", ()), (layout, "pushed/app:9", ("--image", "9")),
                                   (layout, "pushed/app:9", ("--memory-min", "2GiB", "--memory-max", "1GiB")), (layout, "pushed/app:9", ("--ports", "70000"))):  # fmt: skip
            check(lab().cli("image", "push", source, name, *more, check=False)[0] != 0, f"push of {source} to {name} {more}")
        equal(ask("GET", "/v2/bad/app/manifests/1").status, 404, "nothing of it has a name")


class Cutter:
    """A way to the cloud that breaks after each so many bytes towards it, and counts how often."""

    def __init__(self, every, times):
        host, port = lab().cloud.url.removeprefix("http://").split(":")
        self.to, self.left, self.every, self.times, self.cuts = (host, int(port)), every, every, times, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection(self.to)
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self.carry, args=pair, daemon=True).start()
        except OSError:
            pass

    def carry(self, source, target, counted):
        try:
            while data := source.recv(65536):
                if counted and self.cuts < self.times:
                    self.left -= len(data)
                    if self.left < 0:
                        self.left, self.cuts = self.every, self.cuts + 1
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@case
def a_push_goes_on_after_its_connection_broke():
    one = Set("unused")
    layer = noise(20 << 20)
    part = one.blob(layer)
    config = one.blob(b'{"architecture":"amd64","os":"linux"}', "application/vnd.oci.image.config.v1+json")
    image = one.add({"schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": [part]}, "1")
    way = Cutter(5 << 20, 3)
    with tempfile.TemporaryDirectory(prefix="ridge-push-") as directory:
        layout = layout_of(one, "1", os.path.join(directory, "layout"))
        made = lab().cli("image", "push", layout, "broken/app:1", "--url", way.url)
    way.listener.close()
    equal((made["digest"], way.cuts), (image["digest"], 3), "the push, and how often it broke")
    pulls("broken/app", layer, digest(layer))


@case
def many_push_and_pull_at_once():
    failures = []

    def work(number):
        try:
            one = Set(f"busy/{number % 3}")
            one.image(f"t{number}", layers=4)
            one.push()
            for name, data in one.blobs.items():
                pulls(one.repo, data, name)
        except Exception as error:  # told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failures, [], "failures")


@case
def an_upload_goes_on_after_the_cloud_was_killed():
    data = noise(3 << 20)
    name = digest(data)
    location = start("crash/app")
    got = must(202, "PATCH", location, data[: 1 << 20])
    lab().cloud.kill()
    lab().cloud.start()
    got = must(204, "GET", location)
    equal(got.header("Range"), f"0-{(1 << 20) - 1}", "where the upload stands")
    must(202, "PATCH", location, data[1 << 20 : 2 << 20])
    must(201, "PUT", with_digest(location, name), data[2 << 20 :])
    pulls("crash/app", data, name)


@case
def a_copy_of_a_registry_over_https_believes_its_ca_and_nobody_else():
    """The other registry is a cloud of its own behind TLS, which wants tokens; the credentials are in a file."""
    other, copy, front = labs.Lab(), labs.Lab(), None
    os.environ["no_proxy"] = "127.0.0.1"
    try:
        ca, stranger = Authority(other.dir, "ca"), Authority(other.dir, "stranger")
        front = Front(*ca.issue())
        up = other.start_cloud(["--public-url", front.url])
        front.target = urllib.parse.urlsplit(up.url).port
        layer, config = noise(300_000), b"{}"
        for data in (layer, config):
            must(201, "POST", f"/v2/team/app/blobs/uploads/?digest={digest(data)}", data, cloud=up)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "config": {"mediaType": EMPTY, "digest": digest(config), "size": 2},
                               "layers": [{"mediaType": "application/x", "digest": digest(layer), "size": len(layer)}]}).encode()  # fmt: skip
        must(201, "PUT", "/v2/team/app/manifests/1", manifest, {"Content-Type": IMAGE}, cloud=up)
        auth = os.path.join(copy.dir, "auth.json")
        with open(os.open(auth, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
            json.dump({"auths": {front.host: {"auth": base64.b64encode(f"admin:{up.token}".encode()).decode()}}}, file)
        here = copy.start_cloud(["--images-proxy", f"lab={front.url}", "--images-proxy-auth", auth, "--images-proxy-ttl", "1s"])
        path, argv = "/v2/lab/team/app", list(here.argv)
        got = must(502, "GET", f"{path}/manifests/1", cloud=here)  # the system's roots do not have it
        check("certificate is not believed" in got.json()["errors"][0]["message"], f"why: {got.body!r}")
        for roots, status in ((stranger, 502), (ca, 200)):
            here.stop()
            here.argv = [*argv, "--images-proxy-ca", roots.path]
            here.start()
            got = must(status, "GET", f"{path}/manifests/1", cloud=here)
        equal(got.body, manifest, "the manifest of the copy")
        equal(must(200, "GET", f"{path}/blobs/{digest(layer)}", cloud=here).body, layer, "the layer of the copy")
        equal(must(200, "GET", f"{path}/tags/list", cloud=here).json()["tags"], ["1"], "the tags of the copy")
        # Known as another one from now on: what is here is served, what is not here is refused.
        here.stop()
        here.argv = [*argv, "--images-proxy-ca", stranger.path]
        here.start()
        equal(must(200, "GET", f"{path}/manifests/1", cloud=here).body, manifest, "the manifest while the registry is not believed")
        must(502, "GET", f"{path}/blobs/{digest(config)}", cloud=here)
        here.stop()
        here.argv = [*argv, "--images-proxy-ca", ca.base + ".key"]
        here.process = None
        labs.Program.start(here)
        check(here.end() != 0 and "private key" in here.log_tail(), f"a key as a CA: {here.log_tail()}")
        check(up.token not in " ".join(argv), "the credentials stand on the command line")
    finally:
        copy.stop()
        other.stop()
        if front:
            front.close()


if __name__ == "__main__":
    sys.exit(main(stop))
