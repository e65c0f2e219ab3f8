# SPDX-License-Identifier: GPL-2.0-or-later
"""
A QEMU in the test guest that has a disk of the guest's kernel, as "zbd", and
answers QMP
"""

import json
import os
import socket
import subprocess
import sys
import time

SOCKET = '/tmp/qmp'


class Qemu:
    """A machine without a processor"""

    def __init__(self, disk, aio):
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        self.process = subprocess.Popen(
            ['qemu-system-x86_64', '-machine', 'none', '-nodefaults',
             '-display', 'none', '-qmp', f'unix:{SOCKET},server=on,wait=off',
             '-drive', f'if=none,id=zbd,driver=host_device,filename={disk},'
             f'cache.direct=on,aio={aio}'],
            stdout=open('/tmp/qemu-out', 'w'),
            stderr=open('/tmp/qemu-errors', 'w'))
        while not os.path.exists(SOCKET):
            if self.process.poll() is not None:
                sys.exit(open('/tmp/qemu-errors').read())
            time.sleep(0.05)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(SOCKET)
        self.file = connection.makefile('rw')
        self.events = []
        json.loads(self.file.readline())
        self.ask('qmp_capabilities')

    def ask(self, command, **arguments):
        """Returns the answer and how long it took"""
        begin = time.monotonic()
        self.file.write(json.dumps({'execute': command,
                                    'arguments': arguments}) + '\n')
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if 'event' in reply:
                self.events.append(reply)
            if 'error' in reply:
                sys.exit(f'{command}: {reply["error"]}')
            if 'return' in reply:
                return reply['return'], time.monotonic() - begin

    def io(self, command):
        return self.ask('human-monitor-command',
                        **{'command-line': f'qemu-io zbd "{command}"'})

    def end(self):
        self.ask('quit')
        self.process.wait()
        errors = open('/tmp/qemu-errors').read()
        if errors:
            sys.exit(f'QEMU complains: {errors}')
        return open('/tmp/qemu-out').read()
