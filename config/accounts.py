"""Staff accounts in the admin: only superusers make superusers, or touch one. How they sign in, and invitations."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse

from config.models import SignInEvent
from config.sign_in.inviting import InvitationError, invite
from config.sign_in.log import note
from config.sign_in.resetting import reset_factors, resetting_told
from customers.admin.people import PersonAdmin


class AccountAdmin(PersonAdmin):
    list_display = ("username", "email", "first_name", "last_name", "is_staff", "has_factor", "last_login")
    actions = ("send_invitations", "reset_second_factors")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return (
            super()
            .get_queryset(request)
            .annotate(_has_factor=Exists(Authenticator.objects.filter(user=OuterRef("pk"))))
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: with an account goes who made its changes. Switched off, it may not sign in any more."""
        return False

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """As Django has it. Whose password somebody else set finds that under Sign-ins."""
        account = self.get_object(request, unquote(id))
        response = super().user_change_password(request, id, form_url)
        if account is not None and User.objects.get(pk=account.pk).password != account.password:
            note(SignInEvent.What.PASSWORD_CHANGED, account, request, f"by {request.user.get_username()}")
        return response

    @admin.display(description="second factor", boolean=True)
    def has_factor(self, account: Any) -> bool:
        return bool(account._has_factor)

    @admin.action(description="Send an invitation to set a password", permissions=["change"])
    def send_invitations(self, request: HttpRequest, accounts: QuerySet[User]) -> None:
        for account in self._touched(request, accounts):
            try:
                invite(account, request.user.get_username())
            except InvitationError as error:
                self.message_user(request, f"Not invited: {error}", messages.ERROR)
            else:
                self.log_change(request, account, "Invited by mail.")
                self.message_user(request, f"Invited “{account}” by a mail to {account.email}.", messages.SUCCESS)

    @admin.action(description="Take away second factors that were lost", permissions=["change"])
    def reset_second_factors(self, request: HttpRequest, accounts: QuerySet[User]) -> None:
        for account in self._touched(request, accounts):
            if account.pk == request.user.pk:
                self.message_user(request, "Your own second factor is removed under “Your sign-in”.", messages.ERROR)
            elif reset_factors(account, request.user.get_username(), request):
                self.log_change(request, account, "Second factors taken away.")
                self.message_user(request, resetting_told(account), messages.SUCCESS)
            else:
                self.message_user(request, f"“{account}” has no second factor.", messages.INFO)

    def _touched(self, request: HttpRequest, accounts: QuerySet[User]) -> list[User]:
        """Those chosen that somebody may touch; of others it is said that they were left out."""
        chosen = list(accounts)
        allowed = [account for account in chosen if self.has_change_permission(request, account)]
        for account in chosen:
            if account not in allowed:
                self.message_user(request, f"“{account}” is a superuser, whom only superusers touch.", messages.ERROR)
        return allowed


def _may_touch(request: HttpRequest, account: Any) -> bool:
    return account is None or request.user.is_superuser or not account.is_superuser


admin.site.unregister(User)
admin.site.register(User, AccountAdmin)
# What pages call the apps.
apps.get_app_config("auth").verbose_name = "Accounts"
apps.get_app_config("config").verbose_name = "Sign-ins"
