"""Lets files of his own change places with something else at random moments, over and over.

exchange.py TARGETS KINDS SECONDS NAME...    TARGETS, KINDS: with commas between them; SECONDS: longest pause

Each name holds in turn what it should and a link to a file of root, a FIFO, the key of somebody else, a directory."""
import os
import random
import sys
import time

from common import count, exchange, going, plant, ready, remove, report

targets = sys.argv[1].split(',')
kinds = sys.argv[2].split(',')
longest = float(sys.argv[3])
names = sys.argv[4:]
decoys = {}
for name in names:
    decoys[name] = []
    directory = os.path.dirname(name)
    # Where the name itself is a directory, a decoy lies beside it, too.
    for number, kind in enumerate(kinds):
        for part, target in enumerate(targets if kind in ('link', 'up', 'hard') else targets[:1]):
            path = os.path.join(directory, 'zz-%s-%d-%d' % (os.path.basename(name), number, part))
            remove(path)
            if kind == 'other':
                try:
                    with open(target, 'rb') as file:
                        content = file.read()
                except OSError:
                    content = b'-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'
                with open(path, 'wb') as file:
                    file.write(content)
                os.chmod(path, 0o600)
                decoys[name].append(path)
            elif plant(kind, path, target):
                decoys[name].append(path)
ready()
while going():
    for _ in range(16):
        name = random.choice(names)
        if not decoys[name]:
            continue
        decoy = random.choice(decoys[name])
        if not exchange(decoy, name):
            count('late')
            time.sleep(0.001)
            continue
        count('exchanged')
        # Mostly a moment, now and then long enough for a whole program to be started.
        time.sleep(random.random() ** 4 * longest)
        if exchange(decoy, name):
            count('exchanged')
        else:
            # Somebody took it: what is there now is left, and the next decoy has its turn.
            count('taken')
            if not os.path.lexists(decoy):
                decoys[name].remove(decoy)
        time.sleep(random.random() ** 3 * longest)
report(left=sum(len(each) for each in decoys.values()))
