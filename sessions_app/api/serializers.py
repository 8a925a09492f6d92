"""The shapes of sessions and usage, as answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from customers.api.fields import AgentId, Choice, LocalMoment, Moment, Text
from customers.api.pages import PageQuery
from customers.api.reading import StrictSerializer
from customers.context import read_json, sound
from customers.lengths import LARGEST_ID, LONGEST_TEXT
from sessions_app.decision.rules import Reason, whole_check
from sessions_app.models import Session

_AGENT = {"oneOf": [{"type": "integer"}, {"type": "string"}], "nullable": True}


class SessionSerializer(serializers.Serializer[Session]):
    """A session. `context["now"]` is our clock: a missing end is judged by it."""

    id = serializers.IntegerField(help_text="Frontdesk's own; LiveTok's is `session_id`.")
    session_id = serializers.CharField()
    state = serializers.SerializerMethodField()
    allowed = serializers.BooleanField(allow_null=True, help_text="Null: not decided, since its begin has not come.")
    reason = serializers.ChoiceField(choices=[reason.value for reason in Reason], allow_null=True)
    channel = serializers.CharField(source="channel_id", allow_null=True)
    agent_id = serializers.SerializerMethodField()
    phone = serializers.SerializerMethodField()
    customer = serializers.SerializerMethodField(help_text="The customer's external id.")
    customer_id = serializers.IntegerField(allow_null=True)
    tier = serializers.SerializerMethodField()
    started_at = Moment()
    ended_at = Moment(allow_null=True)
    duration_seconds = serializers.IntegerField(allow_null=True)
    flags = serializers.ListField(source="flag_list", child=serializers.CharField())

    @extend_schema_field(serializers.ChoiceField(choices=Session.State.values))
    def get_state(self, session: Session) -> str:
        return session.state_at(self.context["now"])

    @extend_schema_field(_AGENT)
    def get_agent_id(self, session: Session) -> str | int | None:
        if session.agent_id is None or not session.agent_is_number:
            return session.agent_id
        return int(session.agent_id)

    def get_phone(self, session: Session) -> str | None:
        return session.phone_key or None

    def get_customer(self, session: Session) -> str | None:
        return session.customer.external_id if session.customer else None

    def get_tier(self, session: Session) -> str | None:
        return session.tier.slug if session.tier else None


class DrawnOnSerializer(serializers.Serializer[dict[str, Any]]):
    """The top-up that lifted a limit which was used up, as it was before the session."""

    id = serializers.IntegerField()
    amount = serializers.IntegerField()
    used = serializers.FloatField()
    left = serializers.FloatField()

    def get_fields(self) -> dict[str, Any]:
        # A word of Python's, so that no attribute can have it.
        return super().get_fields() | {"from": serializers.DateField(help_text="The day on which it was added.")}


class CheckSerializer(serializers.Serializer[dict[str, Any]]):
    """A rule as it was judged. `passed` null: it did not apply. A check of a limit has the fields from `metric` on."""

    check = serializers.CharField(help_text="The reason that it denies with.")
    passed = serializers.BooleanField(allow_null=True)
    note = serializers.CharField(allow_blank=True)
    metric = serializers.CharField(required=False)
    period = serializers.CharField(required=False, allow_blank=True)
    channel = serializers.CharField(required=False, allow_null=True)
    agent = serializers.CharField(required=False, allow_null=True)
    hard = serializers.BooleanField(required=False)
    origin = serializers.CharField(required=False)
    limit = serializers.IntegerField(required=False, allow_null=True)
    used = serializers.FloatField(required=False, allow_null=True)
    left = serializers.FloatField(required=False, allow_null=True)
    top_up = DrawnOnSerializer(required=False)


@extend_schema_field(CheckSerializer(many=True))
class Trace(serializers.JSONField):
    def to_representation(self, value: Any) -> Any:
        return [whole_check(check) for check in value]


@extend_schema_field({"type": "object", "additionalProperties": {}})
class JsonObject(serializers.JSONField):
    pass


class SessionDetailSerializer(SessionSerializer):
    """A session with what it was decided on. The answer is what LiveTok got."""

    test = serializers.BooleanField(source="is_test")
    number_received = serializers.CharField(allow_blank=True)
    livetok_customer_id = serializers.CharField(source="external_id", allow_blank=True)
    time_zone = serializers.CharField(help_text="In which its days are counted.")
    counts_toward_call_minutes = serializers.BooleanField()
    begin_received_at = Moment(allow_null=True)
    begin_stated_at = Moment(allow_null=True)
    end_received_at = Moment(allow_null=True)
    end_stated_at = Moment(allow_null=True)
    stated_seconds = serializers.IntegerField(allow_null=True)
    declared_missing_at = Moment(allow_null=True)
    answer = serializers.SerializerMethodField()
    would_deny = serializers.ListField(child=serializers.CharField())
    facts = JsonObject()
    trace = Trace()
    top_ups = serializers.SerializerMethodField(help_text="Which top-ups it draws on, by their ids.")

    def get_top_ups(self, session: Session) -> list[int]:
        return [pk for pk in (session.minutes_top_up_id, session.sessions_top_up_id) if pk is not None]

    @extend_schema_field({"type": "object", "additionalProperties": {}, "nullable": True})
    def get_answer(self, session: Session) -> Any:
        return None if session.answer is None else sound(read_json(bytes(session.answer).decode()))


class SessionQuery(PageQuery):
    session_id = Text(required=False, help_text="LiveTok's id.")
    phone = Text(required=False, help_text="In any spelling. In an address, + is written %2B.")
    customer = Text(required=False, help_text="The customer's external id.")
    customer_id = serializers.IntegerField(
        required=False, min_value=0, max_value=LARGEST_ID, help_text="Frontdesk's id of the customer."
    )
    tier = Text(required=False, help_text="The slug of the tier at the time.")
    channel = Text(required=False)
    agent = Text(required=False, help_text="LiveTok's agent id.")
    state = Choice(required=False, choices=Session.State.values)
    reason = Choice(required=False, choices=[reason.value for reason in Reason])
    allowed = serializers.BooleanField(required=False, allow_null=True, default=None)
    flag = serializers.RegexField(
        r"^[a-z_]+$", max_length=LONGEST_TEXT, required=False, help_text="Such as `no_begin`."
    )
    test = serializers.BooleanField(default=False, help_text="True: test traffic alone. Otherwise none of it.")
    started_after = Moment(required=False, help_text="This time or later. In an address, + is written %2B.")
    started_before = Moment(required=False, help_text="Earlier than this time.")


class UsageQuery(StrictSerializer):
    phone = Text(required=False, help_text="One of the customer's numbers. In an address, + is written %2B.")
    external_id = Text(required=False, help_text="The customer's external id, instead of a number.")
    at = Moment(required=False, help_text="The day, week and month that hold this time. Default: now.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("phone" in attrs) == ("external_id" in attrs):
            raise serializers.ValidationError({"phone": ["Give either phone or external_id."]})
        return attrs


class UsedLimitSerializer(serializers.Serializer[dict[str, Any]]):
    """A limit in force and what is used of it. Messages are never reported to Frontdesk, so they have no use."""

    metric = serializers.CharField()
    channel = serializers.CharField(allow_null=True)
    agent = AgentId(allow_null=True)
    hard = serializers.BooleanField()
    origin = serializers.ChoiceField(choices=["tier", "override"])
    amount = serializers.IntegerField(allow_null=True, help_text="Null: unlimited.")
    used = serializers.FloatField(allow_null=True)
    left = serializers.FloatField(allow_null=True)


class PeriodUsageSerializer(serializers.Serializer[dict[str, Any]]):
    starts_at = LocalMoment(help_text="Local time with its offset.")
    resets_at = LocalMoment(help_text="Local time with its offset.")
    sessions = serializers.IntegerField(help_text="Without those that were drawn on top-ups.")
    call_minutes = serializers.FloatField(help_text="Recorded and held, unrounded; without what top-ups gave.")
    call_minutes_open = serializers.FloatField(help_text="The held part: of sessions that are open.")
    limits = serializers.DictField(
        child=serializers.IntegerField(), help_text="By metric, the smallest hard amount for all channels and agents."
    )
    all_limits = UsedLimitSerializer(many=True)


class TopUpUseSerializer(DrawnOnSerializer):
    """A top-up that is valid; what open sessions hold of it is used."""

    metric = serializers.CharField()


class UsageSerializer(serializers.Serializer[dict[str, Any]]):
    phone = serializers.CharField(allow_null=True)
    customer = serializers.CharField(allow_null=True, help_text="The customer's external id.")
    customer_id = serializers.IntegerField()
    tier = serializers.CharField()
    time_zone = serializers.CharField()
    at = Moment()
    concurrent_sessions = serializers.IntegerField()
    limits = serializers.DictField(child=serializers.IntegerField())
    all_limits = UsedLimitSerializer(many=True, help_text="Those without a period.")
    day = PeriodUsageSerializer()
    week = PeriodUsageSerializer()
    month = PeriodUsageSerializer()
    top_ups = TopUpUseSerializer(many=True, help_text="Those valid at this time, the first to be drawn on first.")


class AnswerSerializer(serializers.Serializer[dict[str, Any]]):
    """What LiveTok gets for a begin."""

    allowed = serializers.BooleanField()
    context = JsonObject()  # type: ignore[assignment]
    limits = serializers.DictField(child=serializers.IntegerField())


class ContextKeySerializer(serializers.Serializer[Any]):
    """Where a key of the agent's context is from."""

    key = serializers.CharField()
    source = serializers.CharField(  # type: ignore[assignment]
        help_text="`Frontdesk`, `tier`, `customer`, or the name of another system."
    )
    age_seconds = serializers.FloatField(allow_null=True, help_text="How long ago it was asked for; null: just now.")


class MissingContextSerializer(serializers.Serializer[Any]):
    source = serializers.CharField()  # type: ignore[assignment]
    why = serializers.CharField(help_text="In words.")


class PreviewSerializer(serializers.Serializer[Any]):
    answer = AnswerSerializer()
    reason = serializers.ChoiceField(choices=[reason.value for reason in Reason])
    trace = Trace()
    context_sources = ContextKeySerializer(many=True)
    context_missing = MissingContextSerializer(many=True, help_text="What other systems did not bring.")
