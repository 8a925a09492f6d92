"""Who holds a TCP port, as far as the system lets this account see it: from Linux's /proc."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"


def port_holder(port: int, proc: Path = Path("/proc")) -> str:
    """Who holds the port of this machine, in words: a process's id and name, or why they cannot be seen."""
    look = f"`sudo lsof -nP -iTCP:{port}` may show it"
    sockets = _sockets(port, proc)
    if sockets is None:
        return f"This system does not say who holds it; {look}."
    if not sockets:
        return f"No process that can be seen from here holds it, so it may be in another container; {look}."
    for inode in sockets:
        if holder := _process(inode, proc):
            process_id, name = holder
            return f"Process {process_id} ({name}) holds it."
    owners = " or ".join(sorted({_account(user_id) for user_id in sockets.values()}))
    return f"A process of the account {owners} holds it, of which this account cannot see more; {look}."


def _sockets(port: int, proc: Path) -> dict[str, int] | None:
    """The sockets at that port, by inode, and their owners' user ids; those that listen, if any does. None: no /proc.

    Columns of /proc/net/tcp: https://docs.kernel.org/networking/proc_net_tcp.html
    """
    listening: dict[str, int] = {}
    others: dict[str, int] = {}
    is_readable = False
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = (proc / "net" / table).read_text().splitlines()[1:]
            is_readable = True
            for line in lines:
                fields = line.split()
                # Without an inode it is the kernel's own, such as a connection that was closed lately.
                if int(fields[1].rpartition(":")[2], 16) == port and fields[9] != "0":
                    (listening if fields[3] == LISTENING else others)[fields[9]] = int(fields[7])
    return (listening or others) if is_readable else None


def _process(inode: str, proc: Path) -> tuple[int, str] | None:
    """The process with this socket open: its id and its name, without its arguments, which may be secret."""
    for folder in sorted((path for path in proc.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name)):
        with suppress(OSError):  # another account's, or gone meanwhile
            for descriptor in (folder / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) == f"socket:[{inode}]":
                        return int(folder.name), (folder / "comm").read_text(errors="replace").strip()
    return None


def _account(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return f"number {user_id}"
