"""dkimpy as a peer: verifies or signs every message of a file in one process.

usage: dkimpy_peer.py verify MESSAGES RECORD | sign MESSAGES KEY ALGORITHM
MESSAGES holds messages, each after its length as four octets, big-endian. verify prints a line each; sign writes the
signature fields framed in the same way.
"""
import struct
import sys

import dkim


def messages(path):
    with open(path, "rb") as source:
        data = source.read()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def main():
    mode, path = sys.argv[1:3]
    if mode == "verify":
        record = sys.argv[3].encode()
        for message in messages(path):
            try:
                good = dkim.verify(message, dnsfunc=lambda name, timeout=5: record)
                print("pass" if good else "fail")
            except Exception as error:
                print("error", type(error).__name__, str(error).replace("\n", " "))
        return
    with open(sys.argv[3], "rb") as source:
        key = source.read()
    ways = [(b"simple", b"simple"), (b"simple", b"relaxed"), (b"relaxed", b"simple"), (b"relaxed", b"relaxed")]
    for turn, message in enumerate(messages(path)):
        try:
            field = dkim.sign(
                message, b"s1", b"example.org", key, canonicalize=ways[turn % 4], signature_algorithm=sys.argv[4].encode()
            )
        except Exception as error:
            field = b"error " + str(error).encode()
        sys.stdout.buffer.write(struct.pack(">I", len(field)) + field)


main()
