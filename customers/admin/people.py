"""Who may sign in, and their groups: Django's own pages, which refuse a stale form as ours do."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import models
from django.http import HttpRequest

from customers.admin.pages import without_related_links
from customers.admin.stale import StaleAwareAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(StaleAwareAdmin, UserAdmin):
    def formfield_for_dbfield(self, db_field: models.Field, request: HttpRequest, **kwargs: Any) -> Any:
        return without_related_links(super().formfield_for_dbfield(db_field, request, **kwargs))


@admin.register(Group)
class PeopleGroupAdmin(StaleAwareAdmin, GroupAdmin):
    pass
