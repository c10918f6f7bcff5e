"""Waits for names that appear in directories of his own, and swaps each for a link to a file of root.

temporary.py TARGETS MODE DIRECTORY...    TARGETS: paths with commas between them; MODE: `open` to give all files there
                                          modes that do harm on the target, or `as-is`

Whoever makes a new file beside an old one and then names it to a program, or opens the name again, works on the target.
In turn a name is replaced for good, and exchanged with the link to and fro as long as it is there."""
import os
import random
import sys

from common import Watch, count, exchange, going, plant, ready, remove, report

targets = sys.argv[1].split(',')
directories = sys.argv[3:]
mine = {}


def links(directory):
    """One link for each target, ready to be moved; made again where the last one went."""
    if directory not in mine:
        mine[directory] = [os.path.join(directory, 'zz%d' % n) for n in range(len(targets))]
    for path, target in zip(mine[directory], targets):
        if not os.path.lexists(path):
            plant('link', path, target)
    return mine[directory]


for directory in directories:
    for name in os.listdir(directory) if sys.argv[2] == 'open' else []:
        path = os.path.join(directory, name)
        # The mode that goes over to the target: everybody's, with the bit that lends root's rights.
        try:
            if os.path.isfile(path) and not os.path.islink(path):
                os.chmod(path, random.choice([0o666, 0o4777]))
        except OSError:
            pass
    links(directory)
watch = Watch(directories)
# A name that was there before is no new file; his own exchanges make names appear, too.
met = {os.path.join(directory, name): 3 for directory in directories for name in os.listdir(directory)}
ready()
turn = 0
while going():
    for path in watch.names(0.2):
        name = os.path.basename(path)
        if name.startswith('zz') or met.get(path, 0) >= 3:
            continue
        met[path] = met.get(path, 0) + 1
        directory = os.path.dirname(path)
        if os.path.isdir(path) and not os.path.islink(path):
            watch.add(path)
        turn += 1
        link = random.choice(links(directory))
        # A name that stays is a finished file; what comes and goes is the one to catch.
        if turn % 3 == 0:
            try:
                os.rename(link, path)
                count('replaced')
            except OSError:
                count('late')
        else:
            rounds = 0
            while rounds < 400 and exchange(link, path):
                rounds += 1
            count('exchanged', rounds)
            if rounds == 0:
                count('late')
            elif rounds % 2 and not os.path.islink(link):
                exchange(link, path)
report()
