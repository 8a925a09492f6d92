"""Passwords are hashed one at a time in a process, and only while nobody else wants the processor."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import PBKDF2PasswordHasher

NICENESS = 10


class OneAtATime(PBKDF2PasswordHasher):
    """Django's own hash, a fifth of a second of computing by design, which strangers can ask for by guessing."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        return _hashing.submit(super().encode, password, salt, iterations).result()


def _give_way() -> None:
    if sys.platform.startswith("linux"):  # elsewhere it would be the whole process that gives way
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_hashing = ThreadPoolExecutor(1, thread_name_prefix="hashing", initializer=_give_way)
