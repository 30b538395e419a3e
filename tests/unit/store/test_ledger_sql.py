"""The ledger's look-up is text; only our own dates and hex digits may get into it."""

from __future__ import annotations

import re
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from collector.store.ledger import LedgerKey, lookup_sql

keys = st.builds(
    LedgerKey,
    st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    st.binary(min_size=16, max_size=16),
    st.integers(),
    st.integers(),
    st.dates(date(1970, 1, 1), date(2100, 1, 1)),
)


@given(st.lists(keys, min_size=1, max_size=20))
def test_look_up_holds_every_digest_and_nothing_foreign(some: list[LedgerKey]) -> None:
    """Each digest stands under its days and under the sentinel's, as hex."""
    sql = lookup_sql(some)

    literals = re.findall(r"'([^']*)'", sql)
    assert all(re.fullmatch(r"[0-9a-f]*|hex|\d{4}-\d{2}-\d{2}", literal) for literal in literals)
    branches = dict(re.findall(r"day = DATE '([\d-]+)'.*?decode\('([0-9a-f]*)'", sql))
    for key in some:
        for day in (key.day.isoformat(), key.formerly.isoformat(), "1970-01-01"):
            assert key.digest.hex() in re.findall(".{32}", branches[day])
