# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of zoned storage share
#

import re
from typing import Any, List, NamedTuple, Sequence, Union

import iotests


KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

EMPTY = 1
IMPLICIT_OPEN = 2
EXPLICIT_OPEN = 3
CLOSED = 4
FULL = 14

CONVENTIONAL = 1
SEQUENTIAL = 2


class Zone(NamedTuple):
    '''A line of qemu-io's zone_report, in bytes'''
    start: int
    length: int
    cap: int
    wp: int
    state: int
    type: int
    non_seq: bool = False
    extension: bool = False


class Result:
    '''What a run of qemu-io printed, and how it ended'''

    LINE = re.compile(r'^start: 0x([0-9a-f]+), len 0x([0-9a-f]+), '
                      r'cap 0x([0-9a-f]+), wptr 0x([0-9a-f]+), '
                      r'zcond:([0-9]+), \[type: ([0-9]+)\]'
                      r'( \[non-seq\])?( \[extension\])?$')

    def __init__(self, output: str, returncode: int) -> None:
        self.output = output
        self.lines = output.splitlines()
        self.returncode = returncode

    @property
    def zones(self) -> List[Zone]:
        '''Every zone that was reported, of all reports one after the other'''
        zones = []
        for line in self.lines:
            m = self.LINE.match(line)
            if m:
                sectors = [int(g, 16) * 512 for g in m.groups()[:4]]
                zones.append(Zone(*sectors, *map(int, m.groups()[4:6]),
                                  *map(bool, m.groups()[6:])))
        return zones

    @property
    def positions(self) -> List[int]:
        '''Where appends with -p went'''
        return [int(s, 16) * 512 for s in
                re.findall(r'^appended at sector 0x([0-9a-f]+)$', self.output,
                           re.MULTILINE)]

    @property
    def errors(self) -> List[str]:
        return [line for line in self.lines
                if ' failed' in line or 'rror' in line]


def null_opts(size: Union[int, str] = '512M', zone_size: str = '64M',
              prefix: str = '', **options: Any) -> str:
    '''
    Options of a zoned null-co node.  In the names of further options, '__'
    stands for '.' and '_' for '-'.
    '''
    opts = {'driver': 'null-co', 'size': size, 'zoned.zone-size': zone_size}
    for name, value in options.items():
        opts[name.replace('__', '.').replace('_', '-')] = str(value)
    return ','.join(f'{prefix}{k}={v}' for k, v in opts.items())


def run(opts: str, *commands: str, args: Sequence[str] = ()) -> Result:
    '''Run qemu-io commands on the node that @opts describe'''
    argv = ['--image-opts', *args]
    for command in commands:
        argv += ['-c', command]
    ret = iotests.qemu_io(*argv, opts, check=False)
    return Result(ret.stdout, ret.returncode)


class ZonedTestCase(iotests.QMPTestCase):
    def run_ok(self, opts: str, *commands: str,
               args: Sequence[str] = ()) -> Result:
        '''None of the commands fails'''
        result = run(opts, *commands, args=args)
        self.assertEqual((result.errors, result.returncode), ([], 0),
                         result.output)
        return result

    def run_fails(self, error: str, opts: str, *commands: str) -> Result:
        '''Exactly one of the commands fails, by a line with @error in it'''
        result = run(opts, *commands)
        self.assertEqual(result.returncode, 1, result.output)
        self.assertEqual(len(result.errors), 1, result.output)
        self.assertIn(error, result.errors[0])
        return result
