"""An S3-compatible server of a few lines, for tests: path-style, multipart uploads, ranges; it checks every signature by
itself, and can fail, cut, forget and lie."""

import hashlib
import hmac
import http.server
import re
import threading
import urllib.parse
import uuid

ACCESS = "RIDGETESTACCESS"
SECRET = "a/secret+of=tests"


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.objects, self.uploads, self.seen = {}, {}, []
        self.moods = []  # [pattern of "METHOD path?query", what, how often]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return self.url_at(f"http://127.0.0.1:{self.server_port}")

    @staticmethod
    def url_at(front):
        return f"s3+{front}/bucket/ridge"

    def mood(self, pattern, what, times=1):
        with self.lock:
            self.moods.append([re.compile(pattern), what, times])

    def take_mood(self, request):
        with self.lock:
            self.seen.append(request)
            for mood in self.moods:
                if mood[2] > 0 and mood[0].search(request):
                    mood[2] -= 1
                    return mood[1]
        return None

    def count(self, pattern):
        with self.lock:
            return sum(1 for request in self.seen if re.search(pattern, request))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        length = headers.get("Content_Length")
        if length is None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    def signed(self, body):
        """Amazon S3 API Reference, Signature Version 4."""
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""),
        )
        payload = self.headers.get("x-amz-content-sha256", "")
        if not given or given[1] != ACCESS or payload != hashlib.sha256(body).hexdigest():
            return False
        _, day, region, names, signature = given.groups()
        path, _, query = self.path.partition("?")
        pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
        canonical_query = "&".join(f"{urllib.parse.quote(k, safe='-._~')}={urllib.parse.quote(v, safe='-._~')}" for k, v in pairs)
        lines = "".join(f"{name}:{self.headers.get(name, '').strip()}\n" for name in names.split(";"))
        canonical = f"{self.command}\n{path}\n{canonical_query}\n{lines}\n{names}\n{payload}"
        date = self.headers.get("x-amz-date", "")
        text = f"AWS4-HMAC-SHA256\n{date}\n{day}/{region}/s3/aws4_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = mac(mac(mac(mac(("AWS4" + SECRET).encode(), day), region), "s3"), "aws4_request")
        wanted = {"host", "x-amz-content-sha256", "x-amz-date"}
        return wanted <= set(names.split(";")) and date.startswith(day) and hmac.compare_digest(mac(key, text).hex(), signature)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.signed(body):
            self.refuse(403, "SignatureDoesNotMatch")
            return
        mood = self.server.take_mood(f"{self.command} {self.path}")
        if isinstance(mood, int):
            self.refuse(mood, "SlowDown" if mood == 503 else "Trouble")
            return
        if mood == "cut":
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        arguments = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if not path.startswith("/bucket/ridge/"):
            self.refuse(404, "NoSuchBucket")
            return
        getattr(self, "on_" + self.command.lower())(path, arguments, body, mood)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def on_put(self, path, arguments, body, mood):
        if mood == "lie":
            body = body[:-1] + bytes([body[-1] ^ 1])
        with self.server.lock:
            if "uploadId" in arguments:
                parts = self.server.uploads.get(arguments["uploadId"])
                if parts is None:
                    self.refuse(404, "NoSuchUpload")
                    return
                parts[int(arguments["partNumber"])] = body
            else:
                self.server.objects[path] = body
        self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def on_post(self, path, arguments, body, mood):
        if "uploads" in arguments:
            name = uuid.uuid4().hex + "/+="
            with self.server.lock:
                self.server.uploads[name] = {}
            self.answer(200, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode())
            return
        listed = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>(\"[0-9a-f]{32}\")</ETag>", body.decode())
        with self.server.lock:
            parts = self.server.uploads.pop(arguments.get("uploadId"), None)
            fits = parts is not None and [(str(n), f'"{hashlib.md5(parts[n]).hexdigest()}"') for n in sorted(parts)] == listed
            if fits and mood != "error":
                self.server.objects[path] = b"".join(parts[n] for n in sorted(parts))
        if mood == "error" or not fits:
            self.answer(200, b"<Error><Code>InternalError</Code></Error>")
        else:
            self.answer(200, b"<CompleteMultipartUploadResult/>")

    def on_delete(self, path, arguments, _body, _mood):
        with self.server.lock:
            if "uploadId" in arguments:
                self.server.uploads.pop(arguments["uploadId"], None)
            else:
                self.server.objects.pop(path, None)
        self.answer(204)

    def on_head(self, path, *_):
        with self.server.lock:
            data = self.server.objects.get(path)
        if data is None:
            self.refuse(404, "NoSuchKey")
        else:
            self.answer(200, Content_Length=str(len(data)))

    def on_get(self, path, _arguments, _body, mood):
        with self.server.lock:
            data = self.server.objects.get(path)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if data is None or not found or int(found[1]) >= len(data):
            self.refuse(404 if data is None else 416, "NoSuchKey")
            return
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        piece = data[first : last + 1]
        if mood == "lie":
            piece = piece[:-1] + bytes([piece[-1] ^ 1])
        sent = piece[: len(piece) // 2] if mood == "half" else piece
        self.answer(206, sent, Content_Length=str(len(piece)), Content_Range=f"bytes {first}-{last}/{len(data)}")
        if mood == "half":
            self.close_connection = True
