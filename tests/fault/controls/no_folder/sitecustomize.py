"""A machine on which no folder for temporary files can be made."""

import tempfile

tempfile.tempdir = "/dev/null/nowhere"
