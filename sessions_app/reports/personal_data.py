"""What is known of one customer: a page that says what erasing does and asks once more, and the file with all of it."""

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.downloads import TooManyDownloads, say_too_many
from customers.editing import is_erased
from customers.models import Customer
from customers.personal.erasing import CannotErase, begin_erasing
from customers.personal.exporting import export_file
from customers.personal.own import traces_of
from customers.personal.parts import parts
from sessions_app.reports.frame.pages import action, page

WORD = "erase"


class EraseForm(forms.Form):
    word = forms.CharField(
        label=f"To go on, type the word “{WORD}”",
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word.strip().lower() != WORD:
            raise forms.ValidationError(f"Type “{WORD}”, or go back: nothing is erased so far.")
        return word


@action("customers.erase_customer")
def erase(request: HttpRequest, pk: int) -> HttpResponseBase:
    """Say what goes and what stays; ask; erase."""
    customer = get_object_or_404(Customer.objects.select_related("erasure"), pk=pk)
    address = reverse("reports:customer", args=[pk])
    if is_erased(customer):
        return HttpResponseRedirect(address)
    form = EraseForm(request.POST if request.method == "POST" else None, use_required_attribute=False, label_suffix="")
    if form.is_valid():
        assert isinstance(request.user, User)
        try:
            begin_erasing(pk, request.user.get_username())
        except CannotErase as reason:
            form.add_error(None, str(reason))
        else:
            messages.success(request, "What names the customer is erased. The rest follows within about an hour.")
            return HttpResponseRedirect(address)
    traces = traces_of(customer)
    context = {
        "title": f"Erase {customer}",
        "customer": customer,
        "address": address,
        "rows": [row for part in parts() for row in part.counted(customer, traces)],
        "form": form,
    }
    return page(request, "reports/erase.html", context)


@action("customers.export_customer")
def export(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The file."""
    customer = get_object_or_404(Customer, pk=pk)
    try:
        return export_file(customer)
    except TooManyDownloads:
        return say_too_many(request)
