"""The report page, terminal table and machine-readable summaries of a run."""

from sim.report.files import check_folder, write_all, write_files
from sim.report.page import page
from sim.report.terminal import print_result

__all__ = ["check_folder", "page", "print_result", "write_all", "write_files"]
