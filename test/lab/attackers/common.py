"""What every attacker needs: system calls that Python has no name for, an end, and an account of what was done."""
import ctypes
import json
import os
import random
import select
import struct
import sys
import time

STOP = '/run/lab-attack/stop'
AT_FDCWD = -100
RENAME_EXCHANGE = 2
IN_CREATE = 0x100
IN_MOVED_TO = 0x80

libc = ctypes.CDLL(None, use_errno=True)
counts = {}
begun = time.monotonic()


def count(what, more=1):
    counts[what] = counts.get(what, 0) + more


def ready():
    """Says that the attack is on: whoever started it waits for this line."""
    print('ready', flush=True)


def going():
    """False as soon as root has put the file there, and after five minutes in any case."""
    return not os.path.exists(STOP) and time.monotonic() - begun < 300


def report(**more):
    print(json.dumps({**counts, **more}), flush=True)


def exchange(one, other):
    """Lets two names change places in one step, renameat2(2). False where one of them is not there."""
    return libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0


class Watch:
    """inotify(7) on directories: names that appear in them."""

    def __init__(self, directories):
        self.fd = libc.inotify_init()
        self.directories = {}
        for directory in directories:
            self.add(directory)

    def add(self, directory):
        wd = libc.inotify_add_watch(self.fd, os.fsencode(directory), IN_CREATE | IN_MOVED_TO)
        if wd >= 0:
            self.directories[wd] = directory

    def names(self, seconds):
        """Paths that have appeared; none where nothing happened for so long."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return []
        found = []
        data = os.read(self.fd, 65536)
        at = 0
        while at < len(data):
            wd, _, _, length = struct.unpack_from('iIII', data, at)
            name = data[at + 16:at + 16 + length].rstrip(b'\0')
            at += 16 + length
            if wd in self.directories and name:
                found.append(os.path.join(self.directories[wd], os.fsdecode(name)))
        return found


def remove(path):
    """Takes away whatever is there, as far as this account may."""
    try:
        os.unlink(path)
    except IsADirectoryError:
        try:
            os.rmdir(path)
        except OSError:
            pass
    except OSError:
        pass


def plant(kind, path, target):
    """Puts something there that is not the file that is looked for. True where it worked."""
    import socket
    try:
        if kind == 'link':
            os.symlink(target, path)
        elif kind == 'dangling':
            os.symlink('/nowhere/at/all', path)
        elif kind == 'loop':
            os.symlink(os.path.basename(path), path)
        elif kind == 'up':
            os.symlink('../../../../../../../..' + target, path)
        elif kind == 'hard':
            os.link(target, path, follow_symlinks=False)
        elif kind == 'fifo':
            os.mkfifo(path, 0o666)
        elif kind == 'socket':
            server = socket.socket(socket.AF_UNIX)
            old = os.getcwd()
            os.chdir(os.path.dirname(path))
            server.bind(os.path.basename(path))
            os.chdir(old)
        elif kind == 'directory':
            os.mkdir(path, 0o777)
        elif kind == 'device':
            os.symlink('/dev/zero', path)
        elif kind == 'tty':
            os.symlink('/dev/full', path)
        elif kind == 'proc':
            os.symlink('/proc/self/fd/0', path)
        elif kind == 'huge':
            with open(path, 'wb') as file:
                file.truncate(1 << 40)
        elif kind == 'empty':
            open(path, 'wb').close()
        elif kind == 'octets':
            with open(path, 'wb') as file:
                file.write(b'\x1b]0;owned\x07\x1b[2J\xff\xfe\0\xe2\x80\xae' * 50)
        elif kind == 'open':
            with open(path, 'wb') as file:
                file.write(b'# anybody may write here\n')
            os.chmod(path, 0o666)
        elif kind == 'setuid':
            with open(path, 'wb') as file:
                file.write(b'#!/bin/sh\n')
            os.chmod(path, 0o6777)
        else:
            raise SystemExit('no kind ' + kind)
        return True
    except OSError:
        return False
