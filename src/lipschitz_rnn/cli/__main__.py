"""``python -m lipschitz_rnn.cli``."""

import os
import sys

from lipschitz_rnn.cli import main

code = main()
if "TORCHELASTIC_RUN_ID" in os.environ:  # a worker of torchrun
    # gloo's threads may outlive their process group, and abort an interpreter that is ending
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(code)
sys.exit(code)
