# SPDX-License-Identifier: GPL-2.0-or-later
"""Find and build the fork's test programs."""

import glob
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))


def ninja(build, *targets):
    """Build; stop if that fails."""
    if targets and subprocess.run(['ninja', '-C', build, *targets],
                                  check=False).returncode:
        sys.exit(f'{sys.argv[0]}: the build failed')


def executables(build):
    """All targets of a build directory that are linked programs."""
    out = subprocess.run(['ninja', '-C', build, '-t', 'targets', 'all'],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line.split(': ')[0] for line in out.splitlines()
            if line.endswith(('c_LINKER', 'cpp_LINKER'))}


def built_tests(build, directory):
    """
    Build the programs that come from our files in directory.

    :return: their paths below build. A source file that is part of another
             program (as those of qos-test are) has none of its own.
    """
    sources = glob.glob(os.path.join(ROOT, directory, '*.c'))
    names = {f'{directory}/{os.path.basename(s)[:-2]}' for s in sources}
    wanted = sorted(names & executables(build))
    ninja(build, *wanted)
    return wanted


def check_built(tally, directory, built):
    """Fail for each test program of ours in directory that is not built."""
    sources = glob.glob(os.path.join(ROOT, directory, 'test-*.c')) + \
        glob.glob(os.path.join(ROOT, directory, '*-test.c'))
    for source in sorted(sources):
        name = f'{directory}/{os.path.basename(source)[:-2]}'
        if name not in built:
            tally.fail(f'{name} is not built')


def tap_argv(build, name):
    """How to run all cases of a built program, which then speaks TAP."""
    return [os.path.join(build, name), '--tap', '-k']
