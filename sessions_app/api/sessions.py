"""Sessions over the API, read only: newest first, filtered, and one with the trace of its decision."""

from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from customers.api.base import ApiView
from customers.api.customers import phone_of
from customers.api.pages import page_of, page_response
from customers.api.schema import READING, answers
from sessions_app.api.serializers import SessionDetailSerializer, SessionQuery, SessionSerializer
from sessions_app.models import LONG_FIELDS, Session

_EQUAL = {
    "session_id": "session_id",
    "customer": "customer__external_id",
    "customer_id": "customer_id",
    "tier": "tier__slug",
    "channel": "channel_id",
    "agent": "agent_id",
    "reason": "reason",
    "test": "is_test",
    "started_after": "started_at__gte",
    "started_before": "started_at__lt",
}


class SessionList(ApiView):
    query_serializer = SessionQuery

    @extend_schema(
        operation_id="list_sessions",
        tags=["sessions"],
        parameters=[SessionQuery],
        responses=answers({200: page_of(SessionSerializer, "SessionPage")}, *READING),
    )
    def get(self, request: Request) -> Response:
        """Sessions, newest first. Test traffic is listed with `test=true` alone."""
        sessions = Session.objects.select_related("customer", "tier").defer(*LONG_FIELDS)
        now = timezone.now()
        if "state" in self.query:
            sessions = sessions.in_state(self.query["state"], now)
        return page_response(
            request,
            _matching(sessions, self.query),
            self.query,
            SessionSerializer,
            order=("-started_at", "-pk"),
            now=now,
        )


def _matching(sessions: QuerySet[Session], query: dict[str, Any]) -> QuerySet[Session]:
    sessions = sessions.filter(**{_EQUAL[name]: value for name, value in query.items() if name in _EQUAL})
    if "phone" in query:
        sessions = sessions.filter(phone_key=phone_of(query["phone"], "phone"))
    if query["allowed"] is not None:
        sessions = sessions.filter(allowed=query["allowed"])
    if flag := query.get("flag"):
        # Flags are words of one text: the one asked for stands alone, first, last or between others.
        sessions = sessions.filter(
            Q(flags=flag)
            | Q(flags__startswith=f"{flag} ")
            | Q(flags__endswith=f" {flag}")
            | Q(flags__contains=f" {flag} ")
        )
    return sessions


class SessionDetail(ApiView):
    @extend_schema(
        operation_id="get_session",
        tags=["sessions"],
        parameters=[OpenApiParameter("id", int, "path", description="`id` of the list.")],
        responses=answers({200: SessionDetailSerializer}, 404, *READING),
    )
    def get(self, request: Request, pk: int) -> Response:
        """One session with the facts and the trace of its decision, and the answer that LiveTok got."""
        session = Session.objects.select_related("customer", "tier").filter(pk=pk).first()
        if session is None:
            raise NotFound("There is no such session. For LiveTok's own id, ask /api/v1/sessions/?session_id=")
        return Response(SessionDetailSerializer(session, context={"now": timezone.now()}).data)
