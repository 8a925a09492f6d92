"""The forms of the sign-in pages: allauth's, in our words, and with the one way of counting guesses."""

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm, LoginForm
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms

from config.sign_in.guesses import count_code, note_failure


class SignInForm(LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = "Name"
        for name in ("login", "password"):
            self.fields[name].widget.attrs.pop("placeholder", None)
        self.fields["password"].help_text = ""
        self.fields["login"].widget.attrs["autofocus"] = True


class PasswordForm(ChangePasswordForm):
    """The password of now is guessed no oftener here than at the sign-in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {"oldpassword": "Current password", "password1": "New password", "password2": "New password again"}
        for name, label in labels.items():
            self.fields[name].label = label
            self.fields[name].widget.attrs.pop("placeholder", None)
        self.fields["oldpassword"].help_text = ""

    def clean_oldpassword(self) -> str:
        password: str = self.cleaned_data["oldpassword"]
        if not get_adapter().reauthenticate(self.user, password):
            raise get_adapter().validation_error("enter_current_password")
        return password


class _CountedCode(forms.Form):
    """Each code counts as a wrong one until it was right."""

    user: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attrs = self.fields["code"].widget.attrs
        attrs.pop("placeholder", None)
        attrs |= {"autofocus": True, "inputmode": "numeric"}

    def clean_code(self) -> str:
        request, name = context.request, self.user.get_username()
        usage = count_code(request, name)
        try:
            code: str = super().clean_code()  # type: ignore[misc]
        except forms.ValidationError:
            note_failure(name, str(request.META.get("REMOTE_ADDR", "")))
            raise
        except ImmediateHttpResponse:  # the code was not looked at
            usage.rollback()
            raise
        usage.rollback()
        return code


class KeyForm(AddWebAuthnForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        alone = self.fields["passwordless"]
        alone.label = "Sign in with it alone, as a passkey"
        alone.help_text = "No password is asked for then: the key itself asks for a PIN, a finger or a face."


class CodeForm(_CountedCode, AuthenticateForm):
    pass


class CodeAgainForm(_CountedCode, ReauthenticateForm):
    pass


class AppForm(_CountedCode, ActivateTOTPForm):
    pass
