"""A person at a terminal: runs a program on a pseudo-terminal and types an answer at each prompt.
terminal.py '[["prompt", "answer"], …]' PROGRAM ARGUMENT …
Prints one line of JSON: the exit code, and all that the terminal showed."""

import json
import os
import pty
import signal
import sys

answers, program = json.loads(sys.argv[1]), sys.argv[2:]
signal.alarm(300)  # a program that waits for more than it is told must not hang the tests
child, terminal = pty.fork()
if child == 0:
    os.execv(program[0], program)

shown = b""


def more():
    global shown
    try:
        read = os.read(terminal, 4096)
    except OSError:  # EIO: the program has ended
        read = b""
    shown += read
    return read


for prompt, answer in answers:
    start = len(shown)
    while prompt.encode() not in shown[start:] and more():
        pass
    if prompt.encode() not in shown[start:]:
        break
    os.write(terminal, answer.encode())
while more():
    pass
_, status = os.waitpid(child, 0)
print(json.dumps({"code": os.waitstatus_to_exitcode(status), "shown": shown.decode()}))
