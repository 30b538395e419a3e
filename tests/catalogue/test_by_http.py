"""Every bad input of the catalogue over HTTP, in protobuf; see ``cases``."""

from __future__ import annotations

import pytest

from tests.catalogue.case import Run, Transport
from tests.catalogue.cases import runs_by
from tests.catalogue.stand import Stand


@pytest.mark.parametrize("run", runs_by(Transport.HTTP), ids=str)
def test_bad_input_ends_as_it_must(stand: Stand, run: Run) -> None:
    """The answer, the rows and the dead letters are those of its case, and the next is served."""
    stand.assert_ends_as_it_must(run)
