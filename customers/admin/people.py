"""Who may sign in, and their groups: Django's own pages, which refuse a stale form as ours do."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

from customers.admin.stale import StaleAwareAdmin

admin.site.unregister([User, Group])


@admin.register(User)
class PersonAdmin(StaleAwareAdmin, UserAdmin):
    pass


@admin.register(Group)
class PeopleGroupAdmin(StaleAwareAdmin, GroupAdmin):
    pass
