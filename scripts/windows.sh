# shellcheck shell=bash disable=SC2034
# The Windows stages of scripts/check, and what they need: MinGW's compilers and Wine 8 from Debian 12, Check built for
# Windows, and Wine 10 in a Debian 13 of its own, which also runs 32-bit programs. What is made once for all checks is
# in build/windows. scripts/stages.sh sources this.
# SPDX-License-Identifier: MIT

WINDOWS=$BUILD/windows
TRIXIE=$WINDOWS/trixie

# The compilers of the win32 thread model: what they make needs no libwinpthread. Only the tests in C++ want
# std::thread; they are made by the compiler of the other model, and linked statically.
WINDOWS_PACKAGES=(gcc-mingw-w64-x86-64-win32 gcc-mingw-w64-i686-win32 g++-mingw-w64-x86-64-posix wine64 debootstrap)

# once NAME KEY COMMAND...: run the command, and nobody else at the same time, unless it has succeeded with that key
# before. One that was interrupted is run again.
once() {
  local name=$1 key=$2
  shift 2
  mkdir -p "$WINDOWS"
  {
    flock 8
    [ "$(cat "$WINDOWS/$name.done" 2>/dev/null)" != "$key" ] || return 0
    rm -f "$WINDOWS/$name.done"
    "$@" 8>&- || return 1
    printf '%s\n' "$key" >"$WINDOWS/$name.done"
  } 8>"$WINDOWS/$name.lock"
}

#
# Packages of this system's own mirror that are not installed
#

# debian_mirror: the mirror of Debian itself that apt is set up with here, and the name of the release it is to give.
debian_mirror() {
  have apt-get || return 1
  # shellcheck disable=SC2016 # apt-get fills these in
  apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
    grep -v -e '-updates$' -e '-security$' -e '-backports' | head -n 1 | grep .
}

# private_apt FOLDER: sets apt_options for apt-get to work there, by FOLDER/sources.list, and change nothing elsewhere.
private_apt() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  : >"$1/status"
  apt_options=(-q -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$1/lists" -o "Dir::State::status=$1/status" -o "Dir::Cache=$1/cache"
    -o Acquire::Languages=none -o APT::Sandbox::User=)
}

fetch_check_source() {
  local folder=$WINDOWS/check-source mirror
  local -a apt_options
  mirror=$(debian_mirror) || return 1
  rm -rf "$folder"
  mkdir -p "$folder/source"
  printf 'deb-src %s main\n' "$mirror" >"$folder/sources.list"
  private_apt "$folder"
  apt-get "${apt_options[@]}" update || return 1
  (cd "$folder" && apt-get "${apt_options[@]}" source --download-only check) || return 1
  tar -C "$folder/source" --strip-components=1 -xf "$folder"/check_*.orig.tar.* || return 1
  rm -rf "$folder/lists" "$folder/cache"
}

# build_check HOST: only the library; it has no use for fork, signals and documentation there.
build_check() {
  local folder=$WINDOWS/$1
  rm -rf "$folder"
  mkdir -p "$folder/build"
  (cd "$folder/build" &&
    "$WINDOWS/check-source/source/configure" --host="$1" CC="$1-gcc-win32" PKG_CONFIG=false --prefix="$folder" \
      --disable-shared --disable-subunit --disable-build-docs --disable-dependency-tracking &&
    make -C lib && make -C src install && cp check_stdint.h "$folder/include") || return 1
  rm -rf "$folder/build"
}

# cross_check HOST: Check for Windows. Sets check_variables for configure; fails where its source cannot be had.
cross_check() {
  local folder=$WINDOWS/$1 pthread
  pthread=$("$1-gcc-win32" -print-file-name=libwinpthread.a)
  check_variables=(CHECK_CFLAGS="-I$folder/include" CHECK_LIBS="$folder/lib/libcheck.a $pthread")
  once check-source 1 fetch_check_source && once "check-$1" "$("$1-gcc-win32" --version | head -n 1)" build_check "$1"
}

#
# Wine
#

# wine_surroundings PREFIX first|last: without them Wine opens windows, wants downloads and debuggers, or knows only
# ASCII names. Each program that starts looks for the time zone among all that Wine knows: it gets the one that comes
# first, which halves what a start costs.
wine_surroundings() {
  export MF_WINE=wine64 WINEPREFIX=$1 WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml=;winedbg.exe=d' LC_ALL=C.UTF-8
  export TZ='<+0430>-4:30' MF_WINE_CPU
  MF_WINE_CPU=$(processor "$2")
  export PATH=/usr/lib/wine:$PATH
  unset DISPLAY WAYLAND_DISPLAY WINEPATH WINEARCH
}

# processor first|last: its number, of those that may be used here. A program under Wine and Wine's server take turns,
# mostly: on one processor they need half the time, since none has to be woken on the other. Tests whose threads run
# side by side take all processors again.
processor() {
  local list
  list=$(LC_ALL=C taskset -cp $$ | sed 's/.*: //')
  [ "$1" = last ] || list=${list%%[,-]*}
  printf '%s\n' "${list##*[,-]}"
}

# wine_tool COMMAND...: Wine's own programs, where Wine is; they are ended when they hang.
wine_tool() {
  local -a run=(taskset -c "$MF_WINE_CPU" timeout -k 10 120)
  [ -z "${MF_WINE_ROOT:-}" ] || run=(in_trixie "${run[@]}")
  "${run[@]}" "$@" </dev/null
}

# What is repeated to find what happens rarely is repeated by the stages of this system; here some of it will do. With
# fewer faults where another stage makes the million, on the same kind of processor.
rounds_on_wine() {
  export MAPFILE_TEST_ROUNDS=20 MAPFILE_TEST_TRUNCATIONS=1000
}

fewer_rounds_on_wine() {
  export MAPFILE_TEST_ROUNDS=20 MAPFILE_TEST_TRUNCATIONS=300 MAPFILE_TEST_FAULTS=100000
}

make_prefix() {
  rm -rf "$WINEPREFIX"
  wine_tool wine64 wineboot -i &&
    wine_tool wine64 reg add 'HKCU\Software\Wine' /v Version /d win10 /f && wine_tool wineserver -w
}

# At the end of the stage, also when it is told to stop.
end_wine() {
  trap '' TERM INT HUP
  wine_tool wineserver -k || true
  rm -rf "$TMPDIR"
}

# start_wine KINDS: Wine's server, which stays until the stage ends, however it ends. Should it be left over all the
# same, it goes a minute after its last program.
start_wine() {
  trap end_wine EXIT
  once "${WINEPREFIX##*/}" "$(wine_tool wine64 --version) $1" make_prefix ||
    skip "Wine could not be set up (see the log)"
  wine_tool wineserver -p60
}

# The Wine of this system; on Debian 12 Wine 8, for 64-bit programs only.
wine_prefix() {
  wine_surroundings "$WINDOWS/prefix" first
  need_commands wine64 wineserver
  start_wine 64
}

#
# Wine 10, in a Debian 13
#

# choose_suite MIRROR: prints the name by which this mirror has Debian 13 with sound indexes for both kinds of
# processors: while it is being brought up to date that may be the one and not the other.
choose_suite() {
  local folder=$WINDOWS/trixie-lists suite code=1
  local -a apt_options
  for suite in trixie stable; do
    rm -rf "$folder"
    mkdir -p "$folder"
    printf 'deb [arch=amd64,i386] %s %s main\n' "$1" "$suite" >"$folder/sources.list"
    private_apt "$folder"
    apt-get "${apt_options[@]}" update >&2 || continue
    grep -q -x 'Codename: trixie' "$folder"/lists/*Release || continue
    code=0
    break
  done
  rm -rf "$folder"
  [ "$code" = 0 ] && printf '%s\n' "$suite"
}

# make_trixie: only for 64-bit programs as yet.
make_trixie() {
  local mirror suite free
  free=$(df --output=avail -BM "$WINDOWS" | tail -n 1 | tr -dc 0-9)
  echo "Debian 13 with Wine 10 takes 3.5 GB in $WINDOWS, where $((free / 1024)) GB are free; 450 MB are downloaded"
  [ "$free" -ge 5000 ] || { echo "that is too little" && return 1; }
  mirror=$(debian_mirror) || { echo "apt knows no mirror of Debian" && return 1; }
  mirror=${mirror% *}
  suite=$(choose_suite "$mirror") || suite=trixie
  rm -rf "$TRIXIE" "$WINDOWS/trixie32.done" "$WINDOWS/prefix10.done"
  debootstrap --variant=minbase --arch=amd64 "$suite" "$TRIXIE" "$mirror" || return 1
  cp /etc/resolv.conf /etc/hosts "$TRIXIE/etc/" || return 1
  apt-config dump | grep -i '^Acquire::.*Proxy' >"$TRIXIE/etc/apt/apt.conf.d/90proxy"
  install_in_trixie wine64
}

# 32-bit programs need a second Wine beside the first.
add_wine32() {
  chroot "$TRIXIE" dpkg --add-architecture i386 && install_in_trixie wine32:i386
}

install_in_trixie() {
  local -a inside=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive chroot "$TRIXIE" apt-get -q)
  "${inside[@]}" -o Acquire::Languages=none update &&
    "${inside[@]}" -y --no-install-recommends install "$@" </dev/null && "${inside[@]}" clean
}

# in_trixie COMMAND...: run it there, in this folder, which must lie below build.
in_trixie() {
  chroot "$TRIXIE" env -C "$PWD" "$@"
}

# enter_trixie [32]: from here on the stage has mounts and processes of its own, which end with it, and Wine is that of
# the other system. With 32 it must know programs of 32 bits. One stage at a time: they share a prefix.
enter_trixie() {
  local kinds=64
  [ "$(uname -m)" = x86_64 ] || skip "only on x86-64"
  [ "$(id -u)" = 0 ] || skip "Wine 10 runs in a chroot, which needs root"
  need_commands debootstrap
  enter_private_mounts --pid --fork --kill-child --mount-proc
  mkdir -p "$WINDOWS"
  exec 7>"$WINDOWS/trixie.use"
  flock 7
  once trixie 1 make_trixie || skip "Debian 13 with Wine 10 could not be had (see the log)"
  once trixie32 1 add_wine32 && kinds="64 and 32"
  [ "$kinds" != 64 ] || [ "${1:-64}" = 64 ] || skip "Wine 10 for 32-bit programs could not be had (see the log)"
  mount_in_trixie
  wine_surroundings "$WINDOWS/prefix10" last
  export HOME=/root XDG_RUNTIME_DIR=/run/user/0 MF_WINE_ROOT=$TRIXIE
  start_wine "$kinds"
}

# The other system sees processes, shared memory and build.
mount_in_trixie() {
  mkdir -p "$TRIXIE/$BUILD" "$TRIXIE/run/user/0"
  mount -t proc proc "$TRIXIE/proc"
  mount -t tmpfs -o mode=1777 mapfile-check "$TRIXIE/dev/shm"
  mount --bind "$BUILD" "$TRIXIE/$BUILD"
}

#
# The stages
#

# build_windows NAME HOST ARGUMENT...: build in build/check/NAME, with all that the tests need. libtool is not to ask
# Wine for the Windows names of folders: that would be the Wine of the user's home, and wine-run does without them.
build_windows() {
  local name=$1 host=$2
  shift 2
  cross_check "$host" || {
    check_variables=()
    note_skip "what uses Check" "Check could not be built for $host"
    count 0 0 1
  }
  build_in "$name" --host="$host" PKG_CONFIG=false lt_cv_to_host_file_cmd=func_convert_file_noop \
    "${check_variables[@]}" "$@"
  make check TESTS=
}

# check_on_wine [VARIABLE=VALUE...]: make check in this folder, by the Wine that was set up.
check_on_wine() {
  make_check EXEC_WRAPPER="$TOP/scripts/wine-run" "$@"
}

# look_at_dll HOST: what make gave. The DLL needs nothing that Windows does not have, and shows nothing but mapfile_*.
look_at_dll() {
  local dll=.libs/libmapfile-0.dll others
  [ -f .libs/libmapfile.dll.a ] || fail "there is no import library"
  [ -f .libs/libmapfile.a ] || fail "there is no static library"
  grep -q -w mapfile_open libmapfile.def || fail "libmapfile.def does not list what the DLL exports"
  "$1-objdump" -p "$dll" >"$TMPDIR/dll"
  others=$(sed -n 's/.*DLL Name: //p' "$TMPDIR/dll" |
    grep -v -i -x -E '(kernel32|ntdll|msvcrt|ucrtbase|api-ms-win-.*)\.dll' || true)
  [ -z "$others" ] || fail "the DLL needs" $others
  others=$("$1-nm" .libs/libmapfile.dll.a | sed -n 's/.* T _\{0,1\}//p' | grep -v '^mapfile_' || true)
  [ -z "$others" ] || fail "the DLL exports" $others
  count 1 0 0
}

# x86-64 by gcc, under Wine 8.
stage_win64() {
  local host=x86_64-w64-mingw32 cxx=no
  need_commands $host-gcc-win32
  ! have $host-g++-posix || cxx="$host-g++-posix -static"
  build_windows win64 $host CC=$host-gcc-win32 CXX="$cxx"
  look_at_dll $host
  look_at_install
  wine_prefix
  rounds_on_wine
  check_on_wine
  bench_on_wine
}

# What make install puts where.
look_at_install() {
  local name to=$TMPDIR/installed
  make install DESTDIR="$to" prefix=/mapfile
  for name in bin/libmapfile-0.dll bin/mapfile-conformance.exe lib/libmapfile.dll.a lib/libmapfile.a \
    lib/pkgconfig/mapfile.pc include/mapfile.h share/man/man3/mapfile_open.3; do
    [ -s "$to/mapfile/$name" ] || fail "make install leaves out $name"
  done
  count 1 0 0
}

# What the scopes and faults cost, in short: that it can be measured is what is tested.
bench_on_wine() {
  make bench EXEC_WRAPPER="$TOP/scripts/wine-run" BENCH_FLAGS="--rounds 9"
  count 1 0 0
}

# Removing and renaming as on Windows before version 10, which knows no POSIX semantics. What is compiled for it need
# not be fast.
old_delete() {
  local host=x86_64-w64-mingw32 promise bad=0
  build_in win64-hooks --host=$host PKG_CONFIG=false lt_cv_to_host_file_cmd=func_convert_file_noop CC=$host-gcc-win32 \
    CXX=no CFLAGS=-O1 --enable-test-hooks --disable-shared
  for promise in remove-mapped rename-mapped park-release; do
    MAPFILE_TEST_HOOKS=old-delete run_tap "old-delete.$promise" "$TOP/scripts/wine-run" ./mapfile-conformance.exe \
      --tap --case $promise "Z:$TMPDIR" || bad=1
  done
  return $bad
}

# The same under Wine 10, which knows deletion as POSIX has it.
stage_wine10() {
  local bad=0
  enter_trixie
  fewer_rounds_on_wine
  old_delete || bad=1
  cd "$WORK/win64" || return 1
  check_on_wine || bad=1
  return $bad
}

# 32-bit x86 by gcc. Wine of Debian 12 is without the part for it.
stage_win32() {
  local host=i686-w64-mingw32
  need_commands $host-gcc-win32
  build_windows win32 $host CC=$host-gcc-win32 CXX=no
  enter_trixie 32
  look_at_dll $host
  rounds_on_wine
  check_on_wine
}

# x86-64 by clang, which has __try. And programs of one compiler with the DLL of the other.
stage_mingw_clang() {
  local host=x86_64-w64-mingw32 bad=0
  need_commands clang $host-gcc-win32
  # clang does not find the folder of gcc's library, and then talks of it each time it does not link.
  build_windows mingw-clang $host CXX=no CC="clang --target=$host -fms-extensions -Qunused-arguments \
    -L$(dirname "$($host-gcc-win32 -print-libgcc-file-name)")"
  look_at_dll $host
  wine_prefix
  fewer_rounds_on_wine
  # The promises are looked at below, with this DLL and with this program.
  check_on_wine TESTS="tests/unit/bytes.exe tests/unit/access.exe tests/faults/million.exe \
    tests/faults/truncations.exe tests/hosts/loader.exe" || bad=1
  other_dll clang-program-gcc-dll win64 || bad=1
  cd "$WORK/win64" || return 1
  other_dll gcc-program-clang-dll mingw-clang || bad=1
  return $bad
}

# other_dll NAME BUILD: the conformance suite of this folder with the DLL of that build.
other_dll() {
  WINEPATH=Z:${WORK//\//\\}\\$2\\.libs run_tap "$1" "$TOP/scripts/wine-run" ./mapfile-conformance.exe --tap "Z:$TMPDIR"
}
