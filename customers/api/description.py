"""The API's description as it is served: made once in a process, since making it takes longer than many begins."""

import hashlib
from threading import Lock
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request

_making = Lock()
_made: dict[str, tuple[bytes, str]] = {}


class Description(SpectacularAPIView):
    """YAML, or JSON to whoever asks for it: with `?format=json` or as `Accept` says."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        renderer = request.accepted_renderer
        content, etag = self._content(request, renderer)
        response = HttpResponse(content, content_type=renderer.media_type)
        response["ETag"] = etag
        response["Content-Disposition"] = f'inline; filename="Frontdesk.{renderer.format}"'
        # Asked for again after each upgrade, and answered in one line where it is the same.
        response["Cache-Control"] = "no-cache"
        response["Vary"] = "Accept"
        return get_conditional_response(request._request, etag=etag, response=response) or response

    def _content(self, request: Request, renderer: Any) -> tuple[bytes, str]:
        # drf-spectacular makes it with the help of globals, so that two at once would not only take long, but fail.
        with _making:
            if renderer.format not in _made:
                generator = self.generator_class(urlconf=self.urlconf, api_version=self.api_version)
                described = generator.get_schema(request=None, public=self.serve_public)
                content = renderer.render(described, renderer.media_type, {})
                _made[renderer.format] = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            return _made[renderer.format]
