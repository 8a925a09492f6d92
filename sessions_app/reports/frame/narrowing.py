"""What a page's filters leave, in words: for paper, and for the filters' head where they are folded."""

from typing import Any

from django import forms


class NarrowingForm(forms.Form):
    """A form of filters. `narrowed_by` names the fields that leave a part of the page's rows; not the days'."""

    narrowed_by: tuple[str, ...] = ()

    @property
    def is_narrowed(self) -> bool:
        return any(self.cleaned_data[name] for name in self.narrowed_by)

    @property
    def narrowing(self) -> list[str]:
        """Such as "tier Standard": one for each filter that is set. A filter that cannot be used has none."""
        set_ones = [name for name in self.narrowed_by if self.cleaned_data.get(name)]
        return [_words(self.fields[name], self.cleaned_data[name]) for name in set_ones]


def _words(field: forms.Field, value: Any) -> str:
    label = str(field.label)
    name = label[:1].lower() + label[1:]
    if isinstance(field, forms.BooleanField):
        return name.removeprefix("only ")
    if isinstance(field, forms.ChoiceField):
        words = next(words for key, words in field.widget.choices if key == value)
        return f"{name} {words}"
    if isinstance(field, forms.DateField):
        return f"{name} {value:%a %-d %b %Y}"
    return f"{name} “{value}”"
