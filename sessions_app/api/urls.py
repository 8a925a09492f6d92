"""The API's addresses on what happened."""

from django.urls import path, re_path

from sessions_app.api.preview import DecisionPreview
from sessions_app.api.sessions import SessionDetail, SessionList
from sessions_app.api.usage import UsageView

urlpatterns = [
    path("sessions/", SessionList.as_view()),
    path("sessions/<int:pk>/", SessionDetail.as_view()),
    path("usage/", UsageView.as_view()),
    re_path(r"^decisions/preview/?$", DecisionPreview.as_view()),
]
