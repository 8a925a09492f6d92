"""The system checks on the environment's settings."""

import pytest
from django.core.checks import run_checks


def found(settings, **values) -> list[str]:
    for name, value in values.items():
        setattr(settings, name, value)
    return [message.id for message in run_checks(include_deployment_checks=True) if message.id.startswith("frontdesk")]


def test_good_settings_are_clean(settings):
    good = {"PHONE_REGION": "GB", "WEBHOOK_SECRET": "x" * 16, "EVENT_RETENTION_DAYS": 1, "EVENT_RETENTION_MB": 1}
    assert found(settings, IS_HTTPS=True, **good) == []


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("PHONE_REGION", "UK", "frontdesk.E001"),
        ("EVENT_RETENTION_DAYS", 0, "frontdesk.E002"),
        ("EVENT_RETENTION_MB", 0, "frontdesk.E004"),
        ("WEBHOOK_SECRET", "x" * 15, "frontdesk.W001"),
        ("SECRET_KEY", "short", "frontdesk.E003"),
        ("SECRET_KEY", "abcd" * 20, "frontdesk.E003"),
        ("IS_HTTPS", False, "frontdesk.W002"),
        ("HAS_SENDER", False, "frontdesk.W003"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(settings, name, value, check):
    settings.IS_HTTPS = True
    assert found(settings, **{name: value}) == [check]
    message = next(message for message in run_checks(include_deployment_checks=True) if message.id == check)
    assert {"IS_HTTPS": "PUBLIC_URL", "HAS_SENDER": "EMAIL_FROM"}.get(name, name) in message.msg
    assert message.hint
