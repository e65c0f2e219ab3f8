#!/usr/bin/env python3
#
# Run the commands that the documentation shows, and compare what they print
#
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: doc_commands.py [NAME=REPLACEMENT...] FILE[:HEADING]...
#
# Runs as root in the test guest.  A command is a line of a literal block that
# begins with a prompt, or with the name of a program of QEMU; a block of
# options is a command, too: one of qemu-system-x86_64.  So is an inline literal
# that makes a zoned image.  Commands of a file build on each other: they run in
# one folder, those at the prompt of root in another one.  With a HEADING, only
# what is below it counts.  NAME is what the documentation calls a device.

import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional

import qmp

# What a user has around a command that is shown with "..."
QEMU = 'qemu-system-x86_64 -S -nodefaults -display none -vga none'
# ... and who talks to the monitor, by its prompt
DISKS = {
    '(qemu)': '-drive file=disk.zbd,if=none,id=zbd',
    '->': '-blockdev driver=zoned,node-name=zbd,file.driver=file,'
          'file.filename=disk.zbd',
}
DEVICE = '-device virtio-blk-pci,drive=zbd,id=vda'

PROMPT = re.compile(r'(\$|#|\(qemu\)|->) (\S.*)')
BARE = re.compile(r'(build/)?qemu-[\w-]+ |\|qemu_system\||echo \d')
OPTION = re.compile(r'-[a-z]')
INLINE = re.compile(r'``(qemu-img create -f zoned\s+-o[^`]*)``')

# What differs from run to run, and spaces of columns
NOISE = (
    (r'\(\S+ [KMGT]iB/sec and \S+ ops/sec\)', '(RATE)'),
    (r'\d+\.\d+ sec', 'N sec'),
    (r'disk size: .*', 'disk size: N'),
    (r'\bbs 0x[0-9a-f]+', 'bs X'),
    (r'\bbytes \d+ parts \d+', 'bytes N parts N'),
    (r'#block\d+', '#blockN'),
    (r'^zbd: .*=.*', lambda m: re.sub(r'\d+', 'N', m.group())),
    (r' +', ' '),
)


class Failure(Exception):
    """A command that did not do what the documentation says"""


class Block(NamedTuple):
    """A literal block, without its indentation"""
    line: int
    lines: List[str]


class Command(NamedTuple):
    """A command, and what it prints; None if the block does not tell"""
    prompt: str
    text: str
    output: Optional[List[str]]


def section(lines: List[str], heading: str) -> range:
    """The lines below a heading, up to the next one of its rank"""
    if not heading:
        return range(len(lines))
    start = lines.index(heading) + 2
    underline = re.compile(re.escape(lines[start - 1][0]) + '+$')
    end = start
    while end < len(lines) and not underline.match(lines[end]):
        end += 1
    return range(start, end)


def literal_blocks(path: Path, heading: str) -> Iterator[Block]:
    lines = path.read_text(encoding='utf-8').splitlines()
    markdown = path.suffix == '.md'
    opening = re.compile(r'$' if markdown else
                         r'(.*[^.])?::$|\.\. (code-block|parsed-literal)::')
    within = section(lines, heading)
    for literal in INLINE.findall('\n'.join(lines[within.start:within.stop])):
        yield Block(within.start, [' '.join(literal.split())])
    i = within.start
    while i < within.stop:
        is_opening = opening.match(lines[i].strip())
        indent = len(lines[i]) - len(lines[i].lstrip())
        i += 1
        if not is_opening:
            continue
        start = i
        while i < len(lines) and (not lines[i].strip() or lines[i].startswith(
                ' ' * (4 if markdown else indent + 1))):
            i += 1
        body = '\n'.join(lines[start:i]).strip('\n').split('\n')
        margin = min((len(x) - len(x.lstrip()) for x in body if x.strip()),
                     default=0)
        if margin:
            yield Block(start + 1, [x[margin:] for x in body])


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block; none in one that is no list of commands"""
    lines = list(block.lines)
    while lines:
        line = lines.pop(0).rstrip()
        match = PROMPT.match(line)
        is_option = OPTION.match(line)
        if match:
            prompt, text = match.groups()
        elif is_option or BARE.match(line):
            prompt, text = '', line
        else:
            continue
        while text.endswith('\\'):
            text = text.rstrip('\\') + lines.pop(0).strip()
        while is_option and lines and OPTION.match(lines[0]):
            text += ' ' + lines.pop(0)
        output = None
        if match:
            output = []
            while lines and not PROMPT.match(lines[0]):
                output.append(lines.pop(0))
        yield Command(prompt, text, output)


def without_noise(lines: List[str]) -> List[str]:
    out = []
    for line in lines:
        for pattern, replacement in NOISE:
            line = re.sub(pattern, replacement, line)
        out.append(line.rstrip())
    while out and not out[-1]:
        out.pop()
    return out


def compare(expected: List[str], actual: str) -> None:
    want = without_noise(expected)
    have = without_noise(actual.splitlines())
    if want and want[-1] == '...':
        want.pop()
        have = have[:len(want)]
    if want != have:
        raise Failure('\n'.join(['expected:', *want, 'actual:', *have]))


class Qemu:
    """qemu-system-x86_64 with some options, stopped"""

    def __init__(self, options: str, folder: Path) -> None:
        self.process, connection = qmp.start(
            lambda monitor: ['bash', '-c',
                             f'exec {QEMU} {" ".join(monitor)} {options}'],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        try:
            self.monitor = qmp.Connection(connection)
        except (qmp.Error, OSError) as e:
            self.process.kill()
            raise Failure(self.process.communicate()[0]) from e

    def hmp(self, command: str) -> str:
        return self.monitor.ask('human-monitor-command',
                                **{'command-line': command})

    def qmp(self, text: str) -> None:
        """A command as the documentation shows it, and what follows"""
        request, *replies = re.split(r'^<- ', text, flags=re.M)
        request = json.loads(request)
        answer = self.monitor.ask(request['execute'],
                                  **request.get('arguments', {}))
        for reply in replies:
            reply = json.loads(reply.replace(', ...', ''))
            if 'event' in reply:
                # These depend on what is copied
                for name in ('len', 'offset'):
                    reply['data'].pop(name, None)
                self.monitor.wait_for_event(reply)
            elif shape(reply['return']) != shape(answer):
                raise Failure(f'expected: {reply}\nactual: {answer}')

    def end(self) -> None:
        self.monitor.ask('quit')
        out, _ = self.process.communicate()
        if self.process.returncode != 0 or out:
            raise Failure(f'QEMU: status {self.process.returncode}: {out}')


def shape(answer):
    """The names in an answer of QMP, whatever their values are"""
    if isinstance(answer, list):
        return [shape(item) for item in answer]
    if isinstance(answer, dict):
        return {name: shape(value) for name, value in answer.items()}
    return type(answer)


def damage(image: Path) -> None:
    """Lose both copies of the first block of a zoned image's table"""
    with open(image, 'r+b') as f:
        f.seek(96)
        table, = struct.unpack('<Q', f.read(8))
        f.seek(table)
        f.write(b'x' * 8192)


class Runner:
    """Runs the commands of one file."""

    def __init__(self, folder: Path, names: dict) -> None:
        self.folder = folder
        self.names = names
        self.count = 0
        (folder / 'root').mkdir()

    def rename(self, text: str) -> str:
        for name, replacement in self.names.items():
            text = re.sub(rf'\b{name}\b', replacement, text)
        text = text.replace('|qemu_system|', 'qemu-system-x86_64 ...')
        return text.replace('build/', '')

    def make_files(self, text: str) -> None:
        """Make what the documentation takes for given"""
        if 'nvm.img' in text:
            self.shell('qemu-img create -q -f raw nvm.img 32G', self.folder)
        if 'damaged.zbd' in text and not (self.folder / 'damaged.zbd').exists():
            self.shell('cp --sparse=always disk.zbd damaged.zbd', self.folder)
            damage(self.folder / 'damaged.zbd')

    @staticmethod
    def shell(text: str, folder: Path, may_fail: bool = False) -> str:
        result = subprocess.run(['bash', '-c', text], cwd=folder, text=True,
                                stdin=subprocess.DEVNULL, check=False,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        if result.returncode and not may_fail:
            raise Failure(f'status {result.returncode}: {result.stdout}')
        return result.stdout

    def run_block(self, block: Block) -> None:
        todo = list(commands(block))
        try:
            for command in todo:
                if command.prompt not in DISKS:
                    self.run(command)
            self.run_monitor([c for c in todo
                              if c.prompt in DISKS])
        finally:
            # A daemon that serves what follows in its block
            self.shell('if [ -e daemon.pid ]; then kill $(cat daemon.pid); '
                       'rm -f daemon.pid; fi', self.folder, may_fail=True)

    def run_monitor(self, todo: List[Command]) -> None:
        """What is said to a monitor, of a QEMU with a copy of the disk"""
        if not todo:
            return
        self.count += len(todo)
        # To what it is copied, it must be equal
        image = 'copy.zbd' if any('copy.zbd' in line for c in todo
                                  for line in c.output) else 'disk.zbd'
        (self.folder / 'vm').mkdir(exist_ok=True)
        self.shell(f'cp --sparse=always {image} vm/disk.zbd; '
                   'cp --sparse=always copy.zbd vm', self.folder,
                   may_fail=True)
        qemu = Qemu(f'{DISKS[todo[0].prompt]} {DEVICE}', self.folder / 'vm')
        try:
            for command in todo:
                if command.prompt == '->':
                    qemu.qmp('\n'.join([command.text, *command.output]))
                else:
                    compare(command.output, qemu.hmp(command.text))
            qemu.end()
        except (qmp.Error, OSError) as e:
            raise Failure(f'{command.text}: {e}') from e
        finally:
            qemu.process.kill()

    def run(self, command: Command) -> None:
        self.count += 1
        text = self.rename(command.text)
        folder = self.folder / 'root' if command.prompt == '#' else self.folder
        self.make_files(text)
        if OPTION.match(text) or text.startswith('qemu-system-'):
            options = text.replace('qemu-system-x86_64 ...', '')
            Qemu(options, folder).end()
            return
        if text.startswith('qemu-storage-daemon'):
            text = text.replace(' --daemonize', '')
            text += ' --daemonize --pidfile daemon.pid < /dev/null > log 2>&1'
        text = text.replace('DAEMON', '$(cat daemon.pid)')
        if command.output is None:
            self.shell(text, folder)
            return
        compare([self.rename(line) for line in command.output],
                self.shell(text, folder, may_fail=True))


def main() -> int:
    names = dict(arg.split('=') for arg in sys.argv[1:] if '=' in arg)
    passed = failed = 0
    for arg in sys.argv[1:]:
        if '=' in arg:
            continue
        path, _, heading = arg.partition(':')
        with tempfile.TemporaryDirectory() as tmp:
            runner = Runner(Path(tmp), names)
            for block in literal_blocks(Path(path), heading):
                try:
                    runner.run_block(block)
                except Failure as e:
                    failed += 1
                    print(f'{path}:{block.line}: {e}')
            passed += runner.count
            if not runner.count:
                failed += 1
                print(f'{arg}: no commands were found')
    print(f'{passed} commands, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
