"""HTTP/2 by hand (RFC 9113), for tests that must say what no library would: frames, and literal header fields (RFC 7541) that touch no table."""
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0, 1, 2, 3
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 6, 7, 8, 9, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def u32(n):
    return struct.pack(">I", n)


def number(n, bits, first=0):
    """RFC 7541 section 5.1."""
    most = (1 << bits) - 1
    if n < most:
        return bytes([first | n])
    out, n = bytes([first | most]), n - most
    while n >= 128:
        out, n = out + bytes([n % 128 + 128]), n // 128
    return out + bytes([n])


def field(name, value):
    name, value = (x if isinstance(x, bytes) else x.encode() for x in (name, value))
    return b"\x00" + number(len(name), 7) + name + number(len(value), 7) + value


def block(path="/x/provider/people", method="POST", more=()):
    return b"".join(field(n, v) for n, v in [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path), *more])


def status_of(payload):
    """:status is the first field of an answer, indexed or a literal whose digits may be Huffman coded; a new size of the table may stand before."""
    while payload[0] & 0xE0 == 0x20:
        payload = payload[1:]
    if payload[0] & 0x80:
        return STATIC_STATUS[payload[0] & 0x7F]
    coded, n = payload[1] & 0x80, payload[1] & 0x7F
    text = payload[2:2 + n]
    if not coded:
        return int(text)
    bits, digits = "".join(f"{b:08b}" for b in text), ""
    while len(digits) < 3:  # RFC 7541, Appendix B: 0-2 have five bits, 3-9 six
        five = int(bits[:5], 2)
        digits, bits = (digits + str(five), bits[5:]) if five <= 2 else (digits + str(int(bits[:6], 2) - 0x19 + 3), bits[6:])
    return int(digits)


class Client:
    """One connection. Frames that came are kept in `got` as (kind, flags, stream, payload); `closed` is how the peer ended it."""

    def __init__(self, node, who="consumer/app", settings=b"", window=1 << 24, **files):
        context = node.tls(who, **files)
        context.set_alpn_protocols(["h2"])
        self.plain = self.connect(("127.0.0.1", node.data_port))
        self.s = context.wrap_socket(self.plain, server_hostname="localhost")
        self.alpn = self.s.selected_alpn_protocol()
        self.got, self.rest, self.closed, self.next = [], b"", None, 1
        self.send(PREFACE + frame(SETTINGS, payload=settings) + (frame(WINDOW, payload=u32(window)) if window else b""))

    def connect(self, address):
        return socket.create_connection(address, timeout=10)

    def send(self, data):
        """False: the peer listens no more."""
        try:
            self.s.sendall(data)
            return True
        except (OSError, ssl.SSLError) as e:
            self.closed = self.closed or e
            return False

    def ask(self, body=b"{}", path="/x/provider/people", more=(("content-type", "application/json"),), end=True, method="POST"):
        """A request; its stream."""
        stream, self.next = self.next, self.next + 2
        self.send(frame(HEADERS, END_HEADERS, stream, block(path, method, more)) + (frame(DATA, END_STREAM, stream, body) if end else b""))
        return stream

    def read(self, seconds=0.05):
        """What comes within so long; False when the connection has ended."""
        self.s.settimeout(seconds)
        try:
            piece = self.s.recv(65536)
            self.closed = self.closed if piece else self.closed or "end"
            self.rest += piece
        except (ssl.SSLWantReadError, socket.timeout):
            piece = b"-"
        except (OSError, ssl.SSLError) as e:
            self.closed, piece = self.closed or e, b""
        finally:
            self.s.settimeout(10)
        while len(self.rest) >= 9 and len(self.rest) >= 9 + int.from_bytes(self.rest[:3], "big"):
            n = int.from_bytes(self.rest[:3], "big")
            one = (self.rest[3], self.rest[4], struct.unpack(">I", self.rest[5:9])[0], self.rest[9:9 + n])
            self.rest = self.rest[9 + n:]
            self.got.append(one)
            if one[0] == SETTINGS and not one[1] & ACK:
                self.send(frame(SETTINGS, ACK))
        return bool(piece)

    def until(self, what, seconds=10.0):
        """Read until what() is true, the connection ends, or the time is over; what() then."""
        end = time.monotonic() + seconds
        while not what() and time.monotonic() < end and self.read():
            pass
        return what()

    def of(self, kind, stream=None):
        return [f for f in self.got if f[0] == kind and stream in (None, f[2])]

    def body(self, stream):
        return b"".join(f[3] for f in self.of(DATA, stream))

    def status(self, stream):
        heads = self.of(HEADERS, stream)
        return status_of(heads[0][3]) if heads else None

    def ended(self, stream):
        """'end', the code of a reset, or None."""
        for kind, flags, s, payload in self.got:
            if s == stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                return "end"
            if s == stream and kind == RST:
                return struct.unpack(">I", payload)[0]
        return None

    def answer(self, stream, seconds=10.0):
        """(status, body, how it ended)."""
        self.until(lambda: self.ended(stream) is not None, seconds)
        return self.status(stream), self.body(stream), self.ended(stream)

    def goaway(self, seconds=10.0):
        """The code of the last GOAWAY that came before the end; None: none."""
        self.until(lambda: False, seconds)
        last = self.of(GOAWAY)
        return struct.unpack(">I", last[-1][3][4:8])[0] if last else None

    def close(self):
        self.s.close()
