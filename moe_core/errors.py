"""Every error that RouteLens raises on purpose.

RouteLensError
├─ InputError        a text, file, option or budget that cannot be used
├─ ConfigError       a key or value in a TOML file
├─ CheckpointError   a model folder that cannot be loaded
├─ SourceError       third-party data that cannot be fetched or does not match its checksum
├─ SparkError        PySpark or Java is missing, or Spark does not do its part
├─ ReportError
├─ CaptureError      <- AdapterError, SelfCheckError, TraceFormatError
├─ LogError          <- SegmentError, ManifestError, IndexLockedError, SchemaVersionError,
│                       RunNotFoundError, RequestNotFoundError, StoreNotFoundError, QueryError
└─ AuditError        <- GroupTooSmallError

The message of each says what is wrong, where, and what to do next, in one line. The command line
prints it and exits with code 2; the dashboard shows it in a panel. No traceback reaches a user.
"""


class RouteLensError(Exception):
    """Base of all errors that a user can cause and can mend."""


class InputError(RouteLensError):
    """A text, file, option or budget cannot be used."""


class ConfigError(RouteLensError):
    """A configuration file has a wrong key or value."""


class CheckpointError(RouteLensError):
    """A model folder cannot be loaded."""


class SourceError(RouteLensError):
    """Third-party data cannot be fetched, or is not what its checksum says."""


class SparkError(RouteLensError):
    """PySpark or Java is missing, or Spark does not do its part."""


class ReportError(RouteLensError):
    """A report cannot be built."""


class CaptureError(RouteLensError):
    """Decisions of a foreign model cannot be recorded."""


class AdapterError(CaptureError):
    """No adapter fits this model family."""


class SelfCheckError(CaptureError):
    """The recorded routing disagrees with a ground-truth pass."""


class TraceFormatError(CaptureError):
    """A trace file does not have the expected form."""


class LogError(RouteLensError):
    """The routing log cannot do what was asked."""


class SegmentError(LogError):
    """A segment is damaged, missing or not readable."""


class ManifestError(LogError):
    """A manifest is damaged or does not continue its hash chain."""


class IndexLockedError(LogError):
    """Another process owns the index of this store."""


class SchemaVersionError(LogError):
    """The store was written by a newer version."""


class RunNotFoundError(LogError):
    """The store holds no run with this id."""


class RequestNotFoundError(LogError):
    """The store holds no request with this id."""


class StoreNotFoundError(LogError):
    """There is no store in this folder."""


class QueryError(LogError):
    """A query is not one SELECT, or DuckDB refuses it."""


class AuditError(RouteLensError):
    """An audit cannot be computed from these data."""


class GroupTooSmallError(AuditError):
    """A group has fewer documents than the minimum."""
