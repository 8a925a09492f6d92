"""What a check found: a line that says how it stands, what was found, and what to do."""

from dataclasses import asdict, dataclass

OK, LOOK, BAD = "ok", "look", "bad"
EXIT_CODES = {OK: 0, LOOK: 1, BAD: 2}


@dataclass(frozen=True)
class Finding:
    """`state` is "ok", "look" (somebody should, some day) or "bad" (mend it now). `remedy` is blank where it is ok."""

    check: str
    state: str
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def worst_of(findings: list[Finding]) -> str:
    return max((finding.state for finding in findings), key=EXIT_CODES.__getitem__, default=OK)


def judged(check: str, found: str, *, bad: bool = False, look: bool = False, remedy: str) -> Finding:
    """The remedy is said where there is something to mend."""
    state = BAD if bad else LOOK if look else OK
    return Finding(check, state, found, remedy if state != OK else "")
