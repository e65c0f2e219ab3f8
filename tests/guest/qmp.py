# SPDX-License-Identifier: GPL-2.0-or-later
"""
Does by QMP what a guest's script asks for

The script prints a line for each thing, with JSON in it:

    qmp COMMAND                 carry the command out, an object of QMP
    event EVENT                 such an event has come, or comes soon; it may
                                have more data than is said here

The script goes on meanwhile: it has to see for itself when it is done.
"""

import json
import socket

SECONDS = 60


class Error(Exception):
    """QEMU has not done, or not told, what it had to."""


class Monitor:
    """The monitor of a guest, which is connected to at the first line."""

    def __init__(self, path):
        self.path = path
        self.stream = None
        self.events = []
        self.failures = []

    @staticmethod
    def options(path):
        """The options of QEMU for a monitor at that path"""
        return ['-qmp', f'unix:{path},server=on,wait=off']

    def see(self, line):
        """A line that the script printed"""
        word, _, text = line.partition(' ')
        try:
            if word == 'qmp':
                self._execute(json.loads(text))
            elif word == 'event':
                self._expect(json.loads(text))
        except (Error, OSError, ValueError) as e:
            self.failures.append(f'{line}: {e}')

    def close(self):
        """Returns what has failed, in words"""
        if self.stream:
            self.stream.close()
        return self.failures

    def _connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        connection.connect(str(self.path))
        self.stream = connection.makefile('rw')
        self._read()
        self._execute({'execute': 'qmp_capabilities'})

    def _read(self):
        """The next message; an event is kept, too"""
        line = self.stream.readline()
        if not line:
            raise Error('QEMU has ended')
        message = json.loads(line)
        if 'event' in message:
            self.events.append(message)
        return message

    def _execute(self, command):
        if not self.stream:
            self._connect()
        self.stream.write(json.dumps(command) + '\n')
        self.stream.flush()
        while True:
            message = self._read()
            if 'error' in message:
                raise Error(message['error']['desc'])
            if 'return' in message:
                return

    def _expect(self, wanted):
        """Take an event out of those that have come, or wait for it"""
        while True:
            for event in self.events:
                if event['event'] == wanted['event'] and \
                        wanted['data'].items() <= event['data'].items():
                    self.events.remove(event)
                    return
            self._read()
