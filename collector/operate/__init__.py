"""What commands do beyond serving: check a set-up, send a sample, serve a laptop, measure.

Each file is one command's work without its arguments and printing, which ``cli`` has; so a test, or
another program, can call it. Nothing here runs inside the daemon.
"""
