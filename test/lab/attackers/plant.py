"""Puts things where waxseal will look or write.    plant.py TARGET KIND PATH [KIND PATH...]"""
import os
import sys

from common import count, plant, remove, report

target = sys.argv[1]
pairs = sys.argv[2:]
done = []
for kind, path in zip(pairs[::2], pairs[1::2]):
    # What stands there goes beside it first, as somebody does who means to put it back.
    if os.path.lexists(path) and kind != 'chmod':
        try:
            os.rename(path, path + '.zz')
        except OSError:
            count('refused')
            continue
    if plant(kind, path, target):
        count('planted')
        done.append(kind + ' ' + path)
    else:
        try:
            os.rename(path + '.zz', path)
        except OSError:
            pass
        count('refused')
report(done=done)
