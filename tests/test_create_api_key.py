"""`manage.py create_api_key`."""

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from customers.keys import key_holder
from customers.models import ApiKey

pytestmark = pytest.mark.django_db


def test_it_prints_the_key_alone(capsys):
    call_command("create_api_key", "--name", "CRM", "--scope", "read", "--scope", "webhook")
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    holder = key_holder(printed.strip())
    assert holder is not None
    assert holder.scopes == {"read", "webhook"}
    assert ApiKey.objects.get().name == "CRM"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scope", "read"], "--name"),
        (["--name", "CRM"], "--scope"),
        (["--name", "CRM", "--scope", "write"], "invalid choice: 'write'"),
        (["--name", " ", "--scope", "read"], "--name: give 1 to 100 characters"),
        (["--name", "x" * 101, "--scope", "read"], "--name: give 1 to 100 characters"),
    ],
)
def test_it_says_what_is_wrong(arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("create_api_key", *arguments)
    assert not ApiKey.objects.exists()
