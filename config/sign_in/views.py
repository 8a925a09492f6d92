"""The page that an invitation leads to."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.http import HttpResponse
from django.urls import reverse_lazy

from config.models import SignInEvent
from config.sign_in.log import note


class AcceptInvitation(PasswordResetConfirmView):
    """Sets a password for whoever has the link; it works once. Second factors are asked for at the sign-in as ever."""

    template_name = "sign_in/invitation.html"
    success_url = reverse_lazy("account_login")

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        note(SignInEvent.What.PASSWORD_CHANGED, form.user, self.request, "by an invitation")
        messages.success(self.request, "Your password is set. Sign in with it.")
        return response
