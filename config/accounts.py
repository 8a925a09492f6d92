"""Staff accounts in the admin: only superusers make superusers, or touch one."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest

from customers.admin.people import PersonAdmin


class AccountAdmin(PersonAdmin):
    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: with an account goes who made its changes. Switched off, it may not sign in any more."""
        return False


def _may_touch(request: HttpRequest, account: Any) -> bool:
    return account is None or request.user.is_superuser or not account.is_superuser


admin.site.unregister(User)
admin.site.register(User, AccountAdmin)
# What pages call the app.
apps.get_app_config("auth").verbose_name = "Accounts"
