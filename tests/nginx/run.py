#!/usr/bin/env python3
"""Tickwire behind a real nginx, with deploy/nginx/nginx.conf as it stands but for ports and paths.

    tests/nginx/run.py target/release/tickwire

Needs Python 3.11, openssl, and nginx with its stream module; without nginx it says so and skips, and fails
where CI=true. It proves: who the client is (by HTTP header and PROXY header), pages' origins, that silence
longer than nginx's patience does no harm, a reload, and a restart behind which a second server takes over.
"""

import base64
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELLO = bytes([2, 0, 5, 0, 1, 1, 0, 0, 0])
CLOSE = bytes([2, 0, 4, 0, 8, 4, 0xC8, 1])
GOING_AWAY, WELCOME = 9, 2
PATIENCE = 10


def ports(count):
    """Ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return found


def until(what, happens):
    """Waits for a condition, with a bound."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if happens():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Client:
    """Frames over TLS: a WebSocket through HTTP, or plain ones through the stream."""

    def __init__(self, port, source="127.0.0.1", name="game.example.org"):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0))
        self.socket = context.wrap_socket(raw, server_hostname=name)
        self.read, self.frames, self.websocket = b"", b"", False

    def upgrade(self, path="/ws", headers=""):
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: game.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: tickwire.v1\r\n{headers}\r\n".encode()
        )
        self.websocket = True
        return self.status()

    def status(self):
        while b"\r\n\r\n" not in self.read:
            more = self.socket.recv(4096)
            if not more:
                raise AssertionError(f"the end instead of an answer: {self.read!r}")
            self.read += more
        head, self.read = self.read.split(b"\r\n\r\n", 1)
        return int(head.split()[1])

    def send(self, frames):
        if self.websocket:
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(frames))
            frames = bytes([0x82, 0x80 | len(frames)]) + mask + masked
        self.socket.sendall(frames)

    def _take(self):
        """The next frame that is here: type and payload."""
        while self.websocket and len(self.read) >= 2:
            length, begin = self.read[1], 2
            if length == 126:
                if len(self.read) < 4:
                    break
                (length,), begin = struct.unpack(">H", self.read[2:4]), 4
            if len(self.read) < begin + length:
                break
            if self.read[0] & 15 == 2:
                self.frames += self.read[begin : begin + length]
            self.read = self.read[begin + length :]
        if not self.websocket:
            self.frames, self.read = self.frames + self.read, b""
        if len(self.frames) >= 4:
            length = int.from_bytes(self.frames[1:3], "big")
            if len(self.frames) >= 4 + length:
                frame = self.frames[0], self.frames[4 : 4 + length]
                self.frames = self.frames[4 + length :]
                return frame
        return None

    def frame(self):
        """The next frame, or None at the end."""
        while (frame := self._take()) is None:
            more = self.socket.recv(4096)
            if not more:
                return None
            self.read += more
        return frame

    def control(self, command):
        """Reads to this command."""
        while (frame := self.frame()) is not None:
            if frame[0] == 2 and frame[1][0] == command:
                return frame[1]
        raise AssertionError(f"the end instead of command {command}")

    def hello(self):
        self.send(HELLO if self.websocket else b"\xd7TW\x01" + HELLO)
        self.control(WELCOME)
        return self


class Site:
    """nginx and two servers in a directory of their own."""

    def __init__(self, tickwire, nginx, directory):
        self.tickwire, self.nginx, self.directory = tickwire, nginx, directory
        self.https, self.tls, self.ws, self.tcp, self.second = ports(5)
        self.processes = []

    def write(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=game.example.org", "-keyout", "key.pem", "-out", "chain.pem"],
            cwd=self.directory, check=True, capture_output=True,
        )  # fmt: skip
        text = (ROOT / "deploy/nginx/nginx.conf").read_text()
        # Whoever runs this need not be root.
        temporary = [f"{what}_temp_path {self.directory}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        replaced = {
            "pid /run/nginx.pid": f"pid {self.directory}/nginx.pid",
            "/var/log/nginx/error.log warn": f"{self.directory}/error.log warn",
            "http {\n": "http {\n" + "\n".join(temporary) + "\n",
            "/etc/ssl/game.example.org": str(self.directory),
            "listen 443 ssl": f"listen 127.0.0.1:{self.https} ssl",
            "    listen [::]:443 ssl;\n": "",
            "listen 7443 ssl": f"listen 127.0.0.1:{self.tls} ssl",
            "server 127.0.0.1:7070;": f"server 127.0.0.1:{self.ws};",
            "#server 127.0.0.1:7080 backup": f"server 127.0.0.1:{self.second} backup",
            "server 127.0.0.1:7071": f"server 127.0.0.1:{self.tcp}",
            # Shorter, so that the test needs seconds; the relation to the server's pings stays.
            "proxy_read_timeout 75s": "proxy_read_timeout 2s",
            "proxy_send_timeout 75s": "proxy_send_timeout 2s",
            "proxy_timeout 75s": "proxy_timeout 2s",
            "worker_rlimit_nofile 65536;": "",
            "worker_connections 32768": "worker_connections 512",
        }
        for old, new in replaced.items():
            assert old in text, f"deploy/nginx/nginx.conf has no {old!r} any more"
            text = text.replace(old, new)
        (self.directory / "nginx.conf").write_text(text)
        for name, ws, tcp in [("first", self.ws, f'"127.0.0.1:{self.tcp}"'), ("second", self.second, "false")]:
            (self.directory / f"{name}.toml").write_text(
                f'listen = "127.0.0.1:{ws}"\ntcp = {tcp}\n[admin]\nlisten = false\n[limits]\nping_interval = "500ms"\n'
                "address_connections = 2\n"
                '[access]\ntrusted_proxies = ["127.0.0.1"]\nproxy_protocol_tcp = true\nexempt = []\n'
            )

    def run(self, name, arguments, **environment):
        log = open(self.directory / f"{name}.log", "w")
        process = subprocess.Popen(arguments, stdout=log, stderr=log, env=os.environ | environment)
        self.processes.append(process)
        return process

    def server(self, name, port):
        config = str(self.directory / f"{name}.toml")
        process = self.run(name, [self.tickwire, "serve", "--config", config], TICKWIRE_LOG="tickwire=debug")
        check = [self.tickwire, "healthcheck", "--url", f"http://127.0.0.1:{port}/readyz"]
        until(name, lambda: subprocess.run(check, capture_output=True).returncode == 0)
        return process

    def proxy(self, *arguments):
        done = subprocess.run([self.nginx, "-c", str(self.directory / "nginx.conf"), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def log(self, name):
        return re.sub(r"\x1b\[[0-9;]*m", "", (self.directory / f"{name}.log").read_text())

    def stop(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(PATIENCE)


def upgraded(site, source="127.0.0.1"):
    client = Client(site.https, source)
    assert client.upgrade() == 101
    return client.hello()


def http(site):
    """What is passed on, and what is not."""
    for path, expected in [("/readyz", 200), ("/metrics", 404), ("/", 404)]:
        client = Client(site.https)
        client.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: game.example.org\r\nConnection: close\r\n\r\n".encode())
        assert (status := client.status()) == expected, (path, status)


def clients(site):
    """Each client is itself, over both ways, whatever it says."""
    first = [upgraded(site, "127.0.0.2") for _ in range(2)]
    third = Client(site.https, "127.0.0.2")
    lie = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n"
    assert (status := third.upgrade(headers=lie)) == 429, status
    other = upgraded(site, "127.0.0.3")
    # The same address has its places over TCP too.
    devices = [Client(site.tls, source) for source in ("127.0.0.3", "127.0.0.4")]
    devices = [device.hello() for device in devices]
    for client in [*first, other, *devices]:
        client.send(CLOSE)
        client.control(8)
        client.socket.close()
    # The server's own word for it.
    for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
        until(f"the end of {source}", lambda source=source: f"peer=Some({source})" in site.log("first"))
    assert "198.51.100.1" not in site.log("first")


def origins(site):
    """Pages of the host may connect, others not."""
    for origin, expected in [("https://game.example.org", 101), ("https://evil.example.com", 403)]:
        client = Client(site.https, "127.0.0.5")
        assert (status := client.upgrade(headers=f"Origin: {origin}\r\n")) == expected, (origin, status)


def silence(site):
    """Twice nginx's patience without a word of the application: the server's pings hold the line."""
    lines = [upgraded(site, "127.0.0.6"), Client(site.tls, "127.0.0.6").hello()]
    for line in lines:
        begun, pings = time.monotonic(), 0
        while time.monotonic() - begun < 4:
            frame = line.frame()
            assert frame is not None, "nginx hung up"
            pings += frame[0] == 3
        assert pings >= 4, pings


def reload(site):
    """nginx reads its configuration again: who is there stays, who comes is served."""
    line = upgraded(site, "127.0.0.7")
    site.proxy("-s", "reload")
    time.sleep(0.5)
    for _ in range(3):
        assert line.frame() is not None, "nginx hung up"
    upgraded(site, "127.0.0.7")


def upgrade(site, server):
    """The first server goes; nginx has a second one, and nobody is turned away."""
    line = upgraded(site, "127.0.0.8")
    site.server("second", site.second)
    server.send_signal(signal.SIGTERM)
    line.control(GOING_AWAY)
    # New clients find the second server at once.
    for _ in range(2):
        upgraded(site, "127.0.0.9")
    line.socket.close()
    assert server.wait(PATIENCE) == 0
    upgraded(site, "127.0.0.8")


def main():
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        print("nginx is not here: skipped")
        return os.environ.get("CI") == "true"
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        site = Site(str(Path(sys.argv[1]).resolve()), nginx, Path(directory))
        site.write()
        site.proxy("-t")
        try:
            server = site.server("first", site.ws)
            site.run("nginx", [nginx, "-c", f"{directory}/nginx.conf", "-g", "daemon off;"])
            until("nginx", lambda: not socket.socket().connect_ex(("127.0.0.1", site.https)))
            for scene in (http, clients, origins, silence, reload):
                scene(site)
                print(f"{scene.__name__}: passed")
            upgrade(site, server)
            print("upgrade: passed")
        except BaseException:
            for log in ("first.log", "second.log", "nginx.log", "error.log"):
                path = site.directory / log
                if path.exists():
                    print(f"-- {log}\n{path.read_text()[-3000:]}")
            raise
        finally:
            site.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
