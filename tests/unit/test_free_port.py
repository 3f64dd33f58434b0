"""Two processes that look for ports at the same time never get the same one, however late their servers start."""

import json
import subprocess
import sys

from services.development.local import PORTS, free_port

AMONG = PORTS[4_000:4_012]
EACH = 4

OTHER = """
import json, sys
from services.development.local import free_port
first, end, count = map(int, sys.argv[1:])
print(json.dumps([free_port(range(first, end)) for _ in range(count)]), flush=True)
sys.stdin.read()
"""


def test_no_two_processes_get_the_same_port_before_its_server_starts() -> None:
    command = [sys.executable, "-c", OTHER, *map(str, (AMONG.start, AMONG.stop, EACH))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        ours = [free_port(AMONG) for _ in range(EACH)]
        theirs = json.loads(other.stdout.readline())
        assert len({*ours, *theirs}) == 2 * EACH
        other.kill()
