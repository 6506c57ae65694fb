"""What supervisorctl does not tell, and the library that it is made of does: programs for the
Python that it is run by."""

from __future__ import annotations

FILES = """\
import sys
from supervisor.options import ClientOptions
options = ClientOptions()
options.realize(["-c", sys.argv[1]] if sys.argv[1] else [])
for each in options.getServerProxy().supervisor.getAllProcessInfo():
    name = each["group"] + ":" + each["name"]
    for called in (name, each["name"]):
        for channel in ("stdout", "stderr"):
            print(called + " " + channel + "\\t" + (each[channel + "_logfile"] or ""))
"""
"""Each process's name, its stream, and the file that it goes to."""
SECTIONS = """\
import configparser, glob, os, sys
from supervisor.options import ClientOptions
options = ClientOptions()
options.realize(["-c", sys.argv[1]] if sys.argv[1] else [])
names = set(sys.argv[2].split(":"))
def read(path):
    found = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(" ;", "\\t;"))
    with open(path) as file:
        found.read_file(file)
    return found
files, top = [options.configfile], read(options.configfile)
if top.has_section("include"):
    for pattern in top.get("include", "files").split():
        pattern = pattern.replace("%(here)s", os.path.dirname(os.path.abspath(options.configfile)))
        files += sorted(glob.glob(os.path.join(os.path.dirname(options.configfile), pattern)))
for path in files:
    found = read(path)
    for section in found.sections():
        kind, _, name = section.partition(":")
        if name in names:
            print("[" + section + "]")
            for key, value in found.items(section):
                print(key + " = " + value.replace("\\n", " "))
"""
"""Its sections as they stand on disk; what changed there and is not read yet is a change too."""
