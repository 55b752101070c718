"""The error tree: the first question is always whether a retry can help.

MlhealthError
├── PermanentError              the same call fails again: a person must change something
│   ├── ConfigError             a configuration, rules or schema file is wrong
│   ├── DataError               a table does not fit its schema, or is too small to speak
│   ├── BaselineError           a baseline is missing, damaged or of another schema
│   ├── NotFoundError           what was asked for is not in the store
│   ├── ConflictError           the store holds something that contradicts the request
│   └── AuthError               no token, a wrong token or a token without the right
└── RecoverableError            the same call may succeed later
    ├── SourceUnavailable       the broker or inbox does not answer
    ├── StoreUnavailable        the database does not answer or is read-only
    ├── ScorerUnavailable       the deployed model does not answer in time
    └── DeliveryError           a receiver or training service asks to be tried again

Every message is one line that says what is wrong, where, and what to do.
"""

from __future__ import annotations


class MlhealthError(Exception):
    """Root of every error that mlhealth raises on purpose."""


class PermanentError(MlhealthError):
    """The same call would fail again."""


class RecoverableError(MlhealthError):
    """The same call may succeed later."""


class ConfigError(PermanentError, ValueError):
    """A configuration, rules or schema file is wrong; names the file, the line or key, and the remedy."""


class DataError(PermanentError, ValueError):
    """A table does not fit its schema, or is too small for what was asked."""


class BaselineError(PermanentError, ValueError):
    """A baseline is missing, damaged, or belongs to another schema."""


class NotFoundError(PermanentError, LookupError):
    """What was asked for does not exist."""


class ConflictError(PermanentError, RuntimeError):
    """The request contradicts what the store already holds."""


class AuthError(PermanentError, PermissionError):
    """The caller has shown no token, a wrong one, or one without the right to do this."""


class SourceUnavailable(RecoverableError, ConnectionError):
    """The broker or inbox does not answer."""


class StoreUnavailable(RecoverableError, ConnectionError):
    """The database does not answer, or refuses to write."""


class ScorerUnavailable(RecoverableError, ConnectionError):
    """The deployed model does not answer, or not in time."""


class DeliveryError(RecoverableError, ConnectionError):
    """A receiver or training service asks to be tried again; `retry_after` in seconds where it said so."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
