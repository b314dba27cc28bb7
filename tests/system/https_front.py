"""CAs of the test's own, certificates of theirs, and TLS in front of a plain HTTP server (openssl makes the certificates)."""

import contextlib
import os
import select
import socket
import ssl
import subprocess
import threading

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"openssl {arguments[0]}: {done.stderr}")


class Authority:
    def __init__(self, directory, name):
        self.base = os.path.join(directory, name)
        self.path, self.count = self.base + ".pem", 0
        _openssl("req", "-x509", *EC, "-keyout", self.base + ".key", "-out", self.path, "-subj", f"/CN={name}", "-days", "2")

    def issue(self, name="IP:127.0.0.1", days=1):
        """(certificate, key) as files, for a name in the form of a subjectAltName; days below 0: it has expired."""
        self.count += 1
        leaf = f"{self.base}-{self.count}"
        with open(leaf + ".ext", "w", encoding="ascii") as file:
            file.write(f"subjectAltName={name}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-new", *EC, "-keyout", leaf + ".key", "-out", leaf + ".csr", "-subj", "/CN=server")
        _openssl("x509", "-req", "-in", leaf + ".csr", "-CA", self.path, "-CAkey", self.base + ".key", "-CAcreateserial",
                 "-extfile", leaf + ".ext", "-days", str(days), "-out", leaf + ".pem")  # fmt: skip
        return leaf + ".pem", leaf + ".key"


class Front:
    """https://127.0.0.1:PORT, which passes what comes on to 127.0.0.1:self.target."""

    def __init__(self, certificate, key, target=None):
        self.target = target
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.url = "https://" + self.host
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, near):
        # Whoever does not believe the certificate ends the handshake; that is what the tests are about.
        with contextlib.suppress(OSError), near, self.context.wrap_socket(near, server_side=True) as tls:
            with socket.create_connection(("127.0.0.1", self.target)) as far:
                self._pass(tls, far)

    @staticmethod
    def _pass(tls, far):
        to = {tls: far, far: tls}
        while True:
            ready = [tls] if tls.pending() else select.select([tls, far], [], [])[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                to[source].sendall(data)

    def close(self):
        # A thread that waits in accept() is woken by this, not by close().
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
