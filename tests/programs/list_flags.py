"""Writes the XML of `--helpxml` of another program to stderr, which tests capture."""

import os
import runpy
import sys

_, *program = sys.argv
os.dup2(2, 1)
sys.argv = [program[-1], "--helpxml"]
if program[0] == "-m":
    runpy.run_module(program[-1], run_name="__main__", alter_sys=True)
else:
    runpy.run_path(program[-1], run_name="__main__")
