"""The process of the API, beside the workers; see ``process`` for how it lives."""

from collector.api_app import ApiDaemon
from collector.process import main

if __name__ == "__main__":
    main(ApiDaemon)
