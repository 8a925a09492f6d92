"""Raw bodies on the admin's pages, which are for those who have the permission."""

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.masking import may_see_numbers, shown_text
from sessions_app.admin.lists import LongListAdmin
from sessions_app.reports.list.lines import pretty_json

SEE_BODIES = "sessions_app.view_bodies"
NO_BODIES = (
    "You may not see raw bodies. The permissions are “Can see the raw bodies of sessions and events” and “Can see "
    "numbers and e-mail addresses”: you need both."
)


class BodiesAdmin(LongListAdmin):
    """Its fields leave bodies out; `with_bodies` names those that stand in for them where bodies may be seen.

    Bodies are full of numbers, so they are for those who may see these too.
    """

    with_bodies: dict[str, str] = {}
    see_bodies = SEE_BODIES

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets: Any = super().get_fieldsets(request, obj)
        if not (may_see_numbers() and request.user.has_perm(self.see_bodies)):
            return fieldsets
        return [
            (title, {**options, "fields": [self.with_bodies.get(name, name) for name in options["fields"]]})
            for title, options in fieldsets
        ]


def preformatted(body: Any) -> SafeString:
    return format_html('<pre class="body" tabindex="0">{}</pre>', pretty_json(body))


def shown_json(body: Any) -> SafeString:
    return format_html('<pre class="body" tabindex="0">{}</pre>', shown_text(pretty_json(body)))


def body_or_none(body: Any) -> SafeString | str:
    return preformatted(body) if body else "None"
