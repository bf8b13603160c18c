"""Several hosts on one machine: network namespaces on a bridge, which a test can cut off. Needs root and ``ip``.

Each host has a set of process ids and a name of its own, so that nobody there can tell whether a process of another one
lives. They share the files of this machine. The bridge has an address here, where a server that listens is reached.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest

_NETWORK = "198.18.{}"
"""A range that is set aside for tests of networks; one of its 256 for each network."""
_ENTER = ("unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
_NAMED = 'hostname "$0" && exec "$@"'


class Host(NamedTuple):
    """A host, and the end of its cable at the bridge."""

    name: str
    wire: str

    def command(self, command: list[str]) -> list[str]:
        """The same command, on this host."""
        return ["ip", "netns", "exec", self.name, *_ENTER, "sh", "-c", _NAMED, self.name, *command]

    def cut_off(self) -> None:
        """Nothing arrives and nothing leaves; no connection learns of it."""
        _ip("link", "set", self.wire, "down")

    def let_back(self) -> None:
        """As before. Connections go on, if nobody has given them up."""
        _ip("link", "set", self.wire, "up")


class Network(NamedTuple):
    """``address``: where the hosts reach this machine."""

    address: str
    hosts: list[Host]


def why_not() -> str | None:
    """Why there can be no hosts here."""
    if os.geteuid() != 0:
        return "hosts are network namespaces, which need root"
    missing = [each for each in ("ip", "unshare") if shutil.which(each) is None]
    return f"hosts are network namespaces, which need {missing[0]}" if missing else None


@contextmanager
def network(count: int) -> Iterator[Network]:
    """Within: a network of this many hosts."""
    with ExitStack() as undo:
        bridge, prefix = _bridge(undo)
        hosts = [_host(undo, bridge, f"{prefix}.{number + 2}", number) for number in range(count)]
        yield Network(f"{prefix}.1", hosts)


@contextmanager
def network_or_skip(count: int) -> Iterator[Network]:
    """``network``; skips the test where there can be none."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with network(count) as made:
        yield made


def _bridge(undo: ExitStack) -> tuple[str, str]:
    """A bridge with an address that no other test has: its name, and the beginning of its addresses."""
    while True:
        number = random.SystemRandom().randrange(256)
        name = f"bizon{number}"
        if subprocess.run(["ip", "link", "add", name, "type", "bridge"], capture_output=True, check=False).returncode:
            continue
        undo.callback(_ip, "link", "del", name)
        prefix = _NETWORK.format(number)
        _ip("addr", "add", f"{prefix}.1/24", "dev", name)
        _ip("link", "set", name, "up")
        return name, prefix


def _host(undo: ExitStack, bridge: str, address: str, number: int) -> Host:
    host = Host(f"{bridge}h{number}", f"{bridge}w{number}")
    _ip("netns", "add", host.name)
    undo.callback(_ip, "netns", "del", host.name)
    _ip("link", "add", host.wire, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("link", "set", host.wire, "master", bridge)
    _ip("link", "set", host.wire, "up")
    for device in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", device, "up")
    _ip("-n", host.name, "addr", "add", f"{address}/24", "dev", "eth0")
    return host


def _ip(*what: str) -> None:
    subprocess.run(["ip", *what], check=True, capture_output=True)
