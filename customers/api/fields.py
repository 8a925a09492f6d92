"""Fields of the API: strict about types, so that nothing is guessed, and storable as they are."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from customers.editing import MOST_ROWS
from customers.lengths import LONGEST_TEXT
from customers.limits import MOST_AMOUNT, TOO_MUCH
from customers.models import Channel, Customer, Tier
from customers.models.fields import validate_context, validate_currency, validate_time_zone

LARGEST_INTEGER = 2**31 - 1
LONGEST_EXACT_INTEGER = 15  # digits that every JSON reader keeps
FIRST_YEAR, LAST_YEAR = 1970, 2200


class Text(serializers.CharField):
    """A JSON string; DRF itself refuses NUL characters and lone surrogates. Each has a largest length."""

    default_error_messages = {"invalid": "Give a text."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": LONGEST_TEXT} | kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Email(serializers.EmailField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Choice(serializers.ChoiceField):
    """The refused value is not repeated: it may be anything."""

    def to_internal_value(self, data: Any) -> str:
        if data == "" and self.allow_blank:
            return ""
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(f"Give one of: {', '.join(map(str, self.choices))}.")
        return data


class WholeNumber(serializers.IntegerField):
    """A JSON number without a fraction that fits its column."""

    default_error_messages = {"invalid": "Give a whole number."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 0, "max_value": LARGEST_INTEGER} | kwargs)

    def to_internal_value(self, data: Any) -> int:
        # To Python, True is a whole number.
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class Amount(WholeNumber):
    """How much a limit grants."""

    default_error_messages = {"max_value": TOO_MUCH}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_value": MOST_AMOUNT} | kwargs)


@extend_schema_field({"type": "integer", "enum": Tier.Rounding.values})
class Rounding(WholeNumber):
    def to_internal_value(self, data: Any) -> int:
        if super().to_internal_value(data) not in Tier.Rounding.values:
            raise serializers.ValidationError("Give 1 (exact), 6 or 60.")
        return int(data)


class Price(serializers.DecimalField):
    """A text such as "0.15", or a JSON number; answers have the text, which every JSON reader keeps exact."""

    default_error_messages = {"invalid": 'Give a price such as "0.15".'}

    def __init__(self, **kwargs: Any) -> None:
        digits: Any = {"max_digits": 9, "decimal_places": 4}  # as its column
        super().__init__(**digits, min_value=Decimal(0), coerce_to_string=True, **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class Currency(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=3, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        code = super().to_internal_value(data).upper()
        if code:
            try:
                validate_currency(code)
            except DjangoValidationError as error:
                raise serializers.ValidationError(error.messages) from error
        return code


class YesOrNo(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Give true or false.")
        return data


class Moment(serializers.DateTimeField):
    """ISO 8601; UTC where it has no offset, and always UTC with `Z` in answers."""

    default_error_messages = {"invalid": "Give a time in ISO 8601, such as 2024-03-15T10:30:00Z."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid")
        moment = super().to_internal_value(value)
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise serializers.ValidationError(f"Give a time between the years {FIRST_YEAR} and {LAST_YEAR}.")
        return moment


class LocalMoment(serializers.DateTimeField):
    """An answer's local time with its offset."""

    def to_representation(self, value: datetime) -> str:
        return value.isoformat()


class TimeZone(Text):
    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        try:
            if name:
                validate_time_zone(name)
        except (DjangoValidationError, ValueError) as error:
            raise serializers.ValidationError(
                "This is no time zone. Give a name such as Europe/Madrid, or an empty text for the company's."
            ) from error
        return name


@extend_schema_field({"type": "object", "additionalProperties": {}})
class Context(serializers.Field):
    """A JSON object that every database can store and LiveTok's agent can read."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        validate_context(data)
        return dict(data)

    def to_representation(self, value: Any) -> Any:
        return value


def agent_json(livetok_id: str | None) -> str | int | None:
    """An agent's id as LiveTok most likely writes it: a number where it is a canonical whole number."""
    if livetok_id is None or not (livetok_id.isascii() and livetok_id.isdecimal()):
        return livetok_id
    is_canonical = str(int(livetok_id[:LONGEST_EXACT_INTEGER])) == livetok_id
    return int(livetok_id) if is_canonical else livetok_id


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string", "maxLength": 255, "minLength": 1}]})
class AgentId(Text):
    """LiveTok's agent id, text or whole number; kept as text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, int) and not isinstance(data, bool):
            data = str(data)
        if not isinstance(data, str):
            raise serializers.ValidationError("Give LiveTok's agent id, a text or a whole number.")
        return super().to_internal_value(data)

    def to_representation(self, value: str | None) -> Any:
        return agent_json(value)


class ChannelSlug(Text):
    """The word that LiveTok sends as `kind`, in lower case whatever was sent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=Channel._meta.get_field("slug").max_length, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        return super().to_internal_value(data).lower()


class PeriodName(Choice):
    """Null, empty and absent mean: no period."""

    def to_representation(self, value: str) -> Any:
        return value or None


class TierSlug(Text):
    def to_representation(self, value: Tier | str) -> str:
        return value.slug if isinstance(value, Tier) else value


class ShortList(serializers.ListField):
    """A list of at most `MOST_ROWS`, which is asked before its entries are looked at."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MOST_ROWS, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > MOST_ROWS:
            self.fail("max_length", max_length=MOST_ROWS)
        return list(super().to_internal_value(data))


class Channels(ShortList):
    child = ChannelSlug()

    def to_representation(self, data: Any) -> list[str]:
        return [channel.slug for channel in data.all()]


class Numbers(ShortList):
    child = Text()

    def to_representation(self, data: Any) -> list[str]:
        return [number.number for number in data.all()]


class ExternalId(Text):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=Customer._meta.get_field("external_id").max_length, **kwargs)
