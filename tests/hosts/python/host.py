"""A Python program that uses libmapfile by ctypes: do scopes and Python's handlers get along?

SPDX-License-Identifier: MIT

Usage: host.py LIBRARY MODE FOLDER. Modes:

  first     faulthandler is enabled, then comes libmapfile's handler, by the first scope
  last      faulthandler is enabled over libmapfile's handler, which is then put on top again
  anew      faulthandler is enabled, disabled and enabled again around libmapfile's handler
  signal    Python's own handler for a signal that is sent
and the same with die- before it, to end by a cut map that Python code reads; die-c-first: that C code reads.
"""
import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import tempfile
import threading

TIMES = 100
THREADS = 4
PAGE = mmap.PAGESIZE

library = ctypes.CDLL(sys.argv[1])
mode = sys.argv[2]
folder = os.fsencode(sys.argv[3])

for name in ("hosted_recover", "hosted_recover_in_threads", "hosted_handler_is_on_top", "hosted_rearm"):
    getattr(library, name).restype = ctypes.c_char_p


def need(wrong):
    if wrong is not None:
        raise SystemExit("FAILED: " + wrong.decode())


def recover():
    need(library.hosted_recover(folder, TIMES))


def recover_everywhere():
    recover()
    need(library.hosted_recover_in_threads(folder, THREADS, TIMES))
    wrong = []
    threads = [
        threading.Thread(target=lambda: wrong.append(library.hosted_recover(folder, TIMES)))
        for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == THREADS
    for one in wrong:
        need(one)


def on_top(expected):
    need(library.hosted_handler_is_on_top(int(expected)))


def put_on_top():
    on_top(False)
    need(library.hosted_rearm())
    on_top(True)


def first():
    faulthandler.enable()
    recover_everywhere()
    on_top(True)


def last():
    recover()
    faulthandler.enable()
    put_on_top()
    recover_everywhere()
    on_top(True)


def anew():
    faulthandler.enable()
    recover()
    # This puts back what was there before faulthandler, without looking what is there now.
    faulthandler.disable()
    put_on_top()
    recover()
    # Now faulthandler lies over libmapfile's handler, which once lay over faulthandler's.
    faulthandler.enable()
    put_on_top()
    recover()
    faulthandler.disable()
    on_top(True)
    recover()
    faulthandler.enable()
    put_on_top()
    recover_everywhere()


def sent():
    seen = []
    signal.signal(signal.SIGBUS, lambda number, frame: seen.append(number))
    recover()
    on_top(True)
    os.kill(os.getpid(), signal.SIGBUS)
    assert seen == [signal.SIGBUS], seen
    recover()
    signal.signal(signal.SIGBUS, lambda number, frame: seen.append(-number))
    put_on_top()
    os.kill(os.getpid(), signal.SIGBUS)
    assert seen == [signal.SIGBUS, -signal.SIGBUS], seen
    recover_everywhere()


def read_cut_map():
    with tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(2 * PAGE)
        data = mmap.mmap(file.fileno(), 2 * PAGE, access=mmap.ACCESS_READ)
        file.truncate(PAGE)
        print(data[PAGE])


modes = {"first": first, "last": last, "anew": anew, "signal": sent}

if mode == "die-c-first":
    first()
    library.hosted_fault(folder, None)
elif mode.startswith("die-"):
    modes[mode[4:]]()
    read_cut_map()
else:
    modes[mode]()
    print("done")
