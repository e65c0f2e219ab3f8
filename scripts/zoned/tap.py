# SPDX-License-Identifier: GPL-2.0-or-later
"""Run programs that speak TAP, and count."""

import re
import subprocess
import sys


class Tally:
    """Counts of what passed and what failed."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def fail(self, text):
        """Count and print a failure."""
        self.failed += 1
        print(f'FAIL {text}', flush=True)

    def close(self):
        """Print the closing line; return the exit status."""
        if not self.passed and not self.failed:
            self.fail('no test was found')
        print(f'{self.passed} passed, {self.failed} failed', flush=True)
        return 1 if self.failed else 0


def run(tally, name, argv, env=None, cwd=None, timeout=600):
    """
    Run a TAP program and add its results to tally.

    A skipped test is a failure: a check that did not run proves nothing. So
    is a program that ends badly or before it has run what it planned.
    """
    print(f'== {name}', flush=True)
    try:
        proc = subprocess.run(argv, env=env, cwd=cwd, timeout=timeout,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        out = proc.stdout.decode(errors='replace')
        status = proc.returncode
    except subprocess.TimeoutExpired as e:
        out = (e.stdout or b'').decode(errors='replace')
        status = f'killed after {timeout} s'
    except OSError as e:
        tally.fail(f'{name}: {e}')
        return
    planned, ran, failed = None, 0, 0
    for line in out.splitlines():
        match = re.match(r'1\.\.(\d+)', line)
        if match:
            planned = int(match.group(1))
            continue
        match = re.match(r'(not )?ok\b *(.*)', line)
        if not match:
            continue
        ran += 1
        if match.group(1) or re.search(r'# *SKIP', match.group(2)):
            failed += 1
            tally.fail(f'{name}: {match.group(2)}')
        else:
            tally.passed += 1
    if planned is None or ran < planned:
        failed += 1
        tally.fail(f'{name}: ended after {ran} of {planned} tests '
                   f'(status {status})')
    elif status != 0 and not failed:
        failed += 1
        tally.fail(f'{name}: status {status}')
    if failed:
        sys.stdout.write(out)
        sys.stdout.flush()
