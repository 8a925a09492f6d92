"""The pages of signing in. There is no sign-up, and no e-mail address to manage."""

from allauth.account import views as account
from django.urls import include, path

from config.sign_in.views import AcceptInvitation, ChangePassword, oidc_callback, oidc_login, passkey

urlpatterns = [
    path("login/", account.login, name="account_login"),
    path("logout/", account.logout, name="account_logout"),
    path("reauthenticate/", account.reauthenticate, name="account_reauthenticate"),
    path("password/", ChangePassword.as_view(), name="account_change_password"),
    path("invitation/<uidb64>/<token>/", AcceptInvitation.as_view(), name="invitation"),
    path("oidc/login/", oidc_login, name="oidc_login"),
    path("oidc/callback/", oidc_callback, name="oidc_callback"),
    # Before allauth's own.
    path("second-factor/webauthn/login/", passkey),
    path("second-factor/", include("allauth.mfa.urls")),
    path("sessions/", include("allauth.usersessions.urls")),
]
