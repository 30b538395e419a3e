"""The ``otlpg`` command, and ``python -m collector``, which is the same.

Ctrl-C ends it without a traceback from its first line on: this file imports nothing that takes time
before it has seen to that, and the rest of otlpg only then.
"""

import gc
import os
import sys

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C has ended, as shells have it: 128 and the signal's number."""
TAIL_ENDED = 0
"""Ctrl-C is how a tail ends."""
GC_YOUNG_MAX = 50_000
"""Containers that may come together before the cycle collector looks at them: Python's own 700 has
it look at all that a command imports, over and over: 6 % of the CPU that a start takes."""


def main() -> None:
    """Run the command that the user typed, and exit."""
    code = TAIL_ENDED if sys.argv[1:2] == ["tail"] else INTERRUPTED
    try:
        import signal

        def end_now(_signal: int, _frame: object) -> None:
            _end_line()
            os._exit(code)  # nothing is begun yet, or all is done

        # Where the shell has put us into the background, Ctrl-C is not for us and stays ignored.
        is_for_us = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_for_us:
            signal.signal(signal.SIGINT, end_now)
        gc.set_threshold(GC_YOUNG_MAX)
        from collector.cli import run

        if is_for_us and code == INTERRUPTED:  # commands, and asyncio, make their own of it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run(sys.argv[1:])
        if is_for_us:
            signal.signal(signal.SIGINT, end_now)
    except KeyboardInterrupt:
        status = code
        _end_line()
    else:
        if status == INTERRUPTED:
            _end_line()
    gc.freeze()  # or the interpreter looks at everything again, several times, only to end
    sys.exit(status)


def _end_line() -> None:
    """Let the shell's prompt stand below what the terminal shows of Ctrl-C, and not behind it."""
    if os.isatty(2):
        os.write(2, b"\n")


if __name__ == "__main__":
    main()
