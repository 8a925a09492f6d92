"""What staff have to know of requests that wait on disk, and of those that were set aside there."""

from typing import Any

from django import template

from sessions_app.recording.clock import clock_leap
from sessions_app.spool.files import files_set_aside, set_aside_folder, spool_files

register = template.Library()


@register.inclusion_tag("admin/sessions_app/spool.html")
def spool_warning() -> dict[str, Any]:
    return {
        "leap": clock_leap(),
        "waits": bool(spool_files()),
        "set_aside": len(files_set_aside()),
        "folder": set_aside_folder(),
    }
