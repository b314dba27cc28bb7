"""Chains of ridge-node processes without cloud and agents, on loopback or each in a network namespace of its own."""

import os
import shutil
import signal
import socket
import subprocess

import lab as labs


def free_ports(count):
    """Ports that nobody listens on now; taken all at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Node(labs.Program):
    """One node process; what it says goes to node.log beside its directory."""

    def __init__(self, name, directory, program, host, ports, prefix=(), extra=()):
        self.name, self.dir = name, directory
        self.url = f"http://{host}:{ports[1]}"
        argv = [
            "setpriv", "--pdeathsig", "KILL", *prefix, program, "--dir", directory, "--name", name,
            "--p2p-host", host, "--p2p-port", str(ports[0]), "--rpc-host", host, "--rpc-port", str(ports[1]), *extra,
        ]  # fmt: skip
        super().__init__(argv, directory.rstrip("/") + ".log")

    def ask(self, method, params=(), timeout=3):
        """Result of an RPC; None when it does not answer, or answers an error."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            status, answer = labs.request(self.url, "POST", "/", body, timeout=timeout)
        except (OSError, labs.http.client.HTTPException):
            return None
        return answer.get("result") if status == 200 and isinstance(answer, dict) else None

    def status(self, timeout=3):
        return self.ask("ridge_status", timeout=timeout) if self.alive() else None

    def height(self, timeout=3):
        status = self.status(timeout)
        return status["height"] if status else None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def wipe(self):
        """The ledger is lost; keys, configuration and the mark that it has voted stay, as on a broken data disk."""
        shutil.rmtree(os.path.join(self.dir, "data"), ignore_errors=True)


class Chain:
    """Validators node-1, node-2, …; a context manager that ends all of them."""

    def __init__(self, binary, directory, consensus, count, network=None, genesis=(), extra=()):
        """binary: path of a program by its name. network: netns.Network, or None for loopback. extra: of ridge-node."""
        self.dir, self.consensus = directory, consensus
        if network:
            places = [(network.host(i), (7000, 8000), network.prefix(i)) for i in range(count)]
        else:
            ports = free_ports(2 * count)
            places = [("127.0.0.1", (ports[2 * i], ports[2 * i + 1]), ()) for i in range(count)]
        addresses = ",".join(f"{host}:{ports[0]}" for host, ports, _ in places)
        subprocess.run(
            [binary("ridge-campaign"), "make", "--dir", directory, "--addresses", addresses, "--consensus", consensus, *genesis],
            check=True,
        )
        self.nodes = [
            Node(f"node-{i + 1}", os.path.join(directory, f"node-{i + 1}"), binary("ridge-node"), host, ports, prefix, extra)
            for i, (host, ports, prefix) in enumerate(places)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.alive():
                node.resume()
                node.kill()

    def start(self, seconds=60):
        for node in self.nodes:
            node.start()
        self.wait_answer(seconds)

    def wait_answer(self, seconds=60):
        for node in self.nodes:
            labs.wait_for(f"{node.name} answers", seconds, lambda n=node: n.status() is not None, 0.02)

    def urls(self):
        return [node.url for node in self.nodes]

    def leader(self):
        """The node that most others call their leader, or None."""
        names = {}
        for node in self.nodes:
            status = node.status(0.5) if node.alive() else None
            if status and status["consensus"]["leader"]:
                names[status["consensus"]["leader"]] = names.get(status["consensus"]["leader"], 0) + 1
        best = max(names, key=names.get, default=None)
        return next((node for node in self.nodes if node.name == best), None)

    def stop(self):
        """SIGTERM to all; {name: exit status}."""
        for node in self.nodes:
            if node.alive():
                node.process.send_signal(signal.SIGTERM)
        return {node.name: node.end(60) for node in self.nodes if node.process}
