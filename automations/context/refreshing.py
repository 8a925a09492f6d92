"""The worker asks again for what was used although it is stale, so that no caller waits for it."""

from collections.abc import Callable

from automations.context.asking import ask
from automations.context.breaker import breaker
from automations.context.cache import Asked
from automations.context.provider import active_recipes, data_for
from automations.context.recipes import NothingToAskBy, Recipe, address_for
from automations.facts import customer_values
from automations.models import CachedContext
from automations.texts.liquid import TextError
from sessions_app.database.pieces import bulk_transaction

MOST_AT_ONCE = 50


def refresh_contexts(should_stop: Callable[[], bool] = lambda: False) -> int:
    """Ask again, those first that wait longest. Returns for how many. Harmless to repeat."""
    wanted = CachedContext.objects.filter(wanted_at__isnull=False).order_by("wanted_at")
    rows = list(wanted.select_related("customer")[:MOST_AT_ONCE])
    recipes = {recipe.source_id: recipe for recipe in active_recipes()} if rows else {}
    made = 0
    for row in rows:
        if should_stop():
            break
        if _taken_up(row):
            recipe = recipes.get(row.source_id)
            made += recipe is not None and _refresh(row, recipe)
    return made


def _taken_up(row: CachedContext) -> bool:
    """Whether no other worker was first. Where we die over it, the next begin that uses it asks for it again."""
    with bulk_transaction():
        mine = CachedContext.objects.filter(pk=row.pk, wanted_at=row.wanted_at)
        return bool(mine.update(wanted_at=None))


def _refresh(row: CachedContext, recipe: Recipe) -> bool:
    asked = Asked(row.caller, row.customer_id, row.known)
    try:
        address = address_for(recipe, data_for(customer_values(row.customer), asked))
    except (NothingToAskBy, TextError):
        return False
    if not breaker.may_ask(recipe.mark):
        return False
    ask(recipe, asked, address)
    return True
