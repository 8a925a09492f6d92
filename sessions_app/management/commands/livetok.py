"""`manage.py livetok`: plays LiveTok against a running Frontdesk, over HTTP and with its retries."""

import http.client
import json
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote_plus, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from sessions_app.livetok.payloads import PLAYED, Conversation, begin_document, end_document

# As LiveTok's overview says ("Retry Logic"). How long it waits for an answer is known to nobody; ten seconds are usual.
RETRIES = 3
PATIENCE_SECONDS = 10
LONGEST_DURATION_SECONDS = 7 * 24 * 60 * 60


@dataclass(frozen=True)
class Answer:
    """What came back; no `status` where nobody answered, and `content` then says why."""

    status: int | None
    content: str

    @property
    def is_acknowledged(self) -> bool:
        return self.status == 200

    @property
    def document(self) -> Any:
        """The answer's JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None


class _NoRedirects(HTTPRedirectHandler):
    """LiveTok expects its answer from the address that it was given."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Command(BaseCommand):
    help = (
        "Play LiveTok against a running Frontdesk: send a session's begin, its end, or both, and try again "
        f"up to {RETRIES} times, as LiveTok does, while the answer is not 200."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "what",
            choices=["begin", "end", "session"],
            help="`session`: a begin and, where it is allowed, its end",
        )
        parser.add_argument("--phone", help="the caller's number; none: the caller withholds it")
        parser.add_argument("--kind", default="telephony", help="the channel (default: telephony)")
        parser.add_argument("--url", default=default_url(), help="the webhook's address (default: %(default)s)")
        parser.add_argument("--key", default="", help="a key with the scope webhook (default: WEBHOOK_SECRET)")
        parser.add_argument("--session-id", default="", help="the session's id (default: a made-up one)")
        parser.add_argument("--agent-id", default="1", help="the agent's id (default: 1)")
        parser.add_argument("--agent-name", default="My Agent", help="the agent's name (default: My Agent)")
        parser.add_argument("--duration", default="300", help="how long the session took, in seconds (default: 300)")
        parser.add_argument(
            "--timestamp",
            default="",
            help="LiveTok's clock, such as 2026-03-15T10:30:00Z (default: now; a `session` is made to end now)",
        )
        parser.add_argument(
            "--envelope",
            choices=["contract", "second"],
            default="contract",
            help="the shape of the body: that of LiveTok's developer overview, or of its page on webhooks",
        )
        parser.add_argument("--test", action="store_true", help="test traffic; needs --envelope second")
        parser.add_argument("--always", action="store_true", help="send the end of a session that was denied, too")
        parser.add_argument(
            "--backoff", default="1", help="the pause before the first retry, in seconds; it doubles (default: 1)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        talk = _conversation(options)
        duration_seconds = _duration(options["duration"])
        send = Sender(self, _url(options["url"]), _key(options["key"]), _pause(options["backoff"]))
        if options["what"] == "end":
            send(end_document(talk, _moment(options["timestamp"]) or timezone.now(), duration_seconds))
            return
        length = timedelta(seconds=duration_seconds if options["what"] == "session" else 0)
        begin_at = _moment(options["timestamp"]) or timezone.now() - length
        answer = send(begin_document(talk, begin_at)).document
        if options["what"] == "begin":
            return
        if options["always"] or (isinstance(answer, dict) and answer.get("allowed") is True):
            send(end_document(talk, begin_at + length, duration_seconds))
        else:
            self.stdout.write("Not allowed, so no end is sent (--always sends one).")
        self.stdout.write(f"The session's page: {session_address(send.url, talk.session_id)}")


class Sender:
    """Sends bodies to one address, with retries, and shows what goes and what comes."""

    def __init__(self, command: BaseCommand, url: str, key: str, pause_seconds: float) -> None:
        self.command = command
        self.url = url
        self.key = key
        self.pause_seconds = pause_seconds
        # A proxy from the environment is not asked: it could not reach this machine's own address.
        self.opener: OpenerDirector = build_opener(_NoRedirects, ProxyHandler({}))

    def __call__(self, document: dict[str, Any]) -> Answer:
        """The answer of 200. Raises CommandError where there is none after the last retry."""
        out = self.command.stdout
        out.write(f"POST {self.url}")
        out.write(json.dumps(document, ensure_ascii=False))
        pause = self.pause_seconds
        for attempt in range(RETRIES + 1):
            answer = self._post(document)
            out.write(_shown(answer))
            if answer.is_acknowledged:
                return answer
            if attempt < RETRIES:
                out.write(f"Retry {attempt + 1} of {RETRIES} in {pause:g} s")
                time.sleep(pause)
                pause *= 2
        raise CommandError(f"{self.url} did not answer 200; LiveTok would give up now.", returncode=1)

    def _post(self, document: dict[str, Any]) -> Answer:
        headers = {"Content-Type": "application/json", "X-API-Key": self.key}
        request = Request(self.url, json.dumps(document).encode(), headers, method="POST")  # noqa: S310 (see _url)
        try:
            with self.opener.open(request, timeout=PATIENCE_SECONDS) as response:
                return Answer(response.status, response.read().decode("utf-8", "replace"))
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read().decode("utf-8", "replace"))
        except URLError as error:
            return Answer(None, str(error.reason))
        except (OSError, http.client.HTTPException) as error:
            return Answer(None, str(error) or type(error).__name__)


def default_url() -> str:
    base = settings.PUBLIC_URL or f"http://127.0.0.1:{settings.PORT}"
    return f"{base}/webhooks/livetok"


def session_address(webhook_url: str, session_id: str) -> str:
    """Where Frontdesk shows the session, for staff: the search, since the answer does not say its page's number."""
    base, found, _ = webhook_url.rpartition("/webhooks/livetok")
    if not found:
        base = "{0.scheme}://{0.netloc}".format(urlsplit(webhook_url))
    return f"{base}/reports/search/?q={quote_plus(session_id)}"


def _shown(answer: Answer) -> str:
    if answer.status is None:
        return f"No answer: {answer.content}"
    reason = http.client.responses.get(answer.status, "")
    if answer.document is None:
        return f"{answer.status} {reason}\n{answer.content[:2000]}".strip()
    return f"{answer.status} {reason}\n{json.dumps(answer.document, indent=2, ensure_ascii=False)}"


def _conversation(options: dict[str, Any]) -> Conversation:
    second = options["envelope"] == "second"
    if options["test"] and not second:
        raise CommandError("--test: only the second envelope says that traffic is a test; add --envelope second.")
    if not options["kind"].strip():
        raise CommandError("--kind: give the channel, such as telephony, whatsapp or web.")
    agent = options["agent_id"]
    return Conversation(
        session_id=options["session_id"] or f"{PLAYED}{secrets.token_hex(6)}",
        channel=options["kind"],
        number=options["phone"] or None,
        agent=int(agent) if agent.isdecimal() and len(agent) < 20 else agent or None,
        agent_name=options["agent_name"],
        is_test=options["test"],
        second_envelope=second,
    )


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise CommandError("--url: give an address such as http://127.0.0.1:8000/webhooks/livetok.")
    return text


def _key(text: str) -> str:
    key = text or settings.WEBHOOK_SECRET
    if not key:
        raise CommandError(
            "--key: give a webhook key, or set WEBHOOK_SECRET. "
            "`manage.py create_api_key --name trial --scope webhook` makes one."
        )
    if not key.isascii() or not key.isprintable():
        raise CommandError("--key: a key has printable ASCII characters only.")
    return key


def _duration(text: str) -> int:
    if not text.isdecimal() or int(text) > LONGEST_DURATION_SECONDS:
        raise CommandError(f"--duration: give whole seconds from 0 to {LONGEST_DURATION_SECONDS}, such as 300.")
    return int(text)


def _pause(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 60:
        raise CommandError("--backoff: give seconds from 0 to 60, such as 1.")
    return seconds


def _moment(text: str) -> datetime | None:
    """UTC where it has no offset, as Frontdesk reads it; None where nothing is given."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError("--timestamp: give a time such as 2026-03-15T10:30:00Z.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
