"""Lists that may have millions of rows: what they look up, and how far they count."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from customers.admin.pages import ReadOnlyAdmin, ShortPaginator


class LongListAdmin(ReadOnlyAdmin):
    """A list that may have millions of rows: no exact counts, no facets, search by indexes alone."""

    paginator = ShortPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    heavy_fields: list[str] = []

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        is_list = request.resolver_match is not None and str(request.resolver_match.url_name).endswith("_changelist")
        # One object's page shows them, and would ask for each again.
        return rows.defer(*self.heavy_fields) if is_list else rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        return (queryset.filter(self.found_by(term)) if term else queryset), False

    def found_by(self, term: str) -> Q:
        """The rows that a search finds: by what has an index alone."""
        return Q()
