"""A worker: receives, converts and stores; see ``process`` for how it lives."""

from collector.app import Daemon
from collector.process import main

if __name__ == "__main__":
    main(Daemon)
