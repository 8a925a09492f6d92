"""The pages of signing in that are not allauth's alone."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account.views import PasswordChangeView
from allauth.mfa.webauthn.views import login_webauthn
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse, reverse_lazy
from django.views.decorators.http import require_GET
from requests import RequestException

from config.models import SignInEvent
from config.sign_in.adapters import issuer_failed, not_signed_in
from config.sign_in.guesses import count_begin
from config.sign_in.issuer import IssuerAdapter
from config.sign_in.log import note

View = Callable[..., HttpResponseBase]
# As long as a begun sign-in may take; a row in the database is kept for it.
BEGUN_SECONDS = 15 * 60


class AcceptInvitation(PasswordResetConfirmView):
    """Sets a password for whoever has the link; it works once. Second factors are asked for at the sign-in as ever."""

    template_name = "sign_in/invitation.html"
    success_url = reverse_lazy("account_login")

    def get_user(self, uidb64: str) -> Any:
        """None, as for a link that is used up, where the account may not sign in any more."""
        user: Any = super().get_user(uidb64)
        return user if user is not None and user.is_active and user.is_staff else None

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        note(SignInEvent.What.PASSWORD_CHANGED, form.user, self.request, "by an invitation")
        messages.success(self.request, "Your password is set. Sign in with it.")
        return response


class ChangePassword(PasswordChangeView):
    """For whoever has one."""

    success_url = reverse_lazy("mfa_index")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated and not request.user.has_usable_password():
            messages.info(request, "Your account has no password: you sign in without one.")
            return HttpResponseRedirect(reverse("mfa_index"))
        return super().dispatch(request, *args, **kwargs)


def begun_by_few(view: View) -> View:
    """For views that keep a row for whoever begins to sign in: so many in a time of one address, and not for long."""

    @wraps(view)
    def counted(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated or request.method not in ("GET", "HEAD"):
            return view(request, *args, **kwargs)
        try:
            count_begin(request)
        except ValidationError as refused:
            return not_signed_in(request, refused.messages[0], status=429)
        response = view(request, *args, **kwargs)
        if not request.user.is_authenticated and request.session.session_key:
            request.session.set_expiry(BEGUN_SECONDS)
        return response

    return counted


passkey = begun_by_few(login_webauthn)


def _with_issuer(view_class: Any) -> View:
    @require_GET
    def view(request: HttpRequest) -> HttpResponseBase:
        if not settings.OIDC.issuer:
            raise Http404("No OIDC_ISSUER is set.")
        try:
            answer: HttpResponseBase = view_class.adapter_view(IssuerAdapter(request, settings.OIDC.issuer))(request)
        # allauth takes it for granted that an issuer answers by the book.
        except (OAuth2Error, RequestException, LookupError, TypeError, ValueError, AttributeError) as error:
            answer = issuer_failed(request, None, error)
        return answer

    return view


oidc_login = begun_by_few(_with_issuer(OAuth2LoginView))
oidc_callback = _with_issuer(OAuth2CallbackView)
