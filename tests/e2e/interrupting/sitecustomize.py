"""Presses Ctrl-C when a module is about to be imported: the one that ``INTERRUPT_AT`` names.

Python imports this file at the start of a process that finds its folder on PYTHONPATH.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class _Interrupter(MetaPathFinder):
    """Finds nothing; is asked first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Send SIGINT to this very process, whose handler runs before this returns."""
        del path, target
        if fullname == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, _Interrupter())
