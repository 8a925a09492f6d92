"""The pages that import customers from CSV and XLSX, with a preview, and export them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from import_export.admin import ImportExportMixin
from import_export.forms import ExportForm, ImportForm

from customers.importing import CustomerCsv, CustomerResource, CustomerXlsx, KeptUpload, UnknownUpload

LARGEST_FILE = 5 * 1024 * 1024


class CustomerImportForm(ImportForm):
    def clean_import_file(self) -> Any:
        upload = self.cleaned_data["import_file"]
        if upload.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 5 MB. Divide it, or use the API.")
        return upload


class CustomerImportMixin(ImportExportMixin):
    resource_classes = [CustomerResource]
    import_formats = [CustomerCsv, CustomerXlsx]
    export_formats = [CustomerCsv, CustomerXlsx]
    import_form_class = CustomerImportForm
    export_form_class = ExportForm
    tmp_storage_class = KeptUpload
    import_template_name = "admin/customers/customer/import.html"
    export_template_name = "admin/customers/customer/export.html"

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def add_data_read_fail_error_to_form(self, form: forms.Form, e: Exception) -> None:
        form.add_error(
            "import_file", "The file could not be read. Save it as CSV in UTF-8 or as XLSX, and choose that format."
        )

    def get_import_data_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_import_data_kwargs(**kwargs), "rollback_on_validation_errors": True}

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            return super().process_import(request, **kwargs)
        except (FileNotFoundError, UnknownUpload):
            text = "The uploaded file is gone: previews are kept for a day. Choose the file again."
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect("../import/")

    def process_result(self, result: Any, request: HttpRequest) -> HttpResponse:
        """What was sound in the preview may not be any more; then nothing was imported, and this says why."""
        if not result.has_errors() and not result.has_validation_errors():
            return super().process_result(result, request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Import",
            "opts": self.opts,
            "result": result,
            "form": self.create_import_form_again(request),
        }
        return TemplateResponse(request, self.import_template_name, context)

    def create_import_form_again(self, request: HttpRequest) -> forms.Form:
        form: forms.Form = self.get_import_form_class(request)(
            self.get_import_formats(), self.get_import_resource_classes(request)
        )
        return form
