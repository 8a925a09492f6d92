"""The frame around the sign-in pages: the admin's own."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest

from config.sign_in.staying import OWN_PAGES


def frame(request: HttpRequest) -> dict[str, Any]:
    """What the admin's templates ask for, on pages that allauth makes. A context processor."""
    if not request.path_info.startswith(OWN_PAGES):
        return {}
    return admin.site.each_context(request) | {"issuer_name": settings.OIDC.issuer and settings.OIDC.name}
