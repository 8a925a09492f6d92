"""The pages of signing in. There is no sign-up, no e-mail address to manage, and no account of elsewhere to connect."""

from allauth.account import views as account
from django.urls import include, path

from config.sign_in.views import AcceptInvitation

urlpatterns = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/", account.password_change, name="account_change_password"),
    path("invitation/<uidb64>/<token>/", AcceptInvitation.as_view(), name="invitation"),
    path("second-factor/", include("allauth.mfa.urls")),
    path("sessions/", include("allauth.usersessions.urls")),
]
