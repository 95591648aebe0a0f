# shellcheck shell=bash
# What scripts/check and scripts/demo share: where things are, and the packages they need.
# SPDX-License-Identifier: MIT
#
# Source it from a bash script that lies in scripts/:
#
#     . "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
#     need_packages "the demo" gcc make autoconf
#
# It sets TOP (the source folder) and BUILD (TOP/build, which git ignores), and defines the functions below. It changes
# no shell option and no folder.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=$TOP/build

say() {
  printf '%s\n' "$*"
}

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# have COMMAND: is it on the PATH?
have() {
  command -v "$1" >/dev/null 2>&1
}

# as_root COMMAND...: run it as root, without asking for a password. Fails where that cannot be.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# missing_packages PACKAGE...: those that are not installed, one a line. A package may be written a|b: either will do,
# and a is what is missing where neither is there.
missing_packages() {
  local wanted choice found
  for wanted in "$@"; do
    found=
    for choice in ${wanted//|/ }; do
      [ "$(dpkg-query -W -f '${db:Status-Status}' "$choice" 2>/dev/null)" = installed ] && found=yes
    done
    [ -n "$found" ] || printf '%s\n' "${wanted%%|*}"
  done
}

# What apt-get would do: a line with the download and the disk space it takes.
package_cost() {
  LC_ALL=C apt-get install --assume-no --no-install-recommends "$@" 2>/dev/null </dev/null |
    sed -n -e 's/^Need to get \(.*\) of archives\.$/\1 to download/p' \
      -e 's/^After this operation, \(.*\) of additional disk space will be used\.$/\1 on disk/p' | paste -sd ';' |
    sed 's/;/, /'
}

# need_packages WHAT PACKAGE...: install those Debian packages that are missing, and say first which and how large they
# are. Returns 1, with the reason printed, where they cannot be installed; what needs them is then left out or fails
# with a reason of its own.
need_packages() {
  local what=$1 missing log=$BUILD/packages.log cost
  shift
  if ! have dpkg-query || ! have apt-get; then
    say "packages: not a Debian system: what is missing is left out"
    return 1
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  say "packages: $what needs ${missing[*]}"
  if ! as_root true; then
    say "packages: not installed: neither root nor sudo without a password; as root: apt-get install ${missing[*]}"
    return 1
  fi
  mkdir -p "$BUILD"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >"$log" 2>&1 </dev/null ||
    say "packages: apt-get update failed (see $log), going on with the lists that are there"
  cost=$(package_cost "${missing[@]}")
  say "packages: installing them: ${cost:-cost unknown}"
  if ! install_packages "${missing[@]}" >>"$log" 2>&1; then
    mapfile -t missing < <(missing_packages "$@")
    say "packages: could not be installed: ${missing[*]} (see $log)"
    return 1
  fi
}

# All at once, and where that fails each alone, so that one that cannot be had does not keep out the others.
install_packages() {
  local package failed=0
  local -a command=(env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends
    -o DPkg::Lock::Timeout=300)
  as_root "${command[@]}" "$@" </dev/null && return 0
  for package in "$@"; do
    as_root "${command[@]}" "$package" </dev/null || failed=1
  done
  return $failed
}

# The source files, as git knows them or, in a release, as they lie there; NUL after each.
list_sources() {
  if [ "$(git -C "$TOP" rev-parse --show-toplevel 2>/dev/null)" = "$TOP" ]; then
    git -C "$TOP" ls-files -z --cached --others --exclude-standard |
      while IFS= read -r -d '' file; do
        [ ! -f "$TOP/$file" ] || printf '%s\0' "$file"
      done
  else
    (cd "$TOP" && find . \( -path ./build -o -name .git -o -name .libs -o -name .deps -o -name autom4te.cache \) -prune \
      -o -type f ! -name '*.o' ! -name '*.lo' ! -name '*.la' ! -name '*.log' ! -name '*.trs' ! -name Makefile \
      ! -name config.h ! -name config.status ! -name libtool ! -name stamp-h1 -printf '%P\0')
  fi
}

# copy_sources FOLDER: bring a copy of the sources up to date there, with a configure made in it where the sources have
# none. So nothing generated comes into TOP, and a build that was made there is not in the way. FOLDER.key changes when
# configure may have changed.
copy_sources() {
  local folder=$1 key
  mkdir -p "$folder" || return 1
  list_sources | LC_ALL=C sort -z >"$folder.list"
  tar -C "$TOP" --null -T "$folder.list" -cf - | tar -C "$folder" -xf - || return 1
  if [ -f "$folder.old" ]; then
    LC_ALL=C comm -z -23 "$folder.old" "$folder.list" | (cd "$folder" && xargs -0 -r rm -f)
  fi
  cp "$folder.list" "$folder.old"
  key=$(cd "$folder" && cat configure.ac Makefile.am m4/mapfile.m4 include/mapfile.h | cksum)
  if ! grep -q -z -x configure "$folder.list"; then
    [ -x "$folder/configure" ] && [ "$(cat "$folder.key" 2>/dev/null)" = "$key" ] && return 0
    "$folder/bootstrap" || return 1
  fi
  printf '%s\n' "$key" >"$folder.key"
}
