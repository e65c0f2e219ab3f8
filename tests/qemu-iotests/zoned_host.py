# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of zoned disks of the host share
#
# The disks come from whoever runs the test, who has made them and can lose
# what is on them:
#
#   ZONED_HOST_DISKS      zoned disks, as "NAME=DEVICE NAME=DEVICE ..."
#   ZONED_HOST_PLAIN      a disk without zones
#   ZONED_HOST_PARTITION  a partition of it
#
# Tests that need disks are in the group zoned-host, and do not run without.
#

import array
import fcntl
import mmap
import os
import struct
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import iotests
from zoned import CONVENTIONAL, Result, Zone


ENGINES = ('threads', 'native', 'io_uring')
SECTOR = 512

NOT_WP = 0
READ_ONLY = 13
FULL = 14
OFFLINE = 15

# <linux/blkzoned.h>
BLKREPORTZONE = 0xc0101282
BLKRESETZONE = 0x40101283
BLKOPENZONE = 0x40101286
BLKCLOSEZONE = 0x40101287
BLKFINISHZONE = 0x40101288
REPORT_HEADER = '=QII'
REPORT_ZONE = '=QQQBBBB4xQ24x'

CONFIGFS = '/sys/kernel/config/nullb'


class HostDisk:
    '''A disk of the host, used without QEMU'''

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        self.path = os.path.realpath(path)
        self.length = int(self.sysfs('size')) * SECTOR
        self.block = int(self.queue('logical_block_size'))

    def sysfs(self, name: str) -> str:
        device = os.path.basename(self.path)
        with open(f'/sys/class/block/{device}/{name}',
                  encoding='ascii') as f:
            return f.read().strip()

    def queue(self, name: str) -> str:
        return self.sysfs(f'queue/{name}')

    @property
    def zone_size(self) -> int:
        return int(self.queue('chunk_sectors')) * SECTOR

    @property
    def nr_zones(self) -> int:
        return int(self.queue('nr_zones'))

    @property
    def max_open(self) -> int:
        limit = int(self.queue('max_open_zones'))
        # Advice of Linux for a disk that has more zones and no limit
        return 0 if limit == 128 else limit

    @property
    def max_active(self) -> int:
        return int(self.queue('max_active_zones'))

    def open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_DIRECT)

    def report(self, offset: int = 0, nr: int = 4096) -> List[Zone]:
        '''What the kernel says, with undefined write pointers as qemu-io
        shows them'''
        buf = array.array('B', bytes(16 + 64 * nr))
        struct.pack_into(REPORT_HEADER, buf, 0, offset // SECTOR, nr, 0)
        fd = self.open()
        try:
            fcntl.ioctl(fd, BLKREPORTZONE, buf, True)
        finally:
            os.close(fd)
        _, nr, has_capacity = struct.unpack_from(REPORT_HEADER, buf)
        zones = []
        for i in range(nr):
            start, length, wp, kind, state, _, _, cap = \
                struct.unpack_from(REPORT_ZONE, buf, 16 + 64 * i)
            if state in (NOT_WP, FULL, READ_ONLY, OFFLINE):
                wp = start + length
            if not has_capacity:
                cap = length
            zones.append(Zone(start * SECTOR, length * SECTOR, cap * SECTOR,
                              wp * SECTOR, state, kind))
        return zones

    def zone(self, offset: int) -> Zone:
        return self.report(offset, 1)[0]

    def operate(self, request: int, offset: int, length: int) -> None:
        fd = self.open()
        try:
            fcntl.ioctl(fd, request, struct.pack('=QQ', offset // SECTOR,
                                                 length // SECTOR))
        finally:
            os.close(fd)

    def reset(self) -> None:
        self.operate(BLKRESETZONE, 0, self.length)

    def read(self, offset: int, length: int) -> bytes:
        with mmap.mmap(-1, length) as buf:
            fd = self.open()
            try:
                done = os.preadv(fd, [buf], offset)
            finally:
                os.close(fd)
            return buf[:done]

    def write(self, offset: int, data: bytes) -> None:
        with mmap.mmap(-1, len(data)) as buf:
            buf[:] = data
            fd = self.open()
            try:
                os.pwritev(fd, [buf], offset)
            finally:
                os.close(fd)

    def sequential(self, count: int) -> List[Zone]:
        '''The first zones with a write pointer'''
        zones = [z for z in self.report() if z.type != CONVENTIONAL]
        assert len(zones) >= count
        return zones[:count]

    @property
    def can_be_broken(self) -> bool:
        return os.path.exists(
            f'{CONFIGFS}/{os.path.basename(self.path)}/zone_readonly')

    def break_zone(self, how: str, zone: Zone) -> None:
        '''Make a zone "readonly" or "offline"; again to undo that'''
        device = os.path.basename(self.path)
        with open(f'{CONFIGFS}/{device}/zone_{how}', 'w',
                  encoding='ascii') as f:
            f.write(str(zone.start // SECTOR))


def required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        iotests.notrun(f'{name} names no disk')
        raise SystemExit(0)
    return value


def zoned_disks() -> Dict[str, HostDisk]:
    disks = {}
    for word in required('ZONED_HOST_DISKS').split():
        name, path = word.split('=')
        disks[name] = HostDisk(name, path)
    return disks


def plain_disk() -> HostDisk:
    return HostDisk('plain', required('ZONED_HOST_PLAIN'))


def host_opts(disk: HostDisk, aio: str = 'threads', prefix: str = '',
              **options: Any) -> str:
    opts = {'driver': 'host_device', 'filename': disk.path,
            'cache.direct': 'on', 'aio': aio}
    for name, value in options.items():
        opts[name.replace('__', '.').replace('_', '-')] = str(value)
    return ','.join(f'{prefix}{k}={v}' for k, v in opts.items())


class Session:
    '''A qemu-io that runs while its disk is looked at from outside'''

    def __init__(self, opts: str, *args: str) -> None:
        self._io = iotests.QemuIoInteractive('--image-opts', *args, opts)

    def close(self) -> None:
        self._io.close()

    def run(self, command: str) -> Result:
        return Result(self._io.cmd(command), 0)


Check = Callable[[Session, HostDisk], None]


class HostTestCase(iotests.QMPTestCase):
    '''Tests that do the same to all disks'''

    disks: Dict[str, HostDisk] = {}
    # Kept for the next check: starting qemu-io takes longer than most of them
    sessions: Dict[Tuple[str, str], Session] = {}

    @classmethod
    def tearDownClass(cls) -> None:
        while cls.sessions:
            cls.sessions.popitem()[1].close()

    def session(self, disk: HostDisk, aio: str) -> Session:
        key = (disk.name, aio)
        if key not in self.sessions:
            self.sessions[key] = Session(host_opts(disk, aio))
        return self.sessions[key]

    def on_disks(self, check: Check, engines: Sequence[str] = ('threads',),
                 where: Callable[[HostDisk], bool] = lambda _: True) -> None:
        '''Empty disks, each opened with each engine; there must be some'''
        disks = [d for d in self.disks.values() if where(d)]
        self.assertTrue(disks)
        for disk in disks:
            for aio in engines:
                with self.subTest(disk=disk.name, aio=aio):
                    io = self.session(disk, aio)
                    self.ok(io, f'zrs 0 {disk.length}')
                    check(io, disk)

    def ok(self, io: Session, command: str) -> Result:
        result = io.run(command)
        self.assertEqual(result.errors, [], command)
        return result

    def fails(self, io: Session, error: str, command: str) -> None:
        '''It fails with this error alone'''
        errors = io.run(command).errors
        self.assertEqual(len(errors), 1, f'{command}: {errors}')
        self.assertIn(error, errors[0], command)

    def same_report(self, io: Session, disk: HostDisk, offset: int = 0,
                    nr: int = 64) -> List[Zone]:
        '''Returns: the zones, of which the kernel says the same as QEMU'''
        zones = self.ok(io, f'zrp {offset} {nr}').zones
        self.assertEqual(zones, disk.report(offset, nr))
        return zones

    def zone_is(self, disk: HostDisk, zone: Zone, state: int,
                written: Optional[int] = None) -> None:
        now = disk.zone(zone.start)
        self.assertEqual(now.state, state)
        if written is not None:
            self.assertEqual(now.wp - now.start, written)
