"""The pages that import customers from CSV and XLSX, with a preview, and export them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from import_export.admin import ImportExportMixin
from import_export.forms import ConfirmImportForm, ExportForm, ImportForm
from import_export.results import RowResult

from customers.admin.pages import admin_page
from customers.downloads import TooManyDownloads, one_of_few, say_too_many
from customers.importing.formats import CustomerCsv, CustomerXlsx, FileRows
from customers.importing.resource import CustomerResource
from customers.importing.results import MOST_LISTED, ImportResult
from customers.importing.storing import import_rows
from customers.importing.tables import UnreadableFile
from customers.importing.uploads import KeptUpload, UnknownUpload
from customers.importing.workbooks import NOT_READABLE
from customers.masking import may_see_numbers

LARGEST_FILE = 5 * 1024 * 1024
GONE = "The uploaded file is gone: previews are kept for a day. Choose the file again."


class CustomerImportForm(ImportForm):
    def clean_import_file(self) -> Any:
        upload = self.cleaned_data["import_file"]
        if upload.size > LARGEST_FILE:
            raise forms.ValidationError("The file is larger than 5 MB. Divide it, or use the API.")
        return upload


FORMATS = [CustomerCsv, CustomerXlsx]


class CustomerConfirmForm(ConfirmImportForm):
    # The library's field takes anything; the preview sends the format's place along.
    format = forms.ChoiceField(choices=[(str(place), "") for place in range(len(FORMATS))], widget=forms.HiddenInput)


class ChangedMeanwhile(Exception):
    """Rows of a confirmed import would change more than its preview had shown; nothing is stored."""

    def __init__(self, result: ImportResult) -> None:
        super().__init__(result)
        self.result = result


class CustomerImportMixin(ImportExportMixin):
    resource_classes = [CustomerResource]
    import_formats = FORMATS
    export_formats = FORMATS
    import_form_class = CustomerImportForm
    confirm_form_class = CustomerConfirmForm
    export_form_class = ExportForm
    tmp_storage_class = KeptUpload
    import_template_name = "admin/customers/customer/import.html"
    export_template_name = "admin/customers/customer/export.html"
    skip_admin_log = True  # each piece brings its own

    def has_import_permission(self, request: HttpRequest) -> bool:
        """The preview shows what numbers were before."""
        return may_see_numbers() and self.has_add_permission(request) and self.has_change_permission(request)

    # Only this makes a file; the rest of an export is its form.
    _do_file_export = one_of_few(ImportExportMixin._do_file_export)

    def export_action(self, request: HttpRequest) -> HttpResponse:
        try:
            return super().export_action(request)
        except TooManyDownloads:
            return say_too_many(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_import_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"most_listed": MOST_LISTED}

    def add_data_read_fail_error_to_form(self, form: forms.Form, e: Exception) -> None:
        form.add_error("import_file", str(e) if isinstance(e, UnreadableFile) else NOT_READABLE)

    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """A file waits only for its confirmation; one that is refused, or that breaks the page, is removed."""
        is_waiting = False
        try:
            response = super().import_action(request, **kwargs)
            name = getattr(request.FILES.get("import_file"), "tmp_storage_name", None)
            if name and "confirm_form" in response.context_data:
                KeptUpload(name=name).keep_shown(response.context_data["result"].marks)
                is_waiting = True
        finally:
            name = getattr(request.FILES.get("import_file"), "tmp_storage_name", None)
            if name and not is_waiting:
                KeptUpload(name=name).remove()
        return response

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        form = self.create_confirm_form(request)
        try:
            if request.method == "POST" and self.has_import_permission(request) and not form.is_valid():
                text = "This is not what the preview asked for. Choose the file again."
            else:
                return super().process_import(request, **kwargs)
        except ChangedMeanwhile as changed:
            return self._preview_again(request, form, changed.result)
        except FileNotFoundError:
            if outcome := KeptUpload(name=form.cleaned_data["import_file_name"]).outcome():
                self.message_user(request, outcome, messages.SUCCESS)
                return HttpResponseRedirect("../")
            text = GONE
        except UnknownUpload:
            text = GONE
        except UnreadableFile as error:
            KeptUpload(name=form.cleaned_data["import_file_name"]).remove()
            text = str(error)
        self.message_user(request, text, messages.ERROR)
        return HttpResponseRedirect("../import/")

    def process_dataset(self, dataset: FileRows, form: forms.Form, request: HttpRequest, **kwargs: Any) -> ImportResult:
        assert isinstance(request.user, User)
        upload = KeptUpload(name=form.cleaned_data["import_file_name"])
        result = import_rows(dataset, form.cleaned_data["original_file_name"], request.user, upload.shown())
        if result.not_shown and not result.problems:
            raise ChangedMeanwhile(result)
        if not result.problems:
            upload.keep_outcome(_outcome(result))
        return result

    def _preview_again(self, request: HttpRequest, form: forms.Form, result: ImportResult) -> HttpResponse:
        """Under another name: what another page shows of the file is not confirmed by this."""
        before = KeptUpload(name=form.cleaned_data["import_file_name"])
        upload = KeptUpload()
        upload.save(before.read())
        upload.keep_shown(result.marks)
        before.remove()
        confirm_form = self.confirm_form_class(initial={**form.cleaned_data, "import_file_name": upload.name})
        context = {
            **self.get_import_context_data(),
            "title": "Import",
            "result": result,
            "confirm_form": confirm_form,
        }
        return admin_page(request, self.import_template_name, context, of=self)

    def process_result(self, result: ImportResult, request: HttpRequest) -> HttpResponse:
        """What was good in the preview may not be any more, and storing may break off; then the page says so."""
        if not result.problems:
            return super().process_result(result, request)
        context = {
            **self.get_import_context_data(),
            "title": "Import",
            "result": result,
            "form": self.create_import_form_again(request),
        }
        return admin_page(request, self.import_template_name, context, of=self)

    def add_success_message(self, result: ImportResult, request: HttpRequest) -> None:
        self.message_user(request, _outcome(result), messages.SUCCESS)

    def create_import_form_again(self, request: HttpRequest) -> forms.Form:
        form: forms.Form = self.get_import_form_class(request)(
            self.get_import_formats(), self.get_import_resource_classes(request)
        )
        return form


def _outcome(result: ImportResult) -> str:
    """In the preview's words."""
    new, changed, unchanged = (
        result.totals[kind]
        for kind in (RowResult.IMPORT_TYPE_NEW, RowResult.IMPORT_TYPE_UPDATE, RowResult.IMPORT_TYPE_SKIP)
    )
    return f"Import finished: {new} new, {changed} changed, {unchanged} unchanged."
