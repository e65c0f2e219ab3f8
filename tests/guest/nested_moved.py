#!/usr/bin/env python3
#
# Run an inner guest in the test guest, and move it from QEMU to QEMU
#
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: nested_moved.py COMMAND
#
# The shell command starts one of the processes, with the options in "$@"; $0
# is its number.  What the inner guest's script prints to its standard output
# is printed when it has ended, and so is the number of moves: see moved.py.

import sys

import moved


def main():
    try:
        mover = moved.Mover(lambda number: ['sh', '-c', sys.argv[1],
                                            str(number)])
    except moved.Error as e:
        sys.exit(str(e))
    status, output = mover.run()
    print('\n'.join(output))
    return 1 if status is None else status


if __name__ == '__main__':
    sys.exit(main())
