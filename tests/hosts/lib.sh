# shellcheck shell=sh
# What the tests in host programs share. Source it: . "$(dirname "$0")/lib.sh"
# SPDX-License-Identifier: MIT
#
# A test runs in the build folder, prints TAP, and exits with 0 (all is well), 1 (something is not) or 77 (nothing could
# run, and why). MAPFILE_LIBRARY and HOSTED_LIBRARY say where the two shared libraries are, if not where a build leaves
# them. $folder is a temporary folder that vanishes at the end; $folder/lib holds the libraries.

# Whatever hangs, this ends.
if [ -z "${HOSTS_GUARDED-}" ]; then
  HOSTS_GUARDED=yes exec timeout -k 10 900 sh "$0" "$@"
fi

# shellcheck disable=SC2034 # for the scripts
sources=$(cd "$(dirname "$0")" && pwd -P)
library=${MAPFILE_LIBRARY:-.libs/libmapfile.so}
hosted=${HOSTED_LIBRARY:-tests/hosts/.libs/libhosted.so}
number=0
failed=0
folder=

skip_all() {
  printf '1..0 # SKIP %s\n' "$*"
  exit 77
}

# The ELF class and machine of a file.
kind_of() {
  od -An -tx1 -j4 -N1 "$1" && od -An -tx1 -j18 -N2 "$1"
}

uses_glibc() {
  grep -q -a -F libc.so.6 "$1"
}

# Can this system's own programs load the library?
need_library() {
  for file in "$library" "$hosted"; do
    [ -f "$file" ] || skip_all "$file has not been built as a shared library"
  done
  [ "$(kind_of "$library")" = "$(kind_of /bin/sh)" ] || skip_all "the library is for another processor than this system"
  if uses_glibc /bin/sh && ! uses_glibc "$library"; then
    skip_all "the library is for another C library than this system's"
  fi
  if grep -q -a -E '__(asan|tsan|msan)_init' "$library"; then
    skip_all "the library is instrumented for a sanitizer, and host programs are not"
  fi
}

# need_command NAME PACKAGE
need_command() {
  command -v "$1" >/dev/null 2>&1 || skip_all "$1 is not installed (Debian: $2)"
}

begin() {
  need_library
  folder=$(mktemp -d "${TMPDIR:-/tmp}/mapfile-hosts.XXXXXX") || exit 1
  trap 'rm -rf "$folder"' EXIT
  trap 'exit 1' INT TERM HUP
  mkdir "$folder/lib" "$folder/files" || exit 1
  cp -P "$(dirname "$library")"/libmapfile.so* "$(dirname "$hosted")"/libhosted.so* "$folder/lib/" || exit 1
  LD_LIBRARY_PATH=$folder/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
  # shellcheck disable=SC3045 # every shell that is somebody's sh knows it
  ulimit -c 0
}

# prepare WHAT COMMAND...: something all cases need; without it the test fails.
prepare() {
  what=$1
  shift
  if ! "$@" >"$folder/prepared" 2>&1; then
    cat "$folder/prepared"
    printf 'not ok 1 - %s\n1..1\n' "$what"
    exit 1
  fi
}

# How a command ended: its exit status, or the name of the signal that killed it.
ending() {
  if [ "$1" -gt 128 ]; then
    kill -l "$1" 2>/dev/null || echo "$1"
  else
    echo "$1"
  fi
}

# check WHAT END TEXT COMMAND...: run it; it must end so, and its output must have a line with TEXT.
check() {
  what=$1 end=$2 text=$3
  shift 3
  number=$((number + 1))
  ("$@") >"$folder/out" 2>&1 </dev/null
  ended=$(ending "$?")
  if [ "$ended" != "$end" ]; then
    wrong="ended with $ended instead of $end"
  elif ! grep -q -F -e "$text" "$folder/out"; then
    wrong="did not print '$text'"
  elif [ -n "$(find "$folder/files" -type f ! -name 'hs_err*')" ]; then
    wrong="left files behind"
  else
    printf 'ok %d - %s\n' "$number" "$what"
    return 0
  fi
  failed=$((failed + 1))
  printf 'not ok %d - %s: %s\n' "$number" "$what" "$wrong"
  head -n 60 "$folder/out" | sed 's/^/# /'
  return 1
}

# The last command's output must have so many lines with TEXT.
check_lines() {
  number=$((number + 1))
  if [ "$(grep -c -F -e "$3" "$folder/out")" = "$2" ]; then
    printf 'ok %d - %s\n' "$number" "$1"
  else
    failed=$((failed + 1))
    printf 'not ok %d - %s\n' "$number" "$1"
    head -n 60 "$folder/out" | sed 's/^/# /'
  fi
}

finish() {
  printf '1..%d\n' "$number"
  [ "$failed" = 0 ] || exit 1
  exit 0
}
