"""LiveTok's addresses, each with and without a trailing slash."""

from django.urls import re_path

from sessions_app.webhook.views import LiveTokWebhook

urlpatterns = [
    re_path(r"^webhooks/livetok/?$", LiveTokWebhook.as_view(), name="webhook"),
    re_path(r"^webhooks/livetok/begin/?$", LiveTokWebhook.as_view(route="begin"), name="webhook-begin"),
    re_path(r"^webhooks/livetok/end/?$", LiveTokWebhook.as_view(route="end"), name="webhook-end"),
]
