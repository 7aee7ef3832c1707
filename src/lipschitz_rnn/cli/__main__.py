"""``python -m lipschitz_rnn.cli``."""

import sys

from lipschitz_rnn.cli import main

sys.exit(main())
