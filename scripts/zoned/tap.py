# SPDX-License-Identifier: GPL-2.0-or-later
"""Run programs that speak TAP, and count."""

from concurrent.futures import ThreadPoolExecutor
import os
import re
import signal
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


_executing = set()


def _kill(proc):
    """Kill a program with all that it has started."""
    os.killpg(proc.pid, signal.SIGKILL)


def _execute(argv, env, cwd, timeout):
    """Run a program. Returns: what it printed, and its status or an error."""
    error = None
    try:
        with subprocess.Popen(argv, env=env, cwd=cwd, start_new_session=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as proc:
            _executing.add(proc)
            try:
                out, _ = proc.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                _kill(proc)
                out, _ = proc.communicate()
                error = f'killed after {timeout} s'
            _executing.discard(proc)
    except OSError as e:
        return '', e
    return out.decode(errors='replace'), error or proc.returncode


def _count(tally, name, out, status):
    """
    Add the results of a TAP program to tally.

    A skipped test is a failure: a check that did not run proves nothing. So
    is a program that ends badly or before it has run what it planned.
    """
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
    if not planned or ran != planned:
        failed += 1
        tally.fail(f'{name}: ended after {ran} of {planned} tests '
                   f'(status {status})')
    elif status != 0 and not failed:
        failed += 1
        tally.fail(f'{name}: status {status}')
    if failed:
        sys.stdout.write(out)
        sys.stdout.flush()


def run(tally, programs, env=None, cwd=None, timeout=600):
    """
    Run TAP programs, as many at a time as there are processors.

    :param programs: of each, a name and its arguments
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        running = [(name, executor.submit(_execute, argv, env, cwd, timeout))
                   for name, argv in programs]
        try:
            for name, future in running:
                print(f'== {name}', flush=True)
                _count(tally, name, *future.result())
        except BaseException:
            # They do not hear of what the terminal sends to us
            executor.shutdown(wait=False, cancel_futures=True)
            for proc in list(_executing):
                _kill(proc)
            raise
