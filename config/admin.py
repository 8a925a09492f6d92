"""The admin's own sign-in page."""

from django.contrib import admin

from config.sign_in import SignInForm

admin.site.login_form = SignInForm
