#!/bin/sh
# All tests of real faults, for make check: see tests/faults/run and tests/faults/syscalls-listed.
# SPDX-License-Identifier: MIT
folder=$(dirname "$0")/faults
sh "$folder/run" --programs tests/faults
status=$?
sh "$folder/syscalls-listed" .libs/libmapfile.a
case $? in
  0)
    echo "PASS syscalls-listed"
    [ "$status" != 77 ] || status=0
    ;;
  77) ;;
  *)
    echo "FAIL syscalls-listed"
    status=1
    ;;
esac
exit "$status"
