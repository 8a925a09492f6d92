"""The report page of `doctor`."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from config.doctor.checks import examine
from config.doctor.findings import worst_of
from config.doctor.installation import without_names
from sessions_app.reports.frame.pages import page, report_of_primary

SUMMARIES = {
    "ok": "All is well.",
    "look": "Something should be looked at.",
    "bad": "Something is wrong and should be mended now.",
}


@report_of_primary
def health(request: HttpRequest) -> HttpResponseBase:
    """How this installation stands."""
    findings = examine()
    if not request.user.has_perm("customers.view_apikey"):
        findings = without_names(findings)
    worst = worst_of(findings)
    context = {"title": "Health", "findings": findings, "worst": worst, "summary": SUMMARIES[worst]}
    return page(request, "reports/health.html", context)
