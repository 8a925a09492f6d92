"""What customers are found by (`customers.search`): a copy of the truth, kept by whatever writes customers."""

from django.db import models

from customers.models.customers import Customer


class SearchKey(models.Model):
    """A folded word of what a customer is called or reached by, or a number's digits backwards.

    Both are found by their beginning, in an index that orders texts by their bytes on every database.
    """

    class Kind(models.TextChoices):
        WORD = "w"
        BACKWARDS = "b", "digits backwards"

    kind = models.CharField(max_length=1, choices=Kind)
    text = models.CharField(max_length=40)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="search_keys")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "text", "customer"],
                name="searchkey_unique",
                # Without them PostgreSQL's order is a language's, in which beginnings are not together.
                opclasses=["varchar_pattern_ops", "varchar_pattern_ops", "int8_ops"],
            )
        ]

    def __str__(self) -> str:
        return self.text
