"""Begin and end over DRF."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.straight.models import Customer, Session


class HasKey(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return bool(request.headers.get("X-API-Key") == settings.WEBHOOK_SECRET)


class BeginSerializer(serializers.Serializer[Any]):
    sessionId = serializers.CharField(max_length=255)
    kind = serializers.CharField(max_length=64)
    agentId = serializers.IntegerField()
    agentName = serializers.CharField(required=False)
    phoneNumber = serializers.CharField(max_length=32)
    timestamp = serializers.DateTimeField()


class EndSerializer(BeginSerializer):
    duration = serializers.IntegerField(min_value=0)


class Begin(APIView):
    authentication_classes = []
    permission_classes = [HasKey]

    @transaction.atomic
    def post(self, request: Request) -> Response:
        serializer = BeginSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        customers = Customer.objects.select_related("tier").select_for_update(of=("self",))
        customer = get_object_or_404(customers, phone=data["phoneNumber"])
        known = Session.objects.filter(session_id=data["sessionId"]).first()
        if known is not None:
            return Response(known.answer)
        answer = decide(customer, data["timestamp"])
        Session.objects.create(
            session_id=data["sessionId"],
            customer=customer,
            kind=data["kind"],
            agent_id=data["agentId"],
            started_at=data["timestamp"],
            allowed=answer["allowed"],
            answer=answer,
        )
        return Response(answer)


def decide(customer: Customer, now: datetime) -> dict[str, Any]:
    tier = customer.tier
    day = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    sessions = customer.sessions.filter(allowed=True)
    this_month = sessions.filter(started_at__gte=day.replace(day=1))
    minutes_today = (sessions.filter(started_at__gte=day).aggregate(total=Sum("duration"))["total"] or 0) / 60
    minutes_this_month = (this_month.aggregate(total=Sum("duration"))["total"] or 0) / 60
    allowed = (
        sessions.filter(ended_at__isnull=True).count() < tier.concurrent_sessions
        and this_month.count() < tier.monthly_sessions
        and minutes_today < tier.daily_call_minutes
        and minutes_this_month < tier.monthly_call_minutes
    )
    limits = {"dailyMessageLimit": tier.daily_messages, "dailyCallMinutes": tier.daily_call_minutes}
    return {"allowed": allowed, "context": {"customer_tier": tier.name, **tier.context}, "limits": limits}


class End(APIView):
    authentication_classes = []
    permission_classes = [HasKey]

    @transaction.atomic
    def post(self, request: Request) -> Response:
        serializer = EndSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        data = serializer.validated_data
        session = get_object_or_404(Session.objects.select_for_update(), session_id=data["sessionId"])
        if session.ended_at is None:
            session.ended_at = data["timestamp"]
            session.duration = data["duration"]
            session.save()
        return Response({})


class Nothing(APIView):
    """What the web server, Django and DRF take for themselves."""

    authentication_classes = []
    permission_classes = []

    def post(self, request: Request) -> Response:
        return Response({"allowed": True})


urlpatterns = [path("begin", Begin.as_view()), path("end", End.as_view()), path("nothing", Nothing.as_view())]
