"""What needs a hand, for home: the notices of other parts, and what is odd enough to be looked at."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.defaultfilters import pluralize
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from automations.templatetags.notices import following_notices
from config.doctor.findings import OK, Finding
from config.doctor.installation import check_api_keys, check_backup, without_names
from config.home.today import Today
from config.sign_in.members import accounts_without_factor
from sessions_app.models import Session, WebhookEvent
from sessions_app.periods import ONE_WEEK
from sessions_app.reports.webhook.channels import Heard
from sessions_app.templatetags.refused import refused_warning
from sessions_app.templatetags.spool import spool_warning

# Beyond them, one is told that there are more.
MOST_REJECTED = 1000


@dataclass(frozen=True)
class Need:
    """`kind` is "look" or "bad", as in `doctor`. `link` leads to what it speaks of."""

    kind: str
    words: str
    remedy: str
    address: str
    link: str


def notices(request: HttpRequest) -> SafeString:
    """What other parts have staff told, each to whom it concerns."""
    may, said = request.user.has_perm, []
    if may("sessions_app.view_webhookevent"):
        said.append(render_to_string("admin/sessions_app/spool.html", spool_warning()))
    if may("sessions_app.view_refusedrequests"):
        may_see_keys = may("customers.view_apikey") or may("customers.change_apikey")
        context = refused_warning() | {"may_see_keys": may_see_keys}
        said.append(render_to_string("admin/sessions_app/refused.html", context))
    if may("automations.view_destination"):
        context = following_notices({"user": request.user, "csrf_token": get_token(request)})
        said.append(render_to_string("admin/automations/notices.html", context))
    return mark_safe("".join(part.strip() for part in said))  # noqa: S308 - templates of our own, which escape


def needs(request: HttpRequest, today: Today, heard: Heard, since: datetime) -> list[Need]:
    """For whoever may see sessions; requests that were rejected since then among them."""
    found = list(_of_sessions(today, heard))
    if request.user.has_perm("sessions_app.view_webhookevent"):
        found += _rejected(since)
    if request.user.has_perm("auth.change_user"):
        found += _without_factor(request.user)
    # Without BACKUP_DIR something else may make them, of which Frontdesk knows nothing.
    findings = [*check_api_keys(), *([check_backup()] if settings.BACKUP_DIR is not None else [])]
    if not request.user.has_perm("customers.view_apikey"):
        findings = without_names(findings)
    return found + [_of_finding(finding) for finding in findings if finding.state != OK]


def _of_sessions(today: Today, heard: Heard) -> Iterator[Need]:
    # Many denials in a row have no ends, and a first session may still go on: one must be missing, and none have come.
    if today.missing and heard.end is None and not _has_end():
        yield Need(
            "bad",
            "Begins come, and no end has come in the last 7 days.",
            "Without ends no minutes are counted. Look at the End Session URL in LiveTok's dashboard.",
            reverse("reports:webhook"),
            "Webhook health",
        )
    if today.missing:
        yield Need(
            "look",
            f"{today.missing:,} session{pluralize(today.missing)} of the last 7 days "
            f"{pluralize(today.missing, 'misses its end,miss their ends')}.",
            "Until a true end comes, their minutes count nothing.",
            today.missing_address,
            "Look at them",
        )


def _has_end() -> bool:
    recent = Session.objects.filter(started_at__gte=timezone.now() - ONE_WEEK, end_received_at__isnull=False)
    return recent.order_by().exists()


def _rejected(since: datetime) -> Iterator[Need]:
    """Those that nobody had processed again: an index has just them, so they are found however long the log is."""
    waiting = WebhookEvent.objects.filter(_is_rejected(), processed_again_at__isnull=True, received_at__gte=since)
    count = waiting.order_by()[: MOST_REJECTED + 1].count()
    if not count:
        return
    query = {
        "received_at__gte": since.isoformat(),
        "verdict__exact": WebhookEvent.Verdict.REJECTED.value,
        "processed_again_at__isnull": "True",
    }
    some = f"More than {MOST_REJECTED:,}" if count > MOST_REJECTED else f"{count:,}"
    yield Need(
        "bad",
        f"{some} of LiveTok's requests since yesterday {pluralize(count, 'was,were')} rejected.",
        "Each names the field at fault. What is mended can be processed again.",
        f"{reverse('admin:sessions_app_webhookevent_changelist')}?{urlencode(query)}",
        "Look at them",
    )


def _without_factor(reader: Any) -> Iterator[Need]:
    """For administrators: whoever learns a password is in, where it is all that is asked."""
    lacking = accounts_without_factor()
    count = lacking.count()
    if not count:
        return
    is_own = lacking.filter(pk=reader.pk).exists()
    yield Need(
        "look",
        f"{count:,} account{pluralize(count)} of staff {pluralize(count, 'has,have')} no second factor"
        f"{', yours among them' if is_own and count > 1 else ': yours' if is_own else ''}.",
        "Whoever learns the password is in. An app or a key is set up in a minute, and REQUIRE_MFA asks all for one.",
        reverse("mfa_index") if is_own else reverse("admin:auth_user_changelist"),
        "Your sign-in" if is_own else "Users",
    )


def _is_rejected() -> RawSQL:
    """Spelled out as the index does it: SQLite uses it only then."""
    return RawSQL(f"{WebhookEvent._meta.db_table}.verdict = 'rejected'", (), BooleanField())  # noqa: S611 - ours alone


def _of_finding(finding: Finding) -> Need:
    check = finding.check[:1].upper() + finding.check[1:]
    return Need(finding.state, f"{check}: {finding.found}", finding.remedy, reverse("health"), "Health")
