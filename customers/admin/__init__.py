"""The admin's pages of customers, one module per subject."""

from django.contrib import admin

from customers.admin import changes, channels, customers, erasures, keys, people, policy, tiers

admin.site.site_header = admin.site.site_title = "Frontdesk"
admin.site.index_title = "Overview"

__all__ = ["changes", "channels", "customers", "erasures", "keys", "people", "policy", "tiers"]
