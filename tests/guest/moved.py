# SPDX-License-Identifier: GPL-2.0-or-later
"""
A guest that is moved while it works

Either it goes from one QEMU to the next, and on, by live migration; all of these
processes use the same images, one after the other.  Or its disks go from one
image to the next, by blockdev-mirror, with a backup on the way.

Its script tells when, a line each:

    ready       from here on it is moved, time and again
    done        and no more from here on
"""

import os
import random
import re
import subprocess
import tempfile
import threading
import time

import machine
import qmp

# Between two moves; the first ones come early, so that slow machines have them
SECONDS = (2.0, 5.0)
EARLY_SECONDS = (0.0, 1.0)
MIN_MOVES = 2
# For one of them, at most
LIMIT = 120
# For the guest's power to go off
END_LIMIT = 30
# Of the guest's memory, little changes: it goes in one pass or two
PARAMETERS = {'max-bandwidth': 1 << 33, 'downtime-limit': 3000}


class Error(qmp.Error):
    """A guest could not be moved."""


class Qemu:
    """
    One of the processes.

    :param command: its command line, but for the monitor and for -incoming
    :param folder: for its sockets, with a short path
    :param number: to tell it from others
    :param output: file descriptor that the guest's script prints to
    :param incoming: whether it waits for a guest
    """

    def __init__(self, command, folder, number, output, incoming):
        self.uri = f'unix:{folder}/guest{number}'
        incoming_options = ['-incoming', self.uri] if incoming else []
        self.process, connection = qmp.start(
            lambda monitor: [*command, *monitor, *incoming_options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        machine.running.add(self.process)
        try:
            self.ask = qmp.Connection(connection).ask
        except (qmp.Error, OSError, ValueError):
            self.end()
            raise

    def wait_until(self, command, wanted):
        """Ask until the status is the one that is wanted"""
        end = time.monotonic() + LIMIT
        while True:
            answer = self.ask(command)
            if answer.get('status') == wanted:
                return
            if answer.get('status') == 'failed' or time.monotonic() > end:
                raise Error(f'{command}: {answer}')
            time.sleep(0.05)

    def wait_for_job(self, status):
        """Until the only job has that status, or is gone if it is None"""
        end = time.monotonic() + LIMIT
        while True:
            jobs = self.ask('query-jobs')
            if [j['status'] for j in jobs] == ([status] if status else []):
                return
            if (status and not jobs) or any('error' in j for j in jobs) or \
                    time.monotonic() > end:
                raise Error(f'job: {jobs}')
            time.sleep(0.05)

    def end(self):
        """Leave nothing of it"""
        self.process.kill()
        self.process.wait()
        machine.running.discard(self.process)


class Mover:
    """
    Runs a guest, and moves it at random moments.

    :param command: function that makes the command line of a process from its
                    number; number 0 is the first one
    """

    def __init__(self, command, seed=None):
        self.command = command
        self.random = random.Random(seed)
        self.moves = 0
        self.error = None
        self.ready = threading.Event()
        self.over = threading.Event()
        # A path of a socket must be short
        # pylint: disable=consider-using-with
        self.folder = tempfile.TemporaryDirectory(prefix='zoned-')
        output, self.output = os.pipe()
        self.lines = os.fdopen(output, errors='replace')
        try:
            self.qemu = self._start(0, False)
        except (qmp.Error, OSError) as e:
            os.close(self.output)
            self.folder.cleanup()
            raise Error(f'{e}: {self.lines.read()}') from e
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def run(self):
        """
        Wait for the guest's end.

        :return: the script's exit status, or None; and what there is to be
                 said: lines
        """
        output = []
        status = None
        for line in self.lines:
            line = line.rstrip()
            end = re.fullmatch(r'exit (\d+)', line)
            if end:
                status = int(end.group(1))
            else:
                output.append(line)
                self._see(line)
        self._finish()
        output.append(f'{self.moves} moves')
        if self.error:
            output.append(self.error)
            status = None
        if status == 0 and self.moves < MIN_MOVES:
            output.append('too few moves')
            status = 1
        return status, output

    def _start(self, number, incoming):
        return Qemu(self.command(number), self.folder.name, number,
                    self.output, incoming)

    def _see(self, line):
        """A line that the script printed."""
        if line == 'ready':
            self.ready.set()
        elif line == 'done':
            self.over.set()

    def _move(self):
        target = self._start(self.moves + 1, True)
        source = self.qemu
        try:
            source.ask('migrate-set-parameters', **PARAMETERS)
            source.ask('migrate', uri=target.uri)
            source.wait_until('query-migrate', 'completed')
        except qmp.Error:
            target.end()
            raise
        self.qemu = target
        self.moves += 1
        source.end()
        target.wait_until('query-status', 'running')

    def _pause(self):
        """Between two moves. Returns whether the script still works."""
        seconds = EARLY_SECONDS if self.moves < MIN_MOVES else SECONDS
        return not self.over.wait(self.random.uniform(*seconds))

    def _has_ended(self):
        """Whether the script has come to its end, and QEMU, too, or soon"""
        if not self.over.is_set():
            return False
        try:
            self.qemu.process.wait(END_LIMIT)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _run(self):
        """Ends, and the lines with it, when the guest has ended"""
        try:
            while self.qemu.process.poll() is None:
                if not self.ready.is_set() or self.over.is_set():
                    time.sleep(0.1)
                elif self._pause():
                    self._move()
        except (qmp.Error, OSError, ValueError,
                subprocess.SubprocessError) as e:
            # The guest may be gone at any moment
            if not self._has_ended():
                self.error = str(e)
                self.kill()
        finally:
            os.close(self.output)

    def kill(self):
        """The guest hangs"""
        self.qemu.process.kill()

    def _finish(self):
        """The lines have ended"""
        self.thread.join()
        status = self.qemu.process.poll()
        if status and not self.error:
            self.error = f'QEMU ended with status {status}'
        self.qemu.end()
        self.lines.close()
        self.folder.cleanup()


class Mirrorer(Mover):
    """
    Runs a guest, and moves its disks.

    :param create: function that makes an image for a disk, from its name and a
                   number, and returns its path
    :param names: of the disks, and their nodes
    """

    def __init__(self, command, create, names, seed=None):
        self.create = create
        self.nodes = {name: name for name in names}
        self.files = {}         # by node
        super().__init__(command, seed)

    def _add(self, name, what):
        """A node with a new image; returns its name"""
        path = self.create(name, f'{what}{self.moves}')
        node = f'{name}-{what}{self.moves}'
        self.files[node] = path
        self.qemu.ask('blockdev-add', **{
            'driver': 'zoned', 'node-name': node, 'discard': 'unmap',
            'file': {'driver': 'file', 'filename': str(path),
                     'discard': 'unmap'}})
        return node

    def _remove(self, node):
        self.qemu.ask('blockdev-del', **{'node-name': node})
        if node in self.files:
            self.files.pop(node).unlink()

    def _backup(self, name):
        node = self._add(name, 'backup')
        self.qemu.ask('blockdev-backup', **{
            'job-id': 'job', 'device': self.nodes[name], 'target': node,
            'sync': 'full', 'auto-dismiss': False})
        self.qemu.wait_for_job('concluded')
        self.qemu.ask('job-dismiss', id='job')
        self._remove(node)

    def _mirror(self, name):
        node = self._add(name, 'mirror')
        self.qemu.ask('blockdev-mirror', **{
            'job-id': 'job', 'device': self.nodes[name], 'target': node,
            'sync': 'full', 'auto-dismiss': False})
        self.qemu.wait_for_job('ready')
        self.qemu.ask('block-job-complete', device='job')
        self.qemu.wait_for_job('concluded')
        self.qemu.ask('job-dismiss', id='job')
        self._remove(self.nodes[name])
        self.nodes[name] = node

    def _move(self):
        name = self.random.choice(list(self.nodes))
        if self.random.randrange(2):
            self._backup(name)
        self._mirror(name)
        self.moves += 1
