"""The process of the API, beside the workers; see ``process`` for how it lives."""

import gc

if __name__ == "__main__":
    gc.disable()  # while some hundred thousand objects are imported, of which none is garbage
    from collector.api_app import ApiDaemon
    from collector.process import main

    main(ApiDaemon)
