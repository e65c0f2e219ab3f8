# SPDX-License-Identifier: GPL-2.0-or-later
"""
A QEMU in the test guest that has a disk of the guest's kernel, as "zbd", and
answers QMP
"""

import subprocess
import sys
import time

import qmp


class Qemu:
    """A machine without a processor"""

    def __init__(self, disk, aio):
        self.process, connection = qmp.start(
            lambda monitor: [
                'qemu-system-x86_64', '-machine', 'none', '-nodefaults',
                '-display', 'none', *monitor, '-drive',
                f'if=none,id=zbd,driver=host_device,filename={disk},'
                f'cache.direct=on,aio={aio}'],
            stdout=open('/tmp/qemu-out', 'w'),
            stderr=open('/tmp/qemu-errors', 'w'))
        try:
            self.monitor = qmp.Connection(connection)
        except (qmp.Error, OSError) as e:
            self._fail(e)
        self.events = self.monitor.events

    def _fail(self, why):
        try:
            status = self.process.wait(1)
        except subprocess.TimeoutExpired:
            status = None
        errors = open('/tmp/qemu-errors').read()
        sys.exit(f'{why}; status of QEMU: {status}; it printed: {errors}')

    def ask(self, command, **arguments):
        """Returns the answer and how long it took"""
        begin = time.monotonic()
        try:
            answer = self.monitor.ask(command, **arguments)
        except (qmp.Error, OSError) as e:
            self._fail(e)
        return answer, time.monotonic() - begin

    def io(self, command):
        return self.ask('human-monitor-command',
                        **{'command-line': f'qemu-io zbd "{command}"'})

    def end(self):
        self.ask('quit')
        status = self.process.wait()
        errors = open('/tmp/qemu-errors').read()
        if errors or status:
            sys.exit(f'QEMU ended with status {status}: {errors}')
        return open('/tmp/qemu-out').read()
