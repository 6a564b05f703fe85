#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small NBD client without a library: it copies an export to a file, or a file to an export.

    small_client.py get SOCKET EXPORT FILE
    small_client.py put SOCKET EXPORT FILE

docs/howto/check_a_client.md shows how `nbdspec client --run` checks it. It knows the fixed newstyle handshake, GO, simple
replies, READ, WRITE, FLUSH and DISC.
"""
import socket
import struct
import sys

ABORT, GO = 2, 7
READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
REP_ACK, REP_INFO = 1, 3
INFO_EXPORT, INFO_BLOCK_SIZE = 0, 3
SEND_FLUSH = 1 << 2


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.request_max = 1 << 16
        self.cookie = 0

    def receive(self, count):
        parts = bytearray()
        while len(parts) < count:
            part = self.socket.recv(count - len(parts))
            if not part:
                raise EOFError("the server closed the connection")
            parts += part
        return bytes(parts)

    def send_option(self, option, data=b""):
        self.socket.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)

    def enter(self, name):
        magic, option_magic, flags = struct.unpack(">8s8sH", self.receive(18))
        if magic != b"NBDMAGIC" or option_magic != b"IHAVEOPT" or not flags & 1:
            raise ValueError("no fixed newstyle server")
        self.socket.sendall(struct.pack(">I", flags & 3))
        name = name.encode()
        self.send_option(GO, struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, INFO_BLOCK_SIZE))
        size = None
        while True:
            magic, option, reply, length = struct.unpack(">QIII", self.receive(20))
            if magic != 0x3E889045565A9 or option != GO or length > 1 << 16:
                raise ValueError("no reply to NBD_OPT_GO")
            data = self.receive(length)
            if reply == REP_INFO and data[:2] == struct.pack(">H", INFO_EXPORT):
                size, self.flags = struct.unpack(">QH", data[2:])
            elif reply == REP_INFO and data[:2] == struct.pack(">H", INFO_BLOCK_SIZE):
                _, _, maximum = struct.unpack(">III", data[2:])
                self.request_max = min(self.request_max, maximum)
            elif reply == REP_ACK and size is not None:
                return size
            elif reply != REP_INFO:
                self.send_option(ABORT)
                raise ValueError("NBD_OPT_GO is refused")

    def ask(self, command, offset=0, length=0, data=b""):
        self.cookie += 1
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, command, self.cookie, offset, length) + data)
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        if magic != 0x67446698 or cookie != self.cookie:
            raise EOFError("no reply to the request")
        if error:
            raise OSError(error, "the server failed")
        return self.receive(length) if command == READ else b""

    def leave(self):
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, DISC, 0, 0, 0))


def pieces(size, step):
    return ((at, min(step, size - at)) for at in range(0, size, step))


def main(how, path, name, file):
    client = Client(path)
    size = client.enter(name)
    try:
        if how == "get":
            with open(file, "wb") as output:
                for at, length in pieces(size, client.request_max):
                    output.write(client.ask(READ, at, length))
        else:
            with open(file, "rb") as input:
                for at, length in pieces(size, client.request_max):
                    client.ask(WRITE, at, length, input.read(length))
            if client.flags & SEND_FLUSH:
                client.ask(FLUSH)
    except OSError:  # The server failed, and can be told farewell; it is not there any more after an EOFError.
        client.leave()
        raise
    client.leave()


try:
    main(*sys.argv[1:])
except (OSError, EOFError, ValueError) as error:
    sys.exit(f"small_client: {error}")
