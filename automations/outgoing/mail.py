"""Mail by the server of EMAIL_URL, with what became of it for each recipient."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from smtplib import SMTPException, SMTPRecipientsRefused

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from automations.outgoing.timed_mail import mail_connection

NO_SERVER = "No mail server is set, so no mail is sent: set EMAIL_URL and start Frontdesk again."
# They print mails, or drop them: nobody would get one, and the log would hold what callers said.
_NO_SERVERS = {f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy")}


@dataclass(frozen=True)
class Refusal:
    """A server's answer to one recipient: from 400 it may take the mail later, from 500 never (RFC 5321, 4.2.1)."""

    status: int
    text: str

    @property
    def is_final(self) -> bool:
        return self.status >= 500


@dataclass(frozen=True)
class Posted:
    """Which recipients the server took the mail for, and why it refused others."""

    accepted: Sequence[str]
    refused: Mapping[str, Refusal] = field(default_factory=dict)


def has_mail_server() -> bool:
    return settings.EMAIL_BACKEND not in _NO_SERVERS


def post(
    recipients: Sequence[str], subject: str, text: str, *, to: Sequence[str], message_id: str, seconds: float
) -> Posted:
    """Send one mail, that names all `recipients`, to those of them in `to`. Django says nothing of those refused.

    They are addresses that `texts.recipients` let pass. Where nobody got it: OSError, SMTPException or ValueError.
    """
    connection = mail_connection(seconds)
    headers = {"Message-ID": message_id, "Auto-Submitted": "auto-generated"}
    message = EmailMessage(subject, text, to=recipients, headers=headers, connection=connection)
    envelope = {sanitize_address(one, "utf-8"): one for one in to}
    if not envelope:  # all of them have it
        return Posted([])
    if not isinstance(connection, EmailBackend):
        message.send()
        return Posted(list(envelope.values()))
    refused = {envelope[key]: refusal for key, refusal in _send(connection, message, list(envelope)).items()}
    return Posted([one for one in envelope.values() if one not in refused], refused)


def _send(connection: EmailBackend, message: EmailMessage, envelope: list[str]) -> dict[str, Refusal]:
    content = message.message().as_bytes(linesep="\r\n")  # type: ignore[call-arg]
    sender = sanitize_address(message.from_email, "utf-8")
    connection.open()
    smtp = connection.connection
    assert smtp is not None
    try:
        refused = smtp.sendmail(sender, envelope, content)
    except SMTPRecipientsRefused as error:
        refused = error.recipients
        # One that was taken before all were refused got nothing either: the server hung up (421), say.
        refused = {one: refused.get(one, (421, b"the server hung up")) for one in envelope}
    finally:
        with suppress(OSError, SMTPException):  # what it took it has
            connection.close()
    return {one: Refusal(status, text.decode(errors="replace")) for one, (status, text) in refused.items()}
