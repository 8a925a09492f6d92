"""What LiveTok would get for a begin, over the API. Writes nothing, so that a key with scope `read` is enough."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.base import ApiView
from customers.api.errors import TooLarge
from customers.api.reading import refuse_larger
from customers.api.schema import READING, answers
from customers.models import ApiKey
from sessions_app.api.serializers import PreviewSerializer
from sessions_app.livetok.payloads import Refused
from sessions_app.webhook.preview import preview
from sessions_app.webhook.reception import LARGEST_BODY

LIVETOKS_SAMPLE = OpenApiExample(
    "LiveTok's sample",
    {
        "event": "session_begin",
        "sessionId": "123",
        "kind": "whatsapp",
        "agentId": 1,
        "agentName": "My Agent",
        "phoneNumber": "+1234567890",
        "timestamp": "2024-03-15T10:30:00Z",
    },
    request_only=True,
)


class DecisionPreview(ApiView):
    required_scope = ApiKey.Scope.READ.value

    @extend_schema(
        operation_id="preview_decision",
        tags=["decisions"],
        request={"application/json": {"type": "object", "additionalProperties": {}}},
        examples=[LIVETOKS_SAMPLE],
        responses=answers({200: PreviewSerializer}, 413, *READING),
    )
    def post(self, request: Request) -> Response:
        """Decide a begin's body as LiveTok sends it; a session that is known is decided as if it did not exist."""
        refuse_larger(request, LARGEST_BODY)
        # The bytes, which are read as the webhook reads them, and not by DRF's parser.
        body = request._request.read(LARGEST_BODY + 1)
        if len(body) > LARGEST_BODY:
            raise TooLarge(f"A body has at most {LARGEST_BODY} bytes.")
        try:
            outcome = preview(body, timezone.now())
        except Refused as refused:
            raise ValidationError({refused.field: [refused.problem]}) from refused
        return Response(PreviewSerializer(outcome).data)
