"""The API's addresses on customers and tiers, its description, and what answers everything else below /api/."""

from django.urls import path, re_path
from drf_spectacular.views import SpectacularSwaggerSplitView

from customers.api.base import NoSuchAddress
from customers.api.bulk import BulkCustomers
from customers.api.changes import CustomerChangeDetail, CustomerChanges, TierChangeDetail, TierChanges
from customers.api.customers import CustomerByExternalId, CustomerById, CustomerByPhone, CustomerList
from customers.api.description import Description
from customers.api.personal import EraseCustomer, ExportCustomer
from customers.api.tiers import TierDetail, TierList
from customers.api.top_ups import TopUpDetail, TopUpList

urlpatterns = [
    path("v1/tiers/", TierList.as_view()),
    path("v1/tiers/<slug:slug>/", TierDetail.as_view()),
    path("v1/tiers/<slug:slug>/changes/", TierChanges.as_view()),
    path("v1/tiers/<slug:slug>/changes/<int:change>/", TierChangeDetail.as_view()),
    path("v1/customers/", CustomerList.as_view()),
    path("v1/customers/bulk/", BulkCustomers.as_view()),
    path("v1/customers/<int:pk>/", CustomerById.as_view()),
    path("v1/customers/<int:pk>/tier-changes/", CustomerChanges.as_view()),
    path("v1/customers/<int:pk>/tier-changes/<int:change>/", CustomerChangeDetail.as_view()),
    path("v1/customers/<int:pk>/erase/", EraseCustomer.as_view()),
    path("v1/customers/<int:pk>/export/", ExportCustomer.as_view()),
    path("v1/customers/<int:pk>/top-ups/", TopUpList.as_view()),
    path("v1/customers/<int:pk>/top-ups/<int:top_up_id>/", TopUpDetail.as_view()),
    # As paths, since ids of a CRM and SIP addresses may hold slashes.
    path("v1/customers/by-external-id/<path:external_id>/", CustomerByExternalId.as_view()),
    path("v1/customers/by-phone/<path:number>/", CustomerByPhone.as_view()),
    path("schema/", Description.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="api-docs"),
    re_path("", NoSuchAddress.as_view()),
]
