# SPDX-License-Identifier: GPL-2.0-or-later
"""
QMP, and what a guest's script asks for by it

The script prints a line for each thing, with JSON in it:

    qmp COMMAND                 carry the command out, an object of QMP
    event EVENT                 such an event has come, or comes soon; it may
                                have more data than is said here

The script goes on meanwhile: it has to see for itself when it is done.
"""

import json
import socket
import subprocess

SECONDS = 60


class Error(Exception):
    """QEMU has not done, or not told, what it had to."""


def start(make_command, **options):
    """
    Start a QEMU with a monitor.

    Its socket is connected already.  On one that listens, a connection that
    comes while QEMU starts can wake two of its threads, and the main loop then
    waits in accept() for what the other one has taken.

    :param make_command: the command line, from options for the monitor
    :param options: of subprocess.Popen
    :return: the process and the socket
    """
    ours, theirs = socket.socketpair()
    with theirs:
        monitor = ['-chardev', f'socket,id=qmp,fd={theirs.fileno()}',
                   '-mon', 'chardev=qmp,mode=control']
        # pylint: disable=consider-using-with
        process = subprocess.Popen(make_command(monitor),
                                   pass_fds=[theirs.fileno()], **options)
    return process, ours


class Connection:
    """
    A connection to the monitor of a QEMU.

    :param connection: its socket, which is closed in the end
    """

    def __init__(self, connection):
        with connection:
            connection.settimeout(SECONDS)
            # Two streams: one for both forgets at a write what it has read
            self._input = connection.makefile('r')
            self._output = connection.makefile('w')
        self.events = []
        self._read()
        self.ask('qmp_capabilities')

    def _read(self):
        """The next message; an event is kept, too"""
        line = self._input.readline()
        if not line:
            raise Error('QEMU is gone')
        message = json.loads(line)
        if 'event' in message:
            self.events.append(message)
        return message

    def ask(self, command, **arguments):
        """Send a command, and return the answer"""
        self._output.write(json.dumps({'execute': command,
                                       'arguments': arguments}) + '\n')
        self._output.flush()
        while True:
            message = self._read()
            if 'error' in message:
                raise Error(f'{command}: {message["error"]["desc"]}')
            if 'return' in message:
                return message['return']

    def wait_for_event(self, wanted):
        """Take an event out of those that have come, or wait for it"""
        while True:
            for event in self.events:
                if event['event'] == wanted['event'] and \
                        wanted['data'].items() <= event['data'].items():
                    self.events.remove(event)
                    return
            self._read()

    def close(self):
        """QEMU goes on"""
        self._input.close()
        self._output.close()


class Monitor:
    """
    The monitor of a guest, which is connected to at the first line.

    :param path: of its socket
    """

    def __init__(self, path):
        self.path = path
        self.connection = None
        self.failures = []

    @staticmethod
    def options(path):
        """The options of QEMU for a monitor at that path"""
        return ['-qmp', f'unix:{path},server=on,wait=off']

    def _connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.path))
        return Connection(connection)

    def see(self, line):
        """A line that the script printed"""
        word, _, text = line.partition(' ')
        if word not in ('qmp', 'event'):
            return
        try:
            self.connection = self.connection or self._connect()
            message = json.loads(text)
            if word == 'qmp':
                self.connection.ask(message['execute'],
                                    **message.get('arguments', {}))
            else:
                self.connection.wait_for_event(message)
        except (Error, OSError, ValueError) as e:
            self.failures.append(f'{line}: {e}')

    def close(self):
        """Returns what has failed, in words"""
        if self.connection:
            self.connection.close()
        return self.failures
