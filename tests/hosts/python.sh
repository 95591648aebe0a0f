#!/bin/sh
# Scopes inside Python, beside its faulthandler. See python/host.py and lib.sh.
# SPDX-License-Identifier: MIT

. "$(dirname "$0")/lib.sh"

# The system's own, whose kind the library has been compared with.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3) || skip_all "python3 is not installed (Debian: python3)"
"$python" -c 'import ctypes, faulthandler, mmap' 2>/dev/null || skip_all "this Python lacks ctypes, faulthandler or mmap"
begin

host() {
  PYTHONDONTWRITEBYTECODE=1 "$python" "$sources/python/host.py" "$folder/lib/libhosted.so" "$1" "$folder/files"
}

# faulthandler prints one report and lets the signal kill.
dies() {
  check "$1" BUS "Fatal Python error: Bus error" host "$2"
  check_lines "$1: one report" 1 "Fatal Python error"
  check_lines "$1: the report names the line" 1 "$3"
}

check "faulthandler first" 0 "done" host first
check "faulthandler last" 0 "done" host last
check "faulthandler enabled, disabled and enabled again" 0 "done" host anew
check "a handler for signals that are sent" 0 "done" host signal
dies "Python reads a cut map, faulthandler first" die-first "in read_cut_map"
dies "Python reads a cut map, faulthandler last" die-last "in read_cut_map"
dies "Python reads a cut map, faulthandler enabled again" die-anew "in read_cut_map"
dies "C reads a cut map, faulthandler first" die-c-first "in <module>"
finish
