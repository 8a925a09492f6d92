"""Receivers and name servers of the tests' own, on loopback: they record what comes and answer as told."""

import http.server
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message


@dataclass(frozen=True)
class Received:
    """One request as it came. `headers` are looked up without regard to case."""

    method: str
    path: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. With `raw`, these pieces are written as they come and nothing else: they may wait in between."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: Iterable[bytes] | None = None


Answering = Reply | Callable[[Received], Reply]


@dataclass
class HttpStandin:
    """`requests` are those received so far. `answer` may be changed at any time. `connections` counts, TLS or not."""

    url: str
    port: int
    answer: Answering
    requests: list[Received] = field(default_factory=list)
    connections: int = 0


@contextmanager
def http_standin(answer: Answering = Reply(), *, tls: ssl.SSLContext | None = None) -> Iterator[HttpStandin]:
    """A server with a thread for each connection. With `tls` it speaks https."""
    server = _HttpServer(("127.0.0.1", 0), _Handler)
    server.tls = tls
    port = server.server_address[1]
    server.standin = HttpStandin(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port, answer)
    with _served(server):
        yield server.standin


@contextmanager
def _served(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # of five, many at once find the line full, and their connections break
    standin: HttpStandin
    tls: ssl.SSLContext | None

    def finish_request(self, request, client_address):
        self.standin.connections += 1
        with suppress(OSError):  # who breaks off is what many tests are about
            if self.tls:
                request = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
            request.close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        size = int(self.headers.get("Content-Length") or 0)
        received = Received(self.command, self.path, self.headers, self.rfile.read(size))
        standin = self.server.standin
        standin.requests.append(received)
        self._reply(standin.answer(received) if callable(standin.answer) else standin.answer)

    def _reply(self, reply: Reply) -> None:
        if reply.raw is not None:
            self.close_connection = True
            for piece in reply.raw:
                self.wfile.write(piece)
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *args: object) -> None:
        """Nothing: what came is in `requests`."""


@dataclass
class NameStandin:
    """A name server. The n-th question gets the n-th of `answers`, all further ones the last."""

    port: int
    answers: list[list[str]]
    questions: list[str] = field(default_factory=list)

    def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002 - the system's own names
        """What `socket.getaddrinfo` would find if this were the machine's name server. IPv4 only."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", self.port))
            client.send(struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + _question(host))
            answer = client.recv(512)
        count = struct.unpack("!H", answer[6:8])[0]
        if not count:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [socket.inet_ntoa(answer[len(answer) - 16 * place :][12:16]) for place in range(count, 0, -1)]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@contextmanager
def name_standin(answers: list[list[str]]) -> Iterator[NameStandin]:
    """A little name server (RFC 1035) on UDP, which gives each answer for no time at all to keep."""

    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            packet = self.rfile.read()
            addresses = answers[min(len(standin.questions), len(answers) - 1)]
            standin.questions.append(_name(packet))
            counts = struct.pack("!5H", 0x8180 if addresses else 0x8183, 1, len(addresses), 0, 0)
            records = [struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address) for address in addresses]
            self.wfile.write(packet[:2] + counts + packet[12:] + b"".join(records))

    server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
    standin = NameStandin(server.server_address[1], answers)
    with _served(server):
        yield standin


def _question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!2H", 1, 1)


def _name(packet: bytes) -> str:
    labels, place = [], 12
    while size := packet[place]:
        labels.append(packet[place + 1 : place + 1 + size].decode())
        place += 1 + size
    return ".".join(labels)


@dataclass(frozen=True)
class ReceivedMail:
    """A mail as it came: whom the envelope names, and the bytes."""

    sender: str
    recipients: list[str]
    content: bytes


@dataclass
class SmtpStandin:
    """A mail server (RFC 5321) that takes all but `refused`: recipients with what each is answered."""

    port: int
    refused: dict[str, str] = field(default_factory=dict)
    mails: list[ReceivedMail] = field(default_factory=list)


@contextmanager
def smtp_standin() -> Iterator[SmtpStandin]:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 ready")
            sender, recipients = "", []
            while line := self.rfile.readline().decode().strip():
                verb, _, address = line.partition("<")
                verb, address = verb.upper(), address.partition(">")[0]
                if verb.startswith("MAIL"):
                    sender, recipients = address, []
                    self.say("250 OK")
                elif verb.startswith("RCPT"):
                    if address not in standin.refused:
                        recipients.append(address)
                    self.say(standin.refused.get(address, "250 OK"))
                elif verb == "DATA":
                    self.say("354 go on")
                    content = b"".join(iter(self.rfile.readline, b".\r\n"))
                    standin.mails.append(ReceivedMail(sender, recipients, content))
                    self.say("250 OK")
                else:
                    self.say("221 bye" if verb == "QUIT" else "250 OK")

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    standin = SmtpStandin(server.server_address[1])
    with _served(server):
        yield standin
