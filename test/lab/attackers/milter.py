"""A false daemon on the signer's socket.    milter.py SOCKET MODE

flood: progress without end; drip: progress now and then; big: a length that nobody has; half: a packet that never ends;
many: header fields without end; esc: control characters in every answer; silent: accepts and says nothing; shut: closes;
mute: half and silent in turn."""
import os
import select
import socket
import struct
import sys
import threading
import time

from common import count, counts, going, ready, report

path, mode = sys.argv[1:3]


def packet(command, data=b''):
    return struct.pack('>I', len(data) + 1) + command + data


HELLO = packet(b'O', struct.pack('>III', 6, 0x1ff, 0))
ESCAPES = b'\x1b]0;owned\x07\x1b[2J\r\n\xe2\x80\xae550 5.7.1 \xff\x9b31m'


def serve(client, mode):
    client.settimeout(20)
    client.recv(65536)
    if mode == 'silent':
        while going():
            time.sleep(0.1)
        return
    if mode == 'shut':
        count('answers')
        return
    client.sendall(HELLO)
    count('answers')
    if mode == 'flood':
        blob = packet(b'p') * 13000
        while going():
            client.sendall(blob)
            count('answers', 13000)
    elif mode == 'many':
        client.recv(65536)
        blob = packet(b'h', b'X-Y\0' + b'y' * 60000 + b'\0') * 16
        while going():
            client.sendall(blob)
            count('answers', 16)
    elif mode == 'drip':
        while going():
            client.sendall(packet(b'p'))
            count('answers')
            time.sleep(0.02)
    elif mode == 'big':
        client.sendall(struct.pack('>I', 0xfffffff0) + b'h' * 1000)
        count('answers')
        while going():
            time.sleep(0.1)
    elif mode == 'half':
        client.sendall(struct.pack('>I', 1000000))
        while going():
            client.sendall(b'h')
            count('answers')
            time.sleep(0.05)
    elif mode == 'esc':
        while going():
            client.recv(65536)
            client.sendall(packet(b'h', b'DKIM-Signature\0' + ESCAPES + b'\0') + packet(b'y', ESCAPES + b'\0'))
            count('answers', 2)


def main():
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    server = socket.socket(socket.AF_UNIX)
    os.umask(0)
    server.bind(path)
    server.listen(64)
    ready()
    while going():
        if not select.select([server], [], [], 0.1)[0]:
            continue
        client, _ = server.accept()
        count('connections')

        turn = ['half', 'silent'][counts['connections'] % 2] if mode == 'mute' else mode

        def run(client=client, turn=turn):
            try:
                serve(client, turn)
            except OSError:
                count('cut')
            finally:
                client.close()

        threading.Thread(target=run, daemon=True).start()
    report()
    os._exit(0)


main()
