"""Texts with placeholders, filled by python-liquid: strict, bounded, and seeing plain data alone.

Bounds, of one text or of all strings of a body together: 20 KB of source, blocks 10 deep, 100 rounds of all loops,
64 KB of output, 64 KB of assigned values, a quarter of a second at work. There is no include, render, extends or
import: tags and filters are listed, not taken away. Nor raw, nor ranges such as (1..9), which the library spreads out.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import TextIO

from liquid import BoundTemplate, Environment, Mode, RenderContext, Token
from liquid.ast import Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import FilteredExpression, LoopExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags import assign_tag, case_tag, comment_tag, for_tag, if_tag, inline_comment_tag, unless_tag
from liquid.builtin.tags.for_tag import ForLoop
from liquid.builtin.tags.tablerow_tag import TableRow
from liquid.exceptions import LiquidError, LocalNamespaceLimitError, OutputStreamLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.static_analysis import Variable
from liquid.tag import Tag

from automations.texts.escapes import Escape, as_it_is
from automations.texts.filters import FILTERS, LARGEST_TEXT, TooMuch, add_filters, text_of
from automations.texts.names import GROUPS, LINKS, problem_with, sample_data, sound

LONGEST_SOURCE = 20 * 1024
LONGEST_MARK = 2000
MOST_ROUNDS = 100
MOST_SECONDS = 0.25
MOST_PROBLEMS = 10
TAGS = ("assign", "break", "case", "comment", "continue", "for", "if", "unless")
_MARK = re.compile(r"\{[{%]")
_SPACES = re.compile(r"\s{100}")
_RAW = re.compile(r"-?\s*(raw|doc)\b")
# What the library raises while it fills, and what Python does where a text asks for nonsense.
FAILURES = (LiquidError, TooMuch, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class TextError(ValueError):
    """A text that cannot be filled. `problems` are sentences for staff."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__(" ".join(self.problems))


@dataclass(frozen=True)
class Unescaped:
    """The value of a placeholder that stands alone, as it came."""

    value: object


@dataclass
class Budget:
    """What is left for one text, or for all strings of one body. Of one thread: its own time at work counts.

    By the clock on the wall, a busy machine would fail deliveries that ask for little.
    """

    rounds: int = MOST_ROUNDS
    size: int = LARGEST_TEXT
    until: float = field(default_factory=lambda: time.thread_time() + MOST_SECONDS)

    def check_time(self) -> None:
        if time.thread_time() > self.until:
            raise TooMuch("It takes too long to fill in.")

    def spend_rounds(self, rounds: int) -> None:
        self.rounds -= rounds
        if self.rounds < 0:
            raise TooMuch(f"Its loops make more than {MOST_ROUNDS} rounds in all. Give “for” a limit.")


class _Context(RenderContext):
    """Counts the rounds of all loops together, and looks at the clock with every filter, round and value."""

    __slots__ = ("budget", "escape")

    budget: Budget
    escape: Escape

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.budget.spend_rounds(length)

    def loop(self, namespace: Mapping[str, object], forloop: ForLoop | TableRow):  # type: ignore[no-untyped-def]
        forloop.it = self._timed(forloop.it)
        return super().loop(namespace, forloop)

    def _timed(self, items: Iterator[object]) -> Iterator[object]:
        for item in items:
            self.budget.check_time()
            yield item

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        self.budget.check_time()
        return super().filter(name, token)

    def assign(self, key: str, val: object) -> None:
        self.budget.check_time()
        super().assign(key, val)


class _OutputNode(output.OutputNode):
    """A placeholder: whatever it gives is escaped, but for links that Frontdesk itself makes."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, _Context)
        context.budget.check_time()
        text = sound(text_of(self.expression.evaluate(context)))
        return buffer.write(text if _is_link(self.expression) else context.escape(text))


class _Output(output.Output):
    node_class = _OutputNode


# The first three are the library's own parts: plain words, placeholders, and what it has no tag for.
_TAG_CLASSES: tuple[type[Tag], ...] = (
    content.Literal,
    _Output,
    illegal.Illegal,
    assign_tag.AssignTag,
    case_tag.CaseTag,
    comment_tag.CommentTag,
    for_tag.BreakTag,
    for_tag.ContinueTag,
    for_tag.ForTag,
    if_tag.IfTag,
    inline_comment_tag.InlineCommentTag,
    unless_tag.UnlessTag,
)


class _Environment(Environment):
    block_nesting_limit = 10
    local_namespace_limit = LARGEST_TEXT
    output_stream_limit = LARGEST_TEXT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in _TAG_CLASSES:
            self.add_tag(tag)
        add_filters(self)


_ENVIRONMENT = _Environment(tolerance=Mode.STRICT)


def check(text: str, secrets: Collection[str] | None = None) -> list[str]:
    """What keeps a text from being saved: sentences for staff, each with its line; nothing where it is sound.

    `secrets` are the names of those it may use as `secrets.NAME`; None where it may use none, as in a body.
    """
    try:
        template = _compiled(text, None if secrets is None else frozenset(secrets))
    except TextError as error:
        return error.problems
    # A context's keys are known only once there is a customer: what a sample lacks is no fault of the text.
    if _reads_context(template):
        return []
    try:
        _render(template, {**sample_data(), "secrets": dict.fromkeys(secrets or (), "secret")}, as_it_is, Budget())
    except TextError as error:
        return error.problems
    return []


def fill(
    text: str,
    data: Mapping[str, object],
    escape: Escape = as_it_is,
    *,
    secrets: Mapping[str, str] | None = None,
    budget: Budget | None = None,
) -> str:
    """The text with its placeholders filled from `data`, of `names.data_of`; each value goes through `escape`.

    Raises TextError for whatever `check` refuses, and for what goes beyond the bounds.
    """
    template = _compiled(text, None if secrets is None else frozenset(secrets))
    return _render(template, _seen(data, secrets), escape, budget or Budget())


def value_or_text(text: str, data: Mapping[str, object], escape: Escape, budget: Budget) -> str | Unescaped:
    """Like `fill`; but a text that is one placeholder and nothing else, not even a space, gives its value.

    A value has its own type and is not escaped yet, whatever texts are in it. Raises TextError as `fill` does.
    """
    template = _compiled(text, None)
    expression = _lone_expression(template)
    if expression is None or _is_link(expression):
        return _render(template, _seen(data, None), escape, budget)
    try:
        budget.check_time()
        return Unescaped(expression.evaluate(_context(template, _seen(data, None), escape, budget)))
    except FAILURES as error:
        raise TextError([_in_words(error)]) from error


def names_in(text: str) -> frozenset[str]:
    """The names that a text uses, such as `session.id`. Raises TextError for whatever `check` refuses."""
    analysis = _compiled(text, None).analyze(include_partials=False)
    return frozenset(".".join(str(part) for part in _path_of(name)[:2]) for name in _all(analysis.globals))


def _render(template: BoundTemplate, data: Mapping[str, object], escape: Escape, budget: Budget) -> str:
    buffer = LimitedStringIO(limit=budget.size, newline="")
    try:
        budget.check_time()
        template.render_with_context(_context(template, data, escape, budget), buffer)
    except FAILURES as error:
        raise TextError([_in_words(error)]) from error
    budget.size -= buffer.size
    return buffer.getvalue()


def _context(template: BoundTemplate, data: Mapping[str, object], escape: Escape, budget: Budget) -> _Context:
    context = _Context(template, globals=data)
    context.budget, context.escape = budget, escape
    return context


def _seen(data: Mapping[str, object], secrets: Mapping[str, str] | None) -> Mapping[str, object]:
    """Never a secret but where the caller names them, whatever the data holds."""
    return {**{group: data.get(group) for group in GROUPS}, **({"secrets": dict(secrets)} if secrets else {})}


@lru_cache(maxsize=256)
def _compiled(text: str, secrets: frozenset[str] | None) -> BoundTemplate:
    """The text, parsed and found sound. Raises TextError."""
    if len(text.encode("utf-8", "replace")) > LONGEST_SOURCE:
        raise TextError([f"A text has at most {LONGEST_SOURCE // 1024} KB."])
    _refuse_slow_marks(text)
    try:
        template = _ENVIRONMENT.from_string(sound(text))
        problems = _problems(template, text, secrets)
    except FAILURES as error:
        raise TextError([_in_words(error)]) from error
    if problems:
        raise TextError(problems)
    return template


def _refuse_slow_marks(text: str) -> None:
    """Raises TextError for marks that the library's pattern would take seconds over, or would take for plain words.

    Its time grows with the cube of what is not closed, so this looks first, once and straight through.
    """
    position = 0
    while mark := _MARK.search(text, position):
        line, opened = _line(text, mark.start()), mark.group()
        end = text.find("}}" if opened == "{{" else "%}", mark.end())
        inside = text[mark.end() : end]
        if end < 0 or _MARK.search(inside):
            raise TextError([f"Line {line}: “{opened}” is not closed."])
        if len(inside) > LONGEST_MARK or _SPACES.search(inside):
            raise TextError(
                [f"Line {line}: a placeholder has at most {LONGEST_MARK:,} characters, 99 spaces in a row."]
            )
        if opened == "{%" and (raw := _RAW.match(inside)):
            raise TextError([f"Line {line}: “{raw.group(1)}” is no tag. {_suggestion(raw.group(1), TAGS)}"])
        position = end + 2


def _problems(template: BoundTemplate, text: str, secrets: frozenset[str] | None) -> list[str]:
    analysis = template.analyze(include_partials=False)
    found: list[tuple[int, str]] = []
    for variable in _all(analysis.globals):
        problem = problem_with(_path_of(variable), secrets)
        if problem:
            found.append((variable.span.index, problem))
    for name, spans in analysis.filters.items():
        if name not in FILTERS:
            found += [(span.index, f"“{name}” is no filter. {_suggestion(name, FILTERS)}") for span in spans]
    for variable in _all(analysis.locals):
        if variable.segments[0] in GROUPS:
            found.append((variable.span.index, f"“{variable}” is a name of Frontdesk: assign to another."))
    for expression in _expressions(template):
        # A caller's value under such a name would pass for a link of ours, or for another's name.
        if isinstance(expression, LoopExpression) and expression.identifier in GROUPS:
            problem = f"“{expression.identifier}” is a name of Frontdesk: call what the loop goes through otherwise."
            found.append((expression.token.start_index, problem))
        if isinstance(expression, RangeLiteral):
            found.append((expression.token.start_index, "Ranges such as (1..9) are not for texts: loop over a list."))
    return [f"Line {_line(text, start)}: {problem}" for start, problem in sorted(set(found))[:MOST_PROBLEMS]]


def _all(variables: Mapping[str, list[Variable]]) -> Iterator[Variable]:
    for group in variables.values():
        yield from group


def _path_of(variable: Variable) -> tuple[object, ...]:
    """A part that another name gives, as in customer.context[session.id], stands as a star."""
    return tuple("*" if isinstance(part, list) else part for part in variable.segments)


def _nodes(nodes: Iterable[Node], context: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _nodes(node.children(context, include_partials=False), context)


def _expressions(template: BoundTemplate) -> Iterator[Expression]:
    waiting = [
        expression for node in _nodes(template.nodes, RenderContext(template)) for expression in node.expressions()
    ]
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting += expression.children()


def _lone_expression(template: BoundTemplate) -> Expression | None:
    nodes = template.nodes
    return nodes[0].expression if len(nodes) == 1 and isinstance(nodes[0], _OutputNode) else None


def _is_link(expression: Expression) -> bool:
    if not isinstance(expression, FilteredExpression) or expression.filters or not isinstance(expression.left, Path):
        return False
    return ".".join(str(part) for part in expression.left.path) in LINKS


def _reads_context(template: BoundTemplate) -> bool:
    paths = (_path_of(variable) for variable in _all(template.analyze(include_partials=False).globals))
    return any(path[:2] == ("customer", "context") for path in paths)


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(known))}."


def _line(text: str, start: int) -> int:
    return text.count("\n", 0, max(start, 0)) + 1


def _in_words(error: BaseException) -> str:
    if isinstance(error, OutputStreamLimitError):
        return "It makes more than 64 KB."
    if isinstance(error, LocalNamespaceLimitError):
        return "What it assigns is larger than 64 KB."
    if isinstance(error, TooMuch):
        return str(error)
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return "It is nested too deeply."
    if not isinstance(error, LiquidError):
        return f"It cannot be filled in: {error}."
    if error.token is None or error.token.start_index < 0:
        return f"{str(error.message)[:1].upper()}{str(error.message)[1:]}."
    line, token = _line(error.token.source, error.token.start_index), error.token
    if error.message == f"unexpected tag '{token.value}'":
        return f"Line {line}: “{token.value}” is no tag. {_suggestion(token.value, TAGS)}"
    return f"Line {line}: {error.message}."
