"""The ledger's look-up is text; only our own dates and hex digits may get into it."""

from __future__ import annotations

import re
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from collector.store.ledger import SENTINEL_DAY, LedgerKey, lookup_sql

days = st.dates(date(1970, 1, 1), date(2100, 1, 1))


@st.composite
def keys(draw: st.DrawFn) -> LedgerKey:
    """Return a key that is claimed under its own day or under the sentinel's."""
    own_day = draw(days)
    digest = draw(st.binary(min_size=16, max_size=16))
    day = draw(st.sampled_from([own_day, SENTINEL_DAY]))
    return LedgerKey(day, digest, 1, own_day, border=draw(st.booleans()))


@given(st.lists(keys(), min_size=1, max_size=20))
def test_look_up_holds_every_digest_and_nothing_foreign(some: list[LedgerKey]) -> None:
    """Each digest stands under its own day and under the sentinel's, as hex."""
    sql = lookup_sql(some)

    literals = re.findall(r"'([^']*)'", sql)
    assert all(re.fullmatch(r"[0-9a-f]*|hex|\d{4}-\d{2}-\d{2}", literal) for literal in literals)
    asked = {
        (day, digest)
        for day, digests in re.findall(r"day = DATE '([\d-]+)'.*?decode\('([0-9a-f]*)'", sql)
        for digest in re.findall(".{32}", digests)
    }
    for dates, digests in re.findall(r"ARRAY\[(.*?)\]::date.*?decode\('([0-9a-f]*)'", sql):
        asked.update(zip(re.findall(r"[\d-]+", dates), re.findall(".{32}", digests), strict=True))
    assert asked == {
        (day.isoformat(), key.digest.hex()) for key in some for day in (key.own_day, SENTINEL_DAY)
    }
