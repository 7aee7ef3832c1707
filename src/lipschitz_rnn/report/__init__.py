"""Reports: everything that is known of runs, in one HTML file that needs no other."""

from lipschitz_rnn.report.page import Written as Written
from lipschitz_rnn.report.page import write_report as write_report
