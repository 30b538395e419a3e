"""A worker: receives, converts and stores; see ``process`` for how it lives."""

import gc

if __name__ == "__main__":
    gc.disable()  # while some hundred thousand objects are imported, of which none is garbage
    from collector.app import Daemon
    from collector.process import main

    main(Daemon)
