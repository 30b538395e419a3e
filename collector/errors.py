"""Every exception of otlpg; of a request each answers: will the same bytes work later?

Names end in ``Error``, numbers are attributes. What a sender or a reader may hear is in words of ours:
never SQL, a DSN or a payload, at most the name of a parameter or a piece of a filter. Texts of a
``StoreError`` may quote PostgreSQL and are for the log; those of commands are for who typed them.

``receive/status.py`` maps what senders and readers hear to gRPC and HTTP, ``cli/exit_codes.py`` the
command errors to exit codes. This file knows neither protocol.
"""


class OtlpgError(Exception):
    """Root of the tree, so that a caller can tell our errors from bugs."""


# -- live tails: whatever happens to them, ingest goes on -----------------------------------------


class LinkError(OtlpgError):
    """What carries live tails is away; it is tried again for ever."""


class TailMessageError(OtlpgError):
    """A message that no publisher of this version has sent."""


class TooManyReadersError(OtlpgError):
    """As many live tails as may be are open, in all or of one client; later there may be fewer."""

    def __init__(self, readers_max: int, *, of_client: bool = False) -> None:
        whose = " of this client" if of_client else ""
        super().__init__(f"{readers_max} live tails{whose} are open, and no more may be")
        self.readers_max = readers_max


class TailLostError(OtlpgError):
    """The connection of a live tail ended, or never was; another one may do.

    ``retry_after_s`` is how long the server asks to be left alone; None when it did not say.
    ``is_answer``: an API was there, and said why not. ``is_silence``: somebody was there, and said
    nothing yet.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        is_answer: bool = False,
        is_silence: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.is_answer = is_answer
        self.is_silence = is_silence


# -- requests that will never work: do not retry -------------------------------------------------


class RejectedRequestError(OtlpgError):
    """The same bytes will never be accepted."""


class UndecodableError(RejectedRequestError):
    """The body is not a protobuf message of this signal's export request."""

    def __init__(self, signal: str) -> None:
        super().__init__(f"the body is not a valid OTLP {signal} export request")
        self.signal = signal


class WrongSignalError(RejectedRequestError):
    """More than one item, and none has a valid identity: another signal at the wrong door."""

    def __init__(self, signal: str, items: int) -> None:
        super().__init__(f"none of the {items} items is a valid item of {signal}")
        self.signal = signal
        self.items = items


class TooLargeError(RejectedRequestError):
    """The body is larger than the published limit, before or after decompression."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(f"the request is larger than {bytes_max} bytes")
        self.bytes_max = bytes_max


class TooManyItemsError(RejectedRequestError):
    """The request holds more items than the published limit."""

    def __init__(self, items_max: int) -> None:
        super().__init__(f"the request holds more than {items_max} items")
        self.items_max = items_max


class TooManyValuesError(RejectedRequestError):
    """The JSON text holds more values than the published limit."""

    def __init__(self, values_max: int) -> None:
        super().__init__(f"the request holds more than {values_max} JSON values")
        self.values_max = values_max


class MalformedCallError(RejectedRequestError):
    """The call itself breaks the protocol: no message, or more than one."""


class BadParameterError(RejectedRequestError):
    """A parameter of the query string cannot be used."""

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(f"parameter {name!r} {wanted}")
        self.name = name


class UnsupportedMediaError(RejectedRequestError):
    """The body comes in a form that we do not read."""


class UnauthenticatedError(RejectedRequestError):
    """The caller showed no valid key."""

    def __init__(self, text: str = "no valid API key") -> None:
        super().__init__(text)


class ForbiddenError(RejectedRequestError):
    """We know the caller, and this is not theirs to do."""


# -- requests that may work later: retry ---------------------------------------------------------


class RefusedRequestError(OtlpgError):
    """Nothing is wrong with the bytes; the sender should send them again."""


class QueueFullError(RefusedRequestError):
    """The queue has no room for this request; nothing was taken and nothing was dropped."""

    def __init__(
        self, *, offered_items: int, offered_bytes: int, free_items: int, free_bytes: int
    ) -> None:
        super().__init__(
            f"no room for {offered_items} items and {offered_bytes} bytes: "
            f"{free_items} items and {free_bytes} bytes are free"
        )
        self.offered_items = offered_items
        self.offered_bytes = offered_bytes
        self.free_items = free_items
        self.free_bytes = free_bytes


class NoSlotError(RefusedRequestError):
    """All receive slots are taken; the body was not read."""

    def __init__(self, slots: int) -> None:
        super().__init__(f"all {slots} receive slots are taken")
        self.slots = slots


class NoBodyRoomError(RefusedRequestError):
    """Bodies on their way take all the memory they may; this one was not read."""

    def __init__(self, wanted_bytes: int, bytes_max: int) -> None:
        super().__init__(f"no room for a body of up to {wanted_bytes} bytes in {bytes_max}")
        self.wanted_bytes = wanted_bytes
        self.bytes_max = bytes_max


class ReadTimeoutError(RefusedRequestError):
    """The body did not arrive in time."""

    def __init__(self, read_s_max: float) -> None:
        super().__init__(f"the body did not arrive within {read_s_max:g} s")
        self.read_s_max = read_s_max


class SeriesLimitError(RefusedRequestError):
    """The request brings new series, and those that may be new in this minute are used up."""

    def __init__(self, per_minute_max: int) -> None:
        super().__init__(f"more new series than {per_minute_max} per minute")
        self.per_minute_max = per_minute_max


class DrainingError(RefusedRequestError):
    """The daemon is about to stop and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("the server is draining")


class ApiAwayError(RefusedRequestError):
    """The call is the API's to answer, and it does not run, or did not answer."""


class KeysAwayError(RefusedRequestError):
    """Whether this key is valid cannot be told now: PostgreSQL, which holds the keys, is away."""

    def __init__(self) -> None:
        super().__init__("the API keys cannot be read now")


class HoldExpiredError(RefusedRequestError):
    """PostgreSQL did not commit the request within the hold."""

    def __init__(self, held_s: float) -> None:
        super().__init__(f"not committed within {held_s:.1f} s")
        self.held_s = held_s


# -- inside convert: caught where one item, not its request, is at stake -------------------------


class MalformedError(OtlpgError):
    """These bytes do not follow protobuf's wire format."""


class QuarantineError(OtlpgError):
    """This one item cannot become a row; ``reason`` is a ``rows.Reason``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"quarantined: {reason}")
        self.reason = reason


class IrregularError(OtlpgError):
    """An attribute needs the careful road: repair, a duplicate key, or too deep to remember."""


# -- the database, as the store sees it ----------------------------------------------------------


class StoreError(OtlpgError):
    """PostgreSQL did not do what was asked. ``sqlstate`` is empty when no server spoke.

    ``hint`` is an operator's next step, where the failure itself tells it; else empty.
    """

    hint: str = ""

    def __init__(self, message: str, *, sqlstate: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.hint = hint

    @property
    def is_about_rights(self) -> bool:
        """Whether our role may not do it: only an operator can mend that.

        Spec: PostgreSQL, "Error Codes": insufficient_privilege.
        """
        return self.sqlstate == "42501"


class RetryableStoreError(StoreError):
    """The same rows will work later, on a new connection."""


class StoreUnavailableError(RetryableStoreError):
    """The server or the way to it is at fault: every request would fail now."""


class UnlistedStoreError(RetryableStoreError):
    """A failure that nobody foresaw; retried like the others, but somebody should look at it."""


class CommitUnknownError(StoreUnavailableError):
    """COMMIT was sent and no answer came; the ledger decides on the next try.

    ``stored`` tells which of its requests the transaction would have stored. ``transaction`` is its
    id as PostgreSQL writes it, where it replayed dead letters; else empty.
    """

    stored: tuple[bool, ...] = ()
    transaction: str = ""


class LedgerHeldError(RetryableStoreError):
    """Long transactions look at the ledger, so that no leaf of it can go now."""

    def __init__(self, transactions: int) -> None:
        super().__init__(f"{transactions} long transactions hold the ledger")
        self.transactions = transactions


class LettersGoneError(StoreError):
    """Dead letters to be replayed are not there any more, or somebody else works on them.

    ``gone`` and ``busy`` are the ids of those; all others may be replayed.
    """

    def __init__(self, *, gone: frozenset[int], busy: frozenset[int]) -> None:
        super().__init__(f"of the dead letters {len(gone)} are gone and {len(busy)} are busy")
        self.gone = gone
        self.busy = busy


class TooManySeriesError(StoreError):
    """Some requests of a group bring new series that have to wait; nothing was written.

    The connection is as good as before. ``requests`` are their numbers in the group: without them
    the others can be stored.
    """

    def __init__(self, requests: frozenset[int], per_minute_max: int) -> None:
        super().__init__(f"{len(requests)} requests bring too many new series")
        self.requests = requests
        self.per_minute_max = per_minute_max


class MissingLeafError(RetryableStoreError):
    """A row found no partition; make it and run again."""


class PoisonRowError(StoreError):
    """A row that PostgreSQL will never take.

    ``table`` and ``row`` (zero-based, in COPY order) name it, or are None when the server did not.
    """

    def __init__(self, message: str, *, sqlstate: str, table: str | None, row: int | None) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.table = table
        self.row = row


# -- questions: asked of what is stored ------------------------------------------------------------


class QueryTimeoutError(OtlpgError):
    """PostgreSQL did not have the answer in time; a shorter time range may do."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"no answer within {timeout_s:g} s: ask for a shorter time range, or for less"
        )
        self.timeout_s = timeout_s


class AnswerTooLargeError(OtlpgError):
    """What is asked for is larger than an answer that does not come in pages may be."""

    def __init__(self, bytes_max: int, instead: str) -> None:
        super().__init__(f"the answer is larger than {bytes_max} bytes: ask for {instead}")
        self.bytes_max = bytes_max


class NotTakenError(OtlpgError):
    """The reader takes nothing of the answer that is ready for it."""

    def __init__(self, write_s_max: float) -> None:
        super().__init__(f"nothing of the answer was taken within {write_s_max:g} s")
        self.write_s_max = write_s_max


class TooManyQuestionsError(OtlpgError):
    """As many questions as may be are being asked; later there may be fewer."""

    def __init__(self, questions_max: int) -> None:
        super().__init__(
            f"{questions_max} questions are being asked, and no more may be: come again"
        )
        self.questions_max = questions_max


class TooManyAnswersError(OtlpgError):
    """As much waits for readers who do not take it as may; later it may be less."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__(
            f"answers of {bytes_max} bytes wait for their readers, and no more may: come again"
        )
        self.bytes_max = bytes_max


# -- commands ------------------------------------------------------------------------------------


class CommandError(OtlpgError):
    """A command cannot go on; the text tells the operator what to do next."""


class UsageError(CommandError):
    """The command line lacks a word that only the operator can give, or has one that is wrong."""


class FilterError(UsageError):
    """A filter cannot be read; the text says where and what was expected, in printable ASCII.

    ``position`` counts characters of the filter from 0; ``expected`` is the text without it.
    """

    def __init__(self, expected: str, *, position: int) -> None:
        super().__init__(f"filter, character {position + 1}: {expected}")
        self.expected = expected
        self.position = position


class StatementError(CommandError):
    """PostgreSQL refused the SQL that a user wrote; all texts are the server's own words.

    ``position`` counts characters of the statement from 0; None where the server named none.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str = "",
        position: int | None = None,
        detail: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.position = position
        self.detail = detail
        self.hint = hint


class SettingsError(CommandError):
    """A setting is unknown or out of bounds; the text names it, its bound and its value."""


class UnreachableError(CommandError):
    """PostgreSQL, Redis or the daemon did not answer."""


class SchemaError(CommandError):
    """The schema is not the one this version needs; the text holds the command to run."""


class NotFoundError(CommandError):
    """What was asked for does not exist."""
