# SPDX-License-Identifier: GPL-2.0-or-later
"""
Kill QEMU at random moments, and look at what is left of a zoned image.

The guest's script says what it does, a line each, before it does it:

    ready                       from here on QEMU may be killed
    reset ZONE                  the zone is going to be reset
    write ZONE PATTERN          it is going to hold this four-letter pattern

and after it has done it:

    flushed ZONE PATTERN BYTES  so much of the pattern was written and flushed

A zone then holds one pattern up to its write pointer, and zeroes from there
on: that of the last flush, and no less of it; or one that was begun later.
"""

import random
import re
import subprocess
import threading

ZONE = re.compile(r'^start: 0x([0-9a-f]+), len 0x([0-9a-f]+), '
                  r'cap 0x([0-9a-f]+), wptr 0x([0-9a-f]+), '
                  r'zcond:([0-9]+), \[type: ([0-9]+)\]$', re.M)
CONVENTIONAL = 1
EMPTY, CLOSED, FULL = 1, 4, 14

# QEMU is killed so many lines after "ready" at the latest, and so much later:
# how far the script gets does not depend on the speed of the machine
LINES = 24
SECONDS = 1.0


class Error(Exception):
    """The image holds what it must not hold."""


class Watcher:
    """Follows what a script does to one image."""

    def __init__(self, build, image, seed=None):
        self.build = build
        self.image = image
        self.seed = seed or str(random.randrange(1 << 32))
        self.random = random.Random(self.seed)
        # Zone -> what it may hold, the oldest first: [pattern, bytes]
        self.allowed = {}
        self.flushes = 0
        self.timer = None
        self.lines = None

    def see(self, line, guest):
        """A line that the script printed."""
        words = line.split()
        if words == ['ready']:
            self.timer = threading.Timer(self.random.uniform(0, SECONDS),
                                         guest.kill)
            self.lines = self.random.randrange(LINES)
        if self.lines == 0:
            self.timer.start()
        if self.lines is not None:
            self.lines -= 1
        if words[:1] == ['reset'] and len(words) == 2:
            self.may_hold(words[1]).append([None, 0])
        elif words[:1] == ['write'] and len(words) == 3:
            allowed = self.may_hold(words[1])
            if allowed[-1][0] is None:
                allowed[-1][0] = words[2]
        elif words[:1] == ['flushed'] and len(words) == 4:
            self.flushes += 1
            self.allowed[int(words[1])] = [[words[2], int(words[3])]]

    def may_hold(self, zone):
        """What a zone may hold: nothing, to begin with."""
        return self.allowed.setdefault(int(zone), [[None, 0]])

    def tool(self, name, *args):
        """Run a tool that must not fail; returns what it prints."""
        proc = subprocess.run([self.build / name, *args], text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if proc.returncode:
            raise Error(f'{name} {" ".join(map(str, args))}: {proc.stdout}')
        return proc.stdout

    def check(self):
        """After the kill: returns what there is, or raises Error."""
        if not self.timer:
            raise Error('the script was never ready')
        self.timer.cancel()
        self.timer = self.lines = None
        raw = self.image.with_suffix('.raw')
        report = self.tool('qemu-io', '-r', '-f', 'zoned', '-c',
                           'zone_report 0 65536', self.image)
        self.tool('qemu-img', 'check', '-f', 'zoned', self.image)
        self.tool('qemu-img', 'convert', '-f', 'zoned', '-O', 'raw',
                  self.image, raw)
        written = 0
        with open(raw, 'rb') as data:
            for i, fields in enumerate(ZONE.findall(report)):
                start, length, cap, wp = (int(f, 16) * 512
                                          for f in fields[:4])
                if int(fields[5]) == CONVENTIONAL:
                    continue
                data.seek(start)
                self.check_zone(i, data.read(length), wp - start, cap,
                                int(fields[4]))
                written += wp > start
        raw.unlink()
        if not written and not self.flushes:
            return 'nothing was written'
        return f'{self.flushes} flushes so far, {written} zones hold data'

    def check_zone(self, zone, data, wp, cap, state):
        """One zone against all that it may hold."""
        if state not in (EMPTY, CLOSED, FULL):
            raise Error(f'zone {zone} is in state {state}, seed {self.seed}')
        end = min(wp, cap)
        pattern = data[:4]
        known = pattern.decode(errors='replace') if end else None
        allowed = self.may_hold(zone)
        # Linux says of a full zone that its write pointer is at its end
        fits = [a for a in allowed if min(a[1], cap) <= end and
                (not end or a[0] == known)]
        if not fits or data[:end] != pattern * (end // 4) or \
                data.count(0, end) != len(data) - end:
            raise Error(f'zone {zone} has {end} bytes of {known}, or not only '
                        f'that; allowed: {allowed}; seed {self.seed}')
        self.allowed[zone] = [[known, end]]
