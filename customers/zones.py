"""In whose time days, weeks and months are counted. Times themselves are UTC everywhere."""

from zoneinfo import ZoneInfo

from django.conf import settings


def company_zone() -> ZoneInfo:
    return ZoneInfo(settings.TIME_ZONE)


def zone_named(name: str) -> ZoneInfo:
    """The zone that a customer's `time_zone` names; blank is the company's."""
    return ZoneInfo(name) if name else company_zone()
