"""A connection to the mail server that EMAIL_URL names, with an end, whatever that server does."""

import smtplib
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend
from django.utils.module_loading import import_string

from automations.outgoing.connections import connect, cut_off
from automations.outgoing.names import LookupFailedError, places_of

# For all of a mail: connection, TLS, sign-in and every reply. Half of a delivery's lease.
MAIL_SECONDS = 30.0


class MailTimeoutError(smtplib.SMTPServerDisconnected):
    """The time is over, and the connection cut off."""


def mail_connection(seconds: float) -> BaseEmailBackend:
    """Django's connection; `seconds` after it was opened, what uses it raises MailTimeoutError.

    What speaks no SMTP, such as the console, is as Django has it.
    """
    if import_string(settings.EMAIL_BACKEND) is EmailBackend:
        return _TimedBackend(seconds)
    connection: BaseEmailBackend = get_connection()
    return connection


class _TimedBackend(EmailBackend):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._stack = ExitStack()

    def open(self) -> bool | None:
        if self.connection:
            return False
        self._stack.close()
        self._end = _End(self._seconds, self._stack)
        try:
            with self._end.told():
                return super().open()
        except OSError:
            self._stack.close()
            raise

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._stack.close()

    @property
    def connection_class(self) -> Any:
        base = _TimedTls if self.use_ssl else _TimedSmtp
        return type(base.__name__, (base,), {"end": self._end})


class _End:
    """When what was opened into `stack` ends."""

    def __init__(self, seconds: float, stack: ExitStack) -> None:
        self._seconds, self._stack = seconds, stack
        self._deadline = time.monotonic() + seconds

    def connected(self, host: str, port: int) -> socket.socket:
        try:
            places = places_of(host, port, seconds=self._deadline - time.monotonic())
        except LookupFailedError as error:
            raise OSError(str(error)) from error
        connection = connect(places, self._deadline)
        self._stack.callback(connection.close)
        self._stack.enter_context(cut_off(connection, self._deadline))
        return connection

    @contextmanager
    def told(self) -> Iterator[None]:
        """What fails once the time is over fails because of it."""
        try:
            yield
        except OSError as error:
            if time.monotonic() < self._deadline or isinstance(error, MailTimeoutError):
                raise
            raise MailTimeoutError(f"the mail server took longer than {self._seconds:g} seconds in all") from error


class _TimedSmtp(smtplib.SMTP):
    end: _End

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self.end.connected(host, port)

    def send(self, s: Any) -> None:
        with self.end.told():
            super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        with self.end.told():
            return super().getreply()


# The library's own class for TLS wraps what the next class, which is ours, opens.
class _TimedTls(smtplib.SMTP_SSL, _TimedSmtp):
    pass
