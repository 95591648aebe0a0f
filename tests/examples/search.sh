#!/bin/sh
# The example programs do what they say: search finds what grep finds, whatever the file is; minimal counts lines.
# SPDX-License-Identifier: MIT
#
# Runs in the build folder. SEARCH and MINIMAL name the programs where they are elsewhere. Exit status: 0 all is well,
# 1 something is not, 77 the programs are not there.

# Whatever hangs, this ends.
if [ -z "${EXAMPLES_GUARDED-}" ]; then
  EXAMPLES_GUARDED=yes exec timeout -k 10 600 "$0" "$@"
fi

search=${SEARCH:-./examples/search}
minimal=${MINIMAL:-./examples/minimal}
for program in "$search" "$minimal"; do
  if [ ! -x "$program" ]; then
    echo "SKIP: $program has not been built"
    exit 77
  fi
done

LC_ALL=C
export LC_ALL
failed=0
pid=
folder=$(mktemp -d "${TMPDIR:-/tmp}/libmapfile-examples.XXXXXX") || exit 1
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM HUP

# check WHAT STATUS OUTPUT ERROR ARGUMENT...: run search and compare its exit status and standard output; standard error
# must contain ERROR, or be empty where ERROR is.
check() {
  what=$1 status=$2 output=$3 error=$4
  shift 4
  "$search" "$@" >"$folder/out" 2>"$folder/err" </dev/null
  judge "$what" "$?" "$status" "$output" "$error"
}

judge() {
  if [ "$2" != "$3" ]; then
    echo "FAILED: $1: exit status $2 instead of $3: $(cat "$folder/err")"
  elif [ "$(cat "$folder/out")" != "$4" ]; then
    echo "FAILED: $1: printed '$(head -c 300 "$folder/out")' instead of '$(echo "$4" | head -c 300)'"
  elif [ -z "$5" ] && [ -s "$folder/err" ]; then
    echo "FAILED: $1: complained: $(cat "$folder/err")"
  elif ! grep -q -F -e "$5" "$folder/err" && [ -n "$5" ]; then
    echo "FAILED: $1: standard error lacks '$5': $(cat "$folder/err")"
  else
    echo "ok: $1"
    return
  fi
  failed=$((failed + 1))
}

# as_grep WHAT PATTERN FILE: all matches, and the first, are grep's.
as_grep() {
  expected=$(grep -F -a -o -b -e "$2" "$3" | sed 's/:.*//')
  if [ -z "$expected" ]; then
    echo "FAILED: $1: grep finds nothing, so this case says nothing"
    failed=$((failed + 1))
    return
  fi
  check "$1, all" 0 "$expected" '' --all -- "$2" "$3"
  check "$1, first" 0 "$(echo "$expected" | head -n 1)" '' -- "$2" "$3"
}

# put FILE OFFSET BYTES: write them there, leaving holes before.
put() {
  printf '%s' "$3" | dd of="$1" bs=64k oflag=seek_bytes seek="$2" conv=notrunc status=none
}

plain_files() {
  printf 'xxabcabcabxabc\nabc' >"$folder/few"
  : >"$folder/empty"
  printf 'a' >"$folder/one"
  as_grep 'a few matches' abc "$folder/few"
  as_grep 'matches that could overlap' abcab "$folder/few"
  as_grep 'one byte' c "$folder/few"
  as_grep 'the whole file' a "$folder/one"
  check 'no match' 1 -1 '' abd "$folder/few"
  check 'a pattern longer than the file' 1 -1 '' aa "$folder/one"
  check 'an empty file' 1 -1 '' abc "$folder/empty"
  check 'an empty file, all' 1 -1 '' --all abc "$folder/empty"
}

calls() {
  check 'a missing file' 2 '' "$folder/missing: cannot be opened" abc "$folder/missing"
  check 'a folder' 2 '' "$folder: cannot be opened" abc "$folder"
  check 'several files' 0 "$folder/few:2
$folder/empty:-1
$folder/one:-1" '' abc "$folder/few" "$folder/empty" "$folder/one"
  check 'several files, none matches' 1 "$folder/few:-1
$folder/one:-1" '' q "$folder/few" "$folder/one"
  check 'several files, one missing' 2 "$folder/few:2
$folder/one:-1" "$folder/missing: cannot be opened" abc "$folder/few" "$folder/missing" "$folder/one"
  check 'a pattern like an option' 1 -1 '' -- --all "$folder/few"
  check 'an option that is not known' 2 '' usage: --every abc "$folder/few"
  check 'an empty pattern' 2 '' usage: '' "$folder/few"
  check 'no file' 2 '' usage: abc
  : >"$folder/out"
  if [ -c /dev/full ]; then
    "$search" abc "$folder/few" >/dev/full 2>"$folder/err" </dev/null
    judge 'results that cannot be written' "$?" 2 '' 'cannot write'
  else
    echo "skipped: results that cannot be written: there is no /dev/full"
  fi
}

# Pieces are whole numbers of pages, so their borders are multiples of these, whatever size the library chooses.
borders() {
  for border in 4096 65536 262144 1048576 8388608; do
    for before in 0 1 6 11 12; do
      rm -f "$folder/border"
      truncate -s $((border + 70000)) "$folder/border"
      put "$folder/border" $((border - before)) across-needle
      check "a match $before bytes before $border" 0 $((border - before)) '' --all across-needle "$folder/border"
    done
  done
  long=$(head -c 100000 /dev/zero | tr '\0' 'a')z
  rm -f "$folder/border"
  for offset in 11 250000 1000000 8300000 16700000; do
    put "$folder/border" "$offset" "$long"
  done
  as_grep 'a pattern of 100,001 bytes' "$long" "$folder/border"
  rm -f "$folder/border"
}

many_matches() {
  awk 'BEGIN { srand(7); for (i = 0; i < 40000; i++) { line = ""; for (n = int(rand() * 60); n > 0; n--)
    line = line (rand() < 0.5 ? "a" : "b"); print line } }' >"$folder/many"
  for pattern in a ab aba aaaa abbab bbbbbbbbbbbb; do
    as_grep "many matches of $pattern" "$pattern" "$folder/many"
  done
  awk 'BEGIN { for (i = 0; i < 20; i++) { while (length(s) < 1048575) s = s "xyxyxyxyxyxyxyz"; printf "%s\n", s } }' \
    >"$folder/many"
  as_grep 'matches over 20 MiB' xyxyz "$folder/many"
  rm -f "$folder/many"
}

# The processor time in ticks that a process has used. Fails where it has ended.
ticks() {
  read -r line 2>/dev/null <"/proc/$1/stat" || return 1
  # shellcheck disable=SC2086
  set -- ${line##*) }
  [ "$1" != Z ] && echo $((${12} + ${13}))
}

# Stop it in the middle, cut the file, let it go on. Returns 1 where it ended first.
cut_in_the_middle() {
  start=
  while now=$(ticks "$pid"); do
    if [ -n "$start" ] && [ $((now - start)) -ge 3 ]; then
      kill -STOP "$pid" || return 1
      truncate -s "$2" "$1"
      kill -CONT "$pid"
      return 0
    fi
    [ -n "$start" ] || for descriptor in "/proc/$pid/fd/"*; do
      [ "$(readlink "$descriptor")" != "$1" ] || start=$now
    done
    sleep 0.01
  done
  return 1
}

cut_file() {
  size=4294967296 cut=3221225595
  if [ ! -r /proc/self/stat ]; then
    echo "skipped: a file that is cut: the system does not tell through /proc how far a process has come"
    return
  fi
  if ! truncate -s "$size" "$folder/long" 2>/dev/null; then
    echo "skipped: a file that is cut: the file system has no files of $size bytes"
    return
  fi
  for turn in 1 2 3 4 5; do
    truncate -s "$size" "$folder/long"
    "$search" abc "$folder/long" >"$folder/out" 2>"$folder/err" </dev/null &
    pid=$!
    cut_in_the_middle "$folder/long" "$cut"
    done_in_time=$?
    wait "$pid"
    status=$?
    pid=
    [ "$done_in_time" = 0 ] && break
    echo "once more: the search ended before the file could be cut, turn $turn"
  done
  judge 'a file that is cut while it is searched' "$status" 2 '' "at offset $cut: the file was truncated; searched $cut of $size bytes"
  rm -f "$folder/long"
}

lines() {
  printf 'one\ntwo\nthree' >"$folder/lines"
  "$minimal" "$folder/lines" >"$folder/out" 2>"$folder/err"
  judge 'minimal counts lines' "$?" 0 '2 lines' ''
  "$minimal" "$folder/empty" >"$folder/out" 2>"$folder/err"
  judge 'minimal on an empty file' "$?" 0 '0 lines' ''
  "$minimal" "$folder/missing" >"$folder/out" 2>"$folder/err"
  judge 'minimal on a missing file' "$?" 1 '' 'at byte 0'
}

plain_files
calls
borders
many_matches
cut_file
lines
if [ "$failed" -gt 0 ]; then
  echo "$failed failed"
  exit 1
fi
