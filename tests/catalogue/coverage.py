"""Where each number of the catalogue is proven.

``NUMBERS`` is the catalogue itself, sections 1 to 6 and 9, in a few words each. A number has cases in
this package, or tests elsewhere that are named in ``ELSEWHERE``, or both; ``tests/docs`` checks that
none is without and that every test that is named exists.
"""

from __future__ import annotations

NUMBERS = {
    1: "NUL in a name", 2: "NUL in a value", 3: "NUL in a key", 5: "NUL in any other text",
    6: "invalid UTF-8 in a text", 8: "invalid UTF-8 in a key", 9: "invalid UTF-8 in every text of 10 000 spans",
    10: "lone surrogates", 12: "noncharacters, emoji, combining", 13: "control and direction signs",
    14: "markup and templates", 15: "SQL and patterns", 17: "paths", 18: "empty and missing names",
    19: "long texts", 22: "a text of hundreds of MiB", 23: "texts that look like numbers",
    24: "deep values", 26: "deep JSON", 27: "groups in groups", 28: "no value", 29: "a oneof twice",
    31: "bytes", 32: "odd arrays", 34: "odd doubles", 36: "large integers", 37: "JSON integers that are none",
    38: "JSON integers in any form", 40: "equal keys", 41: "odd keys", 43: "odd booleans", 44: "reserved keys",
    46: "bad trace ids", 48: "bad span ids", 49: "bad ids of log records", 51: "one span twice",
    52: "bad and many links", 54: "ids in JSON", 55: "nothing", 56: "no resource, no scope",
    58: "unknown fields", 59: "enums out of range", 61: "odd schema URLs", 62: "many resources",
    63: "no time", 65: "the future", 67: "an end before its start", 68: "events out of their span",
    69: "nanoseconds", 70: "older than the retention", 71: "clocks that are off", 73: "points that start late",
    75: "odd values", 76: "extreme or no values", 77: "odd histograms", 80: "odd quantiles",
    81: "odd sums", 82: "one series twice", 83: "odd names and types", 84: "many series",
    86: "noise", 87: "wrong content types", 88: "64 MiB over gRPC", 89: "64 MiB over HTTP", 91: "bad gzip",
    92: "codings", 94: "ambiguous HTTP", 95: "other methods and paths", 96: "other protocols and methods",
    97: "another number of messages", 98: "odd deadlines", 100: "repeats", 102: "repeats that are none",
    103: "large headers", 104: "slow, silent and flooding senders", 105: "unknown coding of a message",
    106: "floods of empty parts", 108: "bad JSON",
    115: "beyond a rate limit",
    123: "a float for an integer", 124: "a time without a zone", 125: "other wrong types of Python",
    127: "jsonb deeper than PostgreSQL allows", 128: "poison that reaches COPY", 129: "insert of dead letters",
    130: "letters that can be replayed",
}  # fmt: skip

HERE = "tests/catalogue/test_conversations.py"
ELSEWHERE: dict[int, tuple[str, ...]] = {
    9: (
        "tests/unit/convert/test_repairs.py::test_keys_that_repair_to_one_text_cost_the_same_each",
    ),
    13: (
        "tests/unit/telemetry/test_logging.py::test_a_sender_cannot_steer_the_terminal_or_forge_a_line",
    ),
    22: (
        "tests/unit/convert/test_quarantine.py::test_item_larger_than_its_cap_is_quarantined",
        "tests/unit/convert/test_quarantine.py::test_items_under_too_large_a_head_are_quarantined",
    ),
    51: (f"{HERE}::test_equal_spans_in_two_requests_are_both_stored",),
    84: (
        "tests/unit/convert/test_memo.py::test_series_that_never_repeat_stay_within_the_bytes",
        "tests/db/test_series_limit.py::test_bomb_is_refused_and_known_series_of_its_group_are_stored",
        "tests/e2e/test_series_limit.py::test_senders_of_too_many_new_series_hear_when_to_come_again",
    ),
    88: (
        f"{HERE}::test_64_mib_are_the_limit",
        "tests/e2e/test_verdicts.py::test_64_mib_are_stored_and_one_byte_more_is_refused_for_good",
    ),
    89: (
        f"{HERE}::test_64_mib_are_the_limit",
        "tests/unit/receive/test_http_server.py::test_an_announced_body_that_is_too_large_is_not_waited_for",
    ),
    91: ("tests/unit/receive/test_content.py::test_a_bomb_is_given_up_at_the_limit",),
    94: (f"{HERE}::test_http_hears_the_right_status",),
    95: (f"{HERE}::test_http_hears_the_right_status",),
    96: (
        f"{HERE}::test_grpc_ends_the_call_rightly",
        f"{HERE}::test_a_path_that_is_no_text_does_not_end_the_listener",
        f"{HERE}::test_another_protocol_at_the_door_of_grpc_is_closed",
    ),
    97: (
        f"{HERE}::test_grpc_ends_the_call_rightly",
        "tests/e2e/test_verdicts.py::test_a_unary_call_with_another_number_of_messages_is_invalid",
    ),
    98: (
        f"{HERE}::test_grpc_ends_the_call_rightly",
        "tests/unit/receive/test_export.py::test_the_hold_ends_before_the_deadline_and_the_entry_leaves",
    ),
    100: (
        f"{HERE}::test_a_request_that_comes_fifty_times_at_once_is_stored_once",
        "tests/db/test_ledger.py::test_twelve_processes_with_the_same_requests",
        "tests/db/test_ledger.py::test_retry_after_midnight_at_the_end_of_the_retention",
        "tests/fault/test_sigkill.py",
    ),
    102: (f"{HERE}::test_logs_that_nothing_tells_apart_are_both_stored",),
    103: (
        f"{HERE}::test_grpc_ends_the_call_rightly",
        f"{HERE}::test_http_hears_the_right_status",
        "tests/unit/receive/test_grpc_server.py::test_headers_are_bounded_for_those_who_ignore_settings_too",
    ),
    104: (
        f"{HERE}::test_a_flood_on_one_connection_harms_no_other",
        f"{HERE}::test_idle_connections_harm_nobody",
        "tests/unit/receive/test_http_server.py::test_a_connection_that_asks_nothing_is_closed",
        "tests/unit/receive/test_http_server.py::test_too_many_connections_are_cut",
        "tests/unit/receive/test_grpc_server.py::test_connections_leave_descriptors_for_the_rest",
        "tests/unit/receive/test_starvation.py::test_calls_without_a_body_leave_a_slot_to_other_connections",
        "tests/unit/receive/test_export.py::test_a_body_that_does_not_arrive_is_refused_in_time",
        "tests/e2e/test_descriptors.py::test_idle_connections_that_take_every_descriptor_cost_one_line",
    ),
    105: (f"{HERE}::test_grpc_ends_the_call_rightly",),
    106: ("tests/unit/convert/test_framing.py::test_flood_of_empty_submessages_is_refused",),
    123: ("tests/db/test_rows.py::test_a_row_has_the_columns_of_its_table",),
    124: ("tests/db/test_rows.py::test_a_row_has_the_columns_of_its_table",),
    125: (
        "tests/db/test_rows.py::test_a_row_has_the_columns_of_its_table",
        "tests/db/test_poison.py::test_refused_row_costs_no_other_row",
    ),
    127: ("tests/unit/convert/test_quarantine.py::test_nesting_limit_is_that_of_a_full_message",),
    128: (
        "tests/db/test_poison.py::test_refused_row_costs_no_other_row",
        "tests/db/test_poison.py::test_one_refused_item_of_ten_thousand",
        "tests/db/test_poison.py::test_many_refused_rows",
        "tests/db/test_poison.py::test_request_of_nothing_but_refused_rows",
    ),
    129: (
        "tests/unit/store/test_dead_letters.py::test_letter_is_the_item_as_it_was_sent",
        "tests/db/test_poison.py::test_refused_row_costs_no_other_row",
    ),
    115: (
        "tests/e2e/test_series_limit.py::test_senders_of_too_many_new_series_hear_when_to_come_again",
    ),
    130: ("tests/unit/convert/test_any_bytes.py::test_letters_and_rows_together_are_the_request",),
}

LEFT_OUT = {
    14: "that markup is inert on a page: there is no page yet",
    45: "redaction comes later",
    104: "bodies of a byte a second take as long as the hold: the unit tests named above have a clock",
    105: "gRPC core itself says INTERNAL where its specification says UNIMPLEMENTED; both are final",
    109: "109 to 114, keys and tenants, have tests of their own",
    117: "117 to 122, queries, do not exist yet",
    130: "the command that replays letters comes later; here they are compared with what was sent",
}
"""What the catalogue asks for and nothing here shows, and why."""

DECIDED_OTHERWISE = {
    34: "odd doubles are stored exactly, and so without a letter",
    40: "the last of equal names in a JSON object counts; equal attribute keys are kept in ``raw``",
    58: "several items of which none has an identity are another signal's: rejected, and kept once",
    61: "a schema URL of 1 MiB is below the cap of what is around an item: stored as it is",
    70: "older than the retention: stored under the receive time, with the original in ``raw``",
    84: "the limit of new series is the daemon's, not a tenant's; memory is bounded by the memo and the queue",
    94: "an absolute URI is taken for the path in it, as RFC 9112 demands of a server",
    96: "gRPC core takes any content type for a gRPC call; its bytes are judged as always",
}
"""Where the design is not the catalogue's."""
