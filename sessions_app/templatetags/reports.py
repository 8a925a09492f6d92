"""What report templates need beyond Django's own filters."""

from django import template

from sessions_app.reports.figures import number_words
from sessions_app.wording import duration_words

register = template.Library()

register.filter("duration", duration_words)
register.filter("number", number_words)
