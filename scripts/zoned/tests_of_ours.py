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


def source_of(build):
    """The tree that a build directory was configured for."""
    with open(os.path.join(build, 'config-host.mak'), encoding='utf-8') as f:
        return next(line.strip().split('=')[1] for line in f
                    if line.startswith('SRC_PATH='))


def check_built(tally, build, directory, built):
    """
    Fail for each test program of ours in directory that is not built, though
    its source is there: the first patches of the series have not all of them.
    """
    sources = glob.glob(os.path.join(ROOT, directory, 'test-*.c')) + \
        glob.glob(os.path.join(ROOT, directory, '*-test.c'))
    tree = source_of(build)
    for source in sorted(sources):
        name = f'{directory}/{os.path.basename(source)[:-2]}'
        if name not in built and \
                os.path.exists(os.path.join(tree, f'{name}.c')):
            tally.fail(f'{name} is not built')


def tap_argv(build, name):
    """How to run all cases of a built program, which then speaks TAP."""
    return [os.path.join(build, name), '--tap', '-k']
