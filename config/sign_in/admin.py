"""Sign-ins in the admin, for administrators."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin

from config.models import FailedSignIns, SignInEvent
from sessions_app.admin.lists import LongListAdmin

# allauth's own pages would let superusers write by hand what each person sets up, and what OIDC_* says.
for model in (EmailAddress, Authenticator, UserSession, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(model)


@admin.register(SignInEvent)
class SignInEventAdmin(LongListAdmin):
    list_display = ["at", "account", "what", "details", "address", "browser"]
    list_filter = ["what", "account"]
    list_select_related = ["account"]
    fields = ("at", "account", "what", "details", "address", "browser")
    ordering = ["-pk"]


@admin.register(FailedSignIns)
class FailedSignInsAdmin(LongListAdmin):
    list_display = ["hour", "count"]
    fields = ("hour", "count")
    ordering = ["-hour"]
