"""One exception for each outcome, and what the outcome means: exit code, and whether trying again can help."""

from __future__ import annotations

from typing import ClassVar

MOST_CHARS = 400


def printable(words: str) -> str:
    """What a terminal or a log can show without harm, of a bounded length."""
    return "".join(c for c in words if c == "\n" or c.isprintable())[:MOST_CHARS]


class SealiftError(Exception):
    """What went wrong, and what to do about it. It never holds a token or a value of a row."""

    outcome: ClassVar[str] = "failed"
    """The outcome's name in the daemon's answers."""
    exit_code: ClassVar[int] = 1
    """What ``sealift trigger --wait`` ends with."""
    retry: ClassVar[bool] = False
    """Whether the same request can succeed later."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str | None = None,
        run_id: str | None = None,
        problem: str | None = None,
    ) -> None:
        super().__init__(printable(message))
        self.remedy = printable(remedy) if remedy else None
        """The step that mends it, where one is known."""
        self.run_id = printable(run_id) if run_id else None
        """The run it is about, where there is one."""
        self.problem = printable(problem) if problem else None
        """The word of the problem that the daemon answered with: ``run-active``, ``run-over`` …"""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\nhelp: {self.remedy}" if self.remedy else message


class Failed(SealiftError):
    """Failed for good: doing the same again fails again."""


class Usage(SealiftError):
    """The daemon does not understand the request."""

    outcome, exit_code = "usage", 2


class NotFound(Usage):
    """There is no such pipeline or run."""


class BadData(SealiftError):
    """The data broke its contract."""

    outcome, exit_code = "data", 65


class Unreachable(SealiftError):
    """The daemon cannot be reached, or what answers is none."""

    outcome, exit_code, retry = "unreachable", 69, True


class Temporary(SealiftError):
    """A passing fault."""

    outcome, exit_code, retry = "temporary", 75, True


class Conflict(Temporary):
    """The pipeline has an active run (``run_id``, unless it is another process's), or the run is over."""


class NotOver(Temporary):
    """The run was not over within the time; it goes on."""


class Held(SealiftError):
    """Policy or an approval stands in the way."""

    outcome, exit_code = "held", 76


class Denied(SealiftError):
    """The token's role may not do this."""

    outcome, exit_code = "denied", 77


class Unauthorized(Denied):
    """The token is unknown or has expired."""


class Invalid(SealiftError):
    """A document, the configuration, or a setting of the client is invalid."""

    outcome, exit_code = "invalid", 78


class Cancelled(SealiftError):
    """The run was stopped on request."""

    outcome, exit_code, retry = "cancelled", 143, True


_KINDS = (Failed, Usage, BadData, Unreachable, Temporary, Held, Denied, Invalid, Cancelled)
_BY_OUTCOME: dict[str, type[SealiftError]] = {kind.outcome: kind for kind in _KINDS}


def of_word(word: str) -> type[SealiftError] | None:
    """The exception of a problem that is named by an outcome; ``None`` for others, of which the status says more."""
    return _BY_OUTCOME.get(word)


def of_outcome(outcome: str) -> type[SealiftError] | None:
    """The exception of an outcome; ``None`` for ``done``. A word that is not known counts as failed."""
    return None if outcome == "done" else _BY_OUTCOME.get(outcome, Failed)
