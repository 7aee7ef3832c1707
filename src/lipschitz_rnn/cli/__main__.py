"""``python -m lipschitz_rnn.cli``."""

import os
import sys
import time

from lipschitz_rnn.cli import main

code = main()
if "TORCHELASTIC_RUN_ID" in os.environ:  # a worker of torchrun
    if code:
        time.sleep(1)  # torchrun, which looks now and then, reports whom it finds gone first
    # gloo's threads may outlive their process group, and abort an interpreter that is ending
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)
sys.exit(code)
