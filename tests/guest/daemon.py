# SPDX-License-Identifier: GPL-2.0-or-later
"""
A storage daemon that serves a disk of the guest, and that may be killed

A script whose daemon is to be killed tells when, a line each:

    ready       from here on it is, time and again, and started anew
    done        and no more from here on
"""

import atexit
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading

# Between two kills; QEMU needs a second to find the new daemon
SECONDS = (1.5, 4.0)
# A sanitized daemon always says this, as it has coroutines
ASAN_NOTICE = "ASan doesn't fully support makecontext/swapcontext functions"

running = set()


@atexit.register
def kill_daemons():
    """Leave none behind."""
    for process in list(running):
        process.kill()


class Daemon:
    """
    One qemu-storage-daemon with one vhost-user-blk export.

    :param build: build directory
    :param node: options of --blockdev, with the node's name
    :param name: name of the node
    :param options: more options of the export, as ",writethrough=on"
    """

    def __init__(self, build, node, name, options):
        # A path of a socket must be short
        self.folder = tempfile.mkdtemp(prefix='zoned-')
        self.socket = os.path.join(self.folder, 'socket')
        self.log = os.path.join(self.folder, 'log')
        self.command = [
            build / 'storage-daemon/qemu-storage-daemon', '--blockdev', node,
            '--export', f'type=vhost-user-blk,id=export,node-name={name},'
            f'writable=on,num-queues=2,addr.type=unix,addr.path={self.socket}'
            + options]
        self.process = None
        self.complaints = []
        self.start()

    def start(self):
        """QEMU tries to connect until it can"""
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT)
        running.add(self.process)

    def end(self, how=signal.SIGTERM):
        """End it, and return what all of them have said so far"""
        early = self.process.poll() is not None
        self.process.send_signal(how)
        status = self.process.wait()
        running.discard(self.process)
        if early or status != (-how if how == signal.SIGKILL else 0):
            self.complaints.append(f'ended with status {status}')
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return [line for line in log.read().splitlines()
                    if ASAN_NOTICE not in line] + self.complaints

    def remove(self):
        """End it and leave nothing behind; returns what was said"""
        said = self.end()
        shutil.rmtree(self.folder)
        return said


class Killer:
    """Kills a daemon at random moments, as long as the script says so."""

    def __init__(self, daemon, seed=None):
        self.daemon = daemon
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.thread = None
        self.kills = 0

    def see(self, line):
        """A line that the script printed."""
        if line == 'ready':
            self.thread = threading.Thread(target=self._run)
            self.thread.start()
        elif line == 'done':
            self.stop()

    def _run(self):
        while not self.over.wait(self.random.uniform(*SECONDS)):
            self.daemon.end(signal.SIGKILL)
            self.daemon.start()
            self.kills += 1

    def stop(self):
        """Kill no more."""
        self.over.set()
        if self.thread:
            self.thread.join()
