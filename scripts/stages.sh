# shellcheck shell=bash disable=SC2034
# The stages of scripts/check, one function each. A stage runs in a process of its own with set -e, in build/check, with
# a TMPDIR of its own; what it prints goes to its log. It succeeds, fails (any other exit code), or calls skip REASON.
# SPDX-License-Identifier: MIT

WORK=$BUILD/check
SOURCE=$WORK/source

# Debian packages.
QUICK_PACKAGES=(gcc g++ libc6-dev make autoconf automake libtool pkg-config check)
FULL_PACKAGES=(clang libclang-rt-14-dev clang-format lld valgrind xz-utils
  gcc-12-multilib musl-tools
  fuse3 libfuse3-dev e2fsprogs mount
  libsigsegv-dev libglib2.0-dev libapr1-dev libboost-dev libsqlite3-dev
  spin golang-go "default-jdk-headless|openjdk-17-jdk-headless" python3
  groff-base shellcheck)

. "$TOP/scripts/windows.sh"
. "$TOP/scripts/foreign.sh"
FULL_PACKAGES+=("${FOREIGN_PACKAGES[@]}" "${WINDOWS_PACKAGES[@]}")

QUICK_STAGES="bootstrap headers readme build gcc here"

# name, what it builds on (- for nothing), the most seconds it may take, what it does. Long ones first.
stage_table() {
  cat <<'END'
bootstrap       -           120 a copy of the sources, with configure
headers         -           120 mapfile.h alone: C11 and C++17, gcc and clang, pedantic
build           bootstrap   300 gcc: build the library and its tests
gcc             build       900 make check of that build
here            build       300 the conformance suite on this file system and on tmpfs
valgrind        bootstrap  1200 make check under valgrind
tsan            bootstrap  1500 tests of threads under gcc's thread sanitizer
gcc-sanitize    bootstrap   900 make check under gcc's address and undefined-behaviour sanitizers
clang-sanitize  bootstrap   900 the same with clang
distcheck       build       900 make distcheck; every source file is in the tarball
clang           bootstrap   600 clang: build and make check
jump            bootstrap   600 recovery by a jump from the handler: make check
hooks           bootstrap   600 hosts with little address space, without a unified cache, whose maps fail: simulated
m32             build       600 32-bit x86: make check
aarch64         build       900 aarch64 under qemu: make check
armhf           build       900 32-bit ARM under qemu: make check
s390x           build       900 s390x, big-endian, under qemu: make check
ppc64le         build       900 ppc64le with pages of 64 KiB, under qemu: make check
win32           bootstrap  1500 Windows, i686: build, and make check under Wine 10
win64           bootstrap  1200 Windows, x86-64: build, and make check under Wine 8
wine10          win64      1500 the same under Wine 10
mingw-clang     win64      1200 Windows, x86-64 by clang: make check, and each compiler's programs with the other's DLL
musl            build       600 musl: make check
bench           build       300 make bench, in short
demo            bootstrap   600 scripts/demo --quick
filesystems     build       600 the conformance suite on ext4, tmpfs and FUSE
spin            bootstrap   900 the model of the protocol between pins and eviction
install         filesystems 300 make install, and programs built against it
format          bootstrap   120 clang-format agrees with every C file
scripts         bootstrap   120 shellcheck finds nothing in the scripts
manual          bootstrap    60 groff has no complaint about the pages of the manual
readme          bootstrap    10 README's example is examples/minimal.c
END
}

#
# Tools for stages
#

# skip REASON: this stage cannot run here.
skip() {
  printf '%s\n' "$*" >"$WORK/results/$STAGE.reason"
  printf 'skipped: %s\n' "$*"
  exit 77
}

# fail REASON
fail() {
  printf '%s\n' "$*" >"$WORK/results/$STAGE.reason"
  printf 'failed: %s\n' "$*"
  exit 1
}

# Skip unless all these commands are there.
need_commands() {
  local name
  for name in "$@"; do have "$name" || skip "$name is not installed"; done
}

count() {
  printf '%d %d %d\n' "$1" "$2" "$3" >>"$WORK/results/$STAGE.count"
}

sum_counts() {
  awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$1"
}

describe_counts() {
  local text="$1 passed"
  [ "$2" -eq 0 ] || text+=", $2 failed"
  [ "$3" -eq 0 ] || text+=", $3 skipped"
  printf '%s\n' "$text"
}

# note_skip TEST REASON: a test within this stage that could not run.
note_skip() {
  printf '%s\t%s\n' "$1" "$2" >>"$WORK/results/$STAGE.skips"
}

# The tests a stage skipped, those with the same reason together.
describe_skips() {
  awk -F '\t' '
    !($2 in names) { order[++n] = $2; names[$2] = $1; many[$2] = 1; next }
    { many[$2]++; if (many[$2] <= 4) names[$2] = names[$2] ", " $1 }
    END {
      for (i = 1; i <= n; i++) {
        r = order[i]
        more = (many[r] > 4) ? " and " (many[r] - 4) " more" : ""
        printf "     skipped %s%s: %s\n", names[r], more, r
      }
    }' "$1"
}

run_stage() {
  STAGE=$1
  declare -F "stage_${STAGE//-/_}" >/dev/null || die "there is no stage $STAGE"
  mkdir -p "$WORK/results" "$WORK/logs"
  export TMPDIR=$WORK/tmp/$STAGE
  if [ -z "${MF_PRIVATE_MOUNTS:-}" ]; then
    rm -rf "$TMPDIR"
    mkdir -p "$TMPDIR"
  fi
  trap 'rm -rf "$TMPDIR"' EXIT
  cd "$WORK"
  set -eE -o pipefail
  trap 'echo "failed: $BASH_COMMAND (line $LINENO)"' ERR
  "stage_${STAGE//-/_}"
}

# enter_private_mounts [OPTION...]: from here on the stage sees mounts of its own, which vanish with it. More that is to
# be its own: options for unshare.
enter_private_mounts() {
  [ -z "${MF_PRIVATE_MOUNTS:-}" ] || return 0
  [ "$(id -u)" = 0 ] || skip "mounting needs root"
  unshare -m "$@" true || skip "this system allows no mount namespace"
  trap - EXIT
  export MF_PRIVATE_MOUNTS=yes
  exec unshare -m "$@" --propagation private bash "$TOP/scripts/check" --stage "$STAGE"
}

# With the adapter, where its library is.
adapter() {
  if echo '#include <sigsegv.h>' | gcc -E - >/dev/null 2>&1; then
    echo --with-libsigsegv
  else
    note_skip libmapfile-sigsegv "libsigsegv is not installed (package libsigsegv-dev)"
    count 0 0 1
  fi
}

# slow_tests FACTOR: the tests run in a tool that slows them down so much: fewer rounds of what is repeated a million
# times, and more patience.
slow_tests() {
  export MAPFILE_TEST_TIME_FACTOR=$1 MAPFILE_TEST_FAULTS=$((200000 / $1)) MAPFILE_TEST_TRUNCATIONS=$((20000 / $1))
}

# The million faults and the ten thousand truncations are other stages' to make.
fewer_rounds() {
  export MAPFILE_TEST_FAULTS=200000 MAPFILE_TEST_TRUNCATIONS=2000
}

# build_in NAME [CONFIGURE-ARGUMENT...]: build in build/check/NAME and go there.
build_in() {
  local name=$1 key
  shift
  mkdir -p "$WORK/$name"
  cd "$WORK/$name"
  key="$(cat "$SOURCE.key") $*"
  if [ ! -f Makefile ] || [ "$(cat configured 2>/dev/null)" != "$key" ]; then
    find . -mindepth 1 -delete
    "$SOURCE/configure" --enable-werror "$@" || {
      cat config.log
      return 1
    }
    printf '%s\n' "$key" >configured
  fi
  make
}

# make check, with the variables given, and count what its tests say.
make_check() {
  local code=0
  make check "$@" || code=$?
  count_tests .
  [ "$code" = 0 ] || failures_of .
  return $code
}

# count_tests FOLDER: sum up what automake's harness left there. A program that uses Check counts with each of its
# cases, one that prints TAP with each of its lines, a script that runs others with each line it says of them (PASS,
# FAIL or SKIP and a name), any other as one.
count_tests() {
  local results log name
  while IFS= read -r results; do
    log=${results%.trs}.log
    name=${results#"$1"/}
    name=${name%.trs}
    name=${name#tests/}
    count_one "$results" "$log" >>"$WORK/results/$STAGE.count"
    skips_of "$name" "$results" "$log" >>"$WORK/results/$STAGE.skips"
  done < <(find "$1" -name '*.trs' | sort)
}

# failures_of FOLDER: what the failed tests said, Check's lines first, so that the end of the stage's log shows it.
failures_of() {
  local results log
  while IFS= read -r results; do
    log=${results%.trs}.log
    printf '== %s\n' "$log"
    grep -E '^[^ ]+:[0-9]+:[FE]:|^FAIL|^not ok' "$log" || tail -n 20 "$log"
  done < <(grep -r -l --include='*.trs' -E '^:test-result: (FAIL|XPASS|ERROR)' "$1" || true)
}

count_one() {
  awk '
    FILENAME ~ /\.trs$/ && /^:test-result: (PASS|XFAIL)/ { whole = "p" }
    FILENAME ~ /\.trs$/ && /^:test-result: (FAIL|XPASS|ERROR)/ { whole = "f" }
    FILENAME ~ /\.trs$/ && /^:test-result: SKIP/ { whole = "s" }
    FILENAME ~ /\.trs$/ || /\(exit status: [0-9]+\)$/ { next }
    match($0, /[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/) {
      split(substr($0, RSTART, RLENGTH), part, /[ ,]+/)
      checks += part[3]; bad += part[5] + part[7]; suites++
    }
    /^ok [0-9]+/ { inner++; if (/# SKIP/) s++; else p++; next }
    /^not ok/ { inner++; f++; next }
    /^PASS [^ ]/ { inner++; p++ }
    /^FAIL [^ ]/ { inner++; f++ }
    /^SKIP [^ ].*: / { inner++; s++ }
    END {
      # The line of a program that uses Check stands for its cases.
      if (inner && suites) { if (bad) f--; else p-- }
      if (inner || suites) { p += checks - bad; f += bad }
      else { p = whole == "p"; f = whole == "f"; s = whole == "s" }
      if (whole == "f" && f <= 0) f = 1
      print p + 0, f + 0, s + 0
    }' "$1" "$2"
}

# The tests that were skipped, each with its reason: what was printed as "SKIP TEST: REASON", else the last line.
skips_of() {
  awk -v name="$1" '
    FILENAME ~ /\.trs$/ { if (/^:test-result: SKIP/) skipped = 1; next }
    /\(exit status: [0-9]+\)$/ { next }
    /^SKIP [^ ].*: / {
      what = $0; sub(/^SKIP /, "", what); sub(/: .*/, "", what)
      why = $0; sub(/^[^:]*: /, "", why)
      print name " (" what ")\t" why
      told = 1
    }
    /^(ok [0-9]+|1\.\.0).*# SKIP/ {
      what = $0; sub(/^(ok [0-9]+ *-?|1\.\.0) */, "", what); sub(/ *# SKIP.*/, "", what)
      why = $0; sub(/.*# SKIP */, "", why)
      print name (what == "" ? "" : " (" what ")") "\t" why
      told = 1
    }
    /[^ ]/ { last = $0 }
    END { if (skipped && !told) print name "\t" (last == "" ? "no reason given" : last) }' "$2" "$3"
}

# The conformance program's case of fault-dlopen needs to know where these are.
export MAPFILE_TEST_LIBRARY=$WORK/gcc/.libs/libmapfile.so.0
export MAPFILE_TEST_LOADER=$WORK/gcc/tests/hosts/dlopen

# run_tap NAME COMMAND...: run a program that prints TAP, and count its cases.
run_tap() {
  local name=$1 code=0 out result p f s
  shift
  out=$WORK/logs/$STAGE.$name.tap
  "$@" >"$out" || code=$?
  cat "$out"
  result=$(awk -v code="$code" '
    /^1\.\.0.*# SKIP/ { s = 1; n = plan = 0; none = 1; code = 0 }
    /^1\.\.[0-9]+/ { plan = substr($1, 4) + 0 }
    /^not ok/ { f++; n++; next }
    /^ok/ { n++; if (toupper($0) ~ /# SKIP/) s++; else p++ }
    END {
      if (!none && (n == 0 || plan != n || (code != 0 && f == 0))) f++
      print p + 0, f + 0, s + 0
    }' "$out")
  read -r p f s <<<"$result"
  count "$p" "$f" "$s"
  awk -v name="$name" 'tolower($0) ~ /^(ok|1\.\.0).*# skip/ {
      what = $0; sub(/^(ok [0-9]* *-?|1\.\.0) */, "", what); sub(/ *# [Ss][Kk][Ii][Pp].*/, "", what)
      reason = $0; sub(/.*# [Ss][Kk][Ii][Pp] */, "", reason)
      print name " " what "\t" reason
    }' "$out" >>"$WORK/results/$STAGE.skips"
  if [ "$f" -ne 0 ]; then
    grep -A 3 '^not ok' "$out" || true
    printf '%s: %d failed, exit code %d\n' "$name" "$f" "$code"
    return 1
  fi
}

#
# The stages
#

stage_bootstrap() {
  need_commands make
  copy_sources "$SOURCE"
}

# compile_header COMPILER LANGUAGE STANDARD FILE
compile_header() {
  local -a warn=(-pedantic -Wall -Wextra -Wconversion -Wshadow -Werror)
  have "$1" || { note_skip "$1" "$1 is not installed" && count 0 0 1 && return 0; }
  [ "$2" = c++ ] || warn+=(-Wstrict-prototypes)
  echo "$1 -x $2 -std=$3 $4"
  if "$1" -x "$2" -std="$3" "${warn[@]}" -O2 -I"$TOP/include" -c -o "$TMPDIR/header.o" "$4"; then
    count 1 0 0
  else
    count 0 1 0
    return 1
  fi
}

stage_headers() {
  local header use bad=0
  for header in "$TOP"/include/*.h; do
    use=$TMPDIR/use.c
    # Twice, and nothing before it: it must stand alone.
    printf '#include "%s"\n#include "%s"\nint used(void);\nint used(void) { return 0; }\n' \
      "${header##*/}" "${header##*/}" >"$use"
    compile_header gcc c c11 "$use" || bad=1
    compile_header clang c c11 "$use" || bad=1
    compile_header g++ c++ c++17 "$use" || bad=1
    compile_header clang++ c++ c++17 "$use" || bad=1
  done
  return $bad
}

# Others use this build while its tests run, so it has everything that make check would make.
stage_build() {
  # shellcheck disable=SC2046 # nothing or one word
  build_in gcc CC=gcc --prefix="$WORK/installed" $(adapter)
  make check TESTS=
}

stage_gcc() {
  cd "$WORK/gcc"
  make_check
}

stage_clang() {
  need_commands clang
  # shellcheck disable=SC2046 # nothing or one word
  build_in clang CC=clang CXX=clang++ $(adapter)
  fewer_rounds
  make_check
}

# sanitize NAME CC CXX KINDS [LDFLAGS]: make check with those sanitizers.
sanitize() {
  local name=$1 cc=$2 cxx=$3 kinds=$4
  local flags="-O1 -g -fno-omit-frame-pointer -fsanitize=$kinds"
  # shellcheck disable=SC2046 # nothing or one word
  build_in "$name" $(adapter) CC="$cc" CXX="$cxx" --enable-debug CFLAGS="$flags -fno-sanitize-recover=all" \
    CXXFLAGS="$flags" LDFLAGS="${5:-}"
  # Tests look at how processes die of faults that are nobody's: the sanitizer must not catch those.
  export ASAN_OPTIONS=handle_segv=0:handle_sigbus=0 UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
  slow_tests 5
}

stage_gcc_sanitize() {
  sanitize gcc-sanitize gcc g++ address,undefined
  make_check
}

stage_clang_sanitize() {
  need_commands clang
  # A runtime linked into a program would make its own system calls through those that a test makes fail.
  local runtime
  runtime=$(clang -print-file-name=libclang_rt.asan-x86_64.so)
  sanitize clang-sanitize clang clang++ address,undefined "-shared-libasan -Wl,-rpath,${runtime%/*}"
  make_check
}

# gcc's: that of clang 14 fails in itself (thr->slot) where one thread sends another a signal.
stage_tsan() {
  local promise bad=0
  sanitize tsan gcc g++ thread
  make_check TESTS="tests/stress/names tests/stress/pins tests/stress/scopes tests/stress/writes tests/faults.sh \
    tests/conformance/cxx" || bad=1
  make mapfile-conformance
  # What a thread does to another. Signals that processes send are not among it: under this sanitizer they can wait for
  # ever.
  for promise in threads fork pin-stable pin-budget pin-fallback close-pinned pin-anywhere fault-exact fault-cause \
    fault-zero-fill fault-thread-exit fault-syscall whole-scan whole-find write-visible write-error no-leaks; do
    run_tap "$promise" ./mapfile-conformance --tap --case "$promise" "$TMPDIR" || bad=1
  done
  return $bad
}

# Without libtool's wrapper scripts, so that it is the programs that valgrind runs.
stage_valgrind() {
  need_commands valgrind
  build_in valgrind CC=gcc --disable-shared --enable-debug CFLAGS="-O1 -g"
  slow_tests 10
  MAPFILE_TEST_TRUNCATIONS=500
  # Leaks are LeakSanitizer's: a process forked by a test leaks what its parent's threads held. After a zero-fill the
  # very instruction must run again, with the registers as they were: --vex...
  make_check EXEC_WRAPPER="valgrind -q --error-exitcode=99 --trace-children=yes \
    --vex-iropt-register-updates=allregs-at-mem-access --vex-guest-chase=no \
    --suppressions=$SOURCE/tests/valgrind.supp"
}

stage_jump() {
  # shellcheck disable=SC2046 # nothing or one word
  build_in jump CC=gcc CPPFLAGS=-DMAPFILE_USE_SETJMP --with-recovery=jump $(adapter)
  fewer_rounds
  make_check
}

# With a library that takes this host for another. On the way, what other stages leave out: marks for a processor that
# checks calls and returns, a jump to registers that the library saved, and gcc's optimization at link time, which takes
# warnings of its own from code that it has put together.
checked_calls() {
  [ "$(uname -m)" != x86_64 ] || echo -fcf-protection=full
}

stage_hooks() {
  local hook bad=0 promise
  build_in hooks CC="gcc -flto -Wno-maybe-uninitialized $(checked_calls)" AR=gcc-ar NM=gcc-nm RANLIB=gcc-ranlib \
    --enable-test-hooks --disable-shared --with-recovery=jump
  make mapfile-conformance tests/unit/access
  for hook in small-host separate-cache fail-map=1+; do
    if (cd "$TMPDIR" && MAPFILE_TEST_HOOKS=$hook "$WORK/hooks/tests/unit/access"); then
      count 1 0 0
    else
      count 0 1 0
      bad=1
    fi
  done
  for hook in small-host separate-cache; do
    run_tap "$hook" env MAPFILE_TEST_HOOKS="$hook" ./mapfile-conformance --tap "$TMPDIR" || bad=1
  done
  # One map that cannot be made shows in nothing but where the map itself is what is looked at.
  for hook in fail-map=1 fail-map=2 fail-map=3 fail-map=7; do
    for promise in pin-anywhere pin-past-end pin-fallback close-pinned whole-find whole-scan; do
      run_tap "$hook.$promise" env MAPFILE_TEST_HOOKS="$hook" ./mapfile-conformance --tap --case "$promise" "$TMPDIR" ||
        bad=1
    done
  done
  return $bad
}

# The kernel's headers are the same for these compilers, which do not look where Debian has them.
kernel_headers() {
  local name
  mkdir -p "$WORK/kernel-headers"
  for name in asm asm-generic linux; do
    if [ -d "/usr/include/x86_64-linux-gnu/$name" ]; then
      ln -sfn "/usr/include/x86_64-linux-gnu/$name" "$WORK/kernel-headers/$name"
    else
      ln -sfn "/usr/include/$name" "$WORK/kernel-headers/$name"
    fi
  done
}

# fetch_check ARCHITECTURE TRIPLET: Check for another architecture: Debian's own packages, unpacked below build/check
# without being installed, since the architecture need not be enabled on this system for that. Sets check_variables for
# configure; fails where they cannot be had.
fetch_check() {
  local root=$WORK/check-$1 package lib=$WORK/check-$1/files/usr/lib/$2 mirror
  local -a apt_options
  check_variables=(CHECK_CFLAGS="-I$root/files/usr/include"
    CHECK_LIBS="$lib/libcheck.a $lib/libsubunit.a -lm -lrt -pthread")
  [ ! -f "$root/done" ] || return 0
  mirror=$(debian_mirror) || return 1
  rm -rf "$root"
  mkdir -p "$root/files"
  printf 'deb [arch=%s] %s main\n' "$1" "$mirror" >"$root/sources.list"
  private_apt "$root"
  apt_options+=(-o "APT::Architecture=$1" -o "APT::Architectures=$1")
  apt-get "${apt_options[@]}" update || return 1
  (cd "$root/cache" && apt-get "${apt_options[@]}" download check libsubunit-dev) || return 1
  for package in "$root"/cache/*.deb; do dpkg -x "$package" "$root/files" || return 1; done
  rm -rf "$root/lists" "$root/cache"
  touch "$root/done"
}

# check_for ARCHITECTURE TRIPLET: the same, or without.
check_for() {
  fetch_check "$@" && return
  check_variables=()
  note_skip "what uses Check" "Check for $1 could not be had"
  count 0 0 1
}

# The file system for tests is a program of its own: any build's tests may use the one of the first build.
borrow_faultfs() {
  if [ -x "$WORK/gcc/tests/faults/faultfs" ]; then
    mkdir -p "$WORK/$1/tests/faults"
    cp "$WORK/gcc/tests/faults/faultfs" "$WORK/$1/tests/faults/faultfs"
  fi
}

stage_m32() {
  [ "$(uname -m)" = x86_64 ] || skip "only on x86-64"
  kernel_headers
  local cc="gcc -m32 -idirafter $WORK/kernel-headers"
  echo 'int main(void) { return 0; }' >"$TMPDIR/empty.c"
  $cc -o "$TMPDIR/empty" "$TMPDIR/empty.c" || skip "gcc -m32 makes no programs here (package gcc-12-multilib)"
  "$TMPDIR/empty" || skip "32-bit programs do not run here"
  check_for i386 i386-linux-gnu
  build_in m32 --host=i686-pc-linux-gnu CC="$cc" CXX=no PKG_CONFIG=false "${check_variables[@]}"
  borrow_faultfs m32
  fewer_rounds
  make_check
}

stage_musl() {
  need_commands musl-gcc
  kernel_headers
  build_in musl CC="musl-gcc -idirafter $WORK/kernel-headers" CXX=no PKG_CONFIG=false
  borrow_faultfs musl
  fewer_rounds
  local bad=0
  make_check || bad=1
  # Its case of dlopen is tests/hosts/dlopen here, whose loader is musl's own.
  unset MAPFILE_TEST_LIBRARY MAPFILE_TEST_LOADER
  run_tap conformance ./mapfile-conformance --tap "$TMPDIR" || bad=1
  return $bad
}

stage_here() {
  local bad=0
  cd "$WORK/gcc"
  run_tap "$(stat -f -c %T "$TMPDIR" | tr / -)" ./mapfile-conformance --tap "$TMPDIR" || bad=1
  if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ]; then
    run_tap tmpfs ./mapfile-conformance --tap /dev/shm || bad=1
  else
    note_skip "tmpfs" "/dev/shm is no tmpfs that can be written to"
    count 0 0 1
  fi
  return $bad
}

# The conformance suite on file systems made for it.
stage_filesystems() {
  enter_private_mounts
  local program=$WORK/gcc/mapfile-conformance bad=0 folder=$TMPDIR/mnt
  mkdir -p "$folder"
  truncate -s 256M "$TMPDIR/ext4.image"
  if mkfs.ext4 -q -F "$TMPDIR/ext4.image" && mount -o loop "$TMPDIR/ext4.image" "$folder"; then
    run_tap ext4 "$program" --tap "$folder" || bad=1
    umount "$folder"
  else
    note_skip ext4 "no ext4 on a loop device here (see the log)"
    count 0 0 1
  fi
  mount -t tmpfs -o size=256m mapfile-check "$folder"
  run_tap tmpfs "$program" --tap "$folder" || bad=1
  umount "$folder"
  # shellcheck disable=SC2016 # the inner shell fills these in
  if [ -x "$WORK/gcc/tests/faults/faultfs" ]; then
    run_tap fuse bash "$SOURCE/tests/faults/run" --programs "$WORK/gcc/tests/faults" bash -c '
      [ -n "${MAPFILE_TEST_FUSE:-}" ] || { echo "1..0 # SKIP $MAPFILE_TEST_FUSE_WHY"; exit 77; }
      exec "$1" --tap "$MAPFILE_TEST_FUSE"' conformance "$program" || bad=1
  else
    note_skip fuse "faultfs was not built (it needs libfuse3)"
    count 0 0 1
  fi
  return $bad
}

# The protocol between pins and those who take maps away, in all its states; and its mistakes are found.
stage_spin() {
  need_commands spin
  run_tap model sh "$SOURCE/tests/spin/run" "$TMPDIR"
}

# Not its speed: every part runs, and its answers are right.
stage_bench() {
  cd "$WORK/gcc"
  make bench BENCH_FLAGS="--rounds 9 --size 8"
}

stage_demo() {
  local code=0
  bash "$SOURCE/scripts/demo" --quick || code=$?
  [ "$code" != 77 ] || skip "$(tail -n 1 "$WORK/logs/$STAGE.log")"
  return $code
}

stage_distcheck() {
  cd "$WORK/gcc"
  make distcheck
  local tarball missing
  tarball=$(ls -t libmapfile-*.tar.xz | head -n 1)
  missing=$(tar -tf "$tarball" | sed -n 's|^[^/]*/\(.*[^/]\)$|\1|p' | LC_ALL=C sort |
    LC_ALL=C comm -13 - <(tr '\0' '\n' <"$SOURCE.list" | grep -v '^\.gitignore$' | LC_ALL=C sort))
  [ -z "$missing" ] || fail "not in the tarball: $(tr '\n' ' ' <<<"$missing")"
}

# try_program WHAT COMPILER ARGUMENT...: build a program so, and see it count lines.
try_program() {
  local what=$1 program=$TMPDIR/program
  shift
  echo "== $what: $*"
  "$@" -o "$program"
  printf 'one\ntwo\nthree\n' >"$TMPDIR/lines"
  [ "$("$program" "$TMPDIR/lines")" = "3 lines" ]
  count 1 0 0
}

# examples/minimal.c in short, in C++.
plus_plus_program() {
  cat <<'END'
#include <iostream>
#include <mapfile.h>

int main(int, char **argv) {
  mapfile *file = nullptr;
  mapfile_view view = MAPFILE_VIEW_INIT;
  mapfile_scope scope;
  int lines = 0;
  MAPFILE_SCOPE_INIT(&scope);
  if (mapfile_open(argv[1], nullptr, &file) != MAPFILE_OK ||
      mapfile_pin(file, 0, MAPFILE_TO_END, MAPFILE_ZERO_FILL, &view) != MAPFILE_OK ||
      mapfile_scope_begin(&scope, file, &view) != MAPFILE_OK)
    return 1;
  for (size_t i = 0; i < view.length; i++)
    lines += static_cast<const char *>(view.data)[i] == '\n';
  if (mapfile_scope_end(&scope, nullptr) == MAPFILE_OK)
    std::cout << lines << " lines\n";
  return mapfile_unpin(&view) != MAPFILE_OK || mapfile_close(file) != MAPFILE_OK;
}
END
}

# What the installed library shows of itself: nothing but mapfile_*, and that it stays loaded.
look_at_library() {
  local library=$1 others
  others=$(nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /^mapfile_/ { print $3 }')
  [ -z "$others" ] || fail "exported: $others"
  [ "$(nm -D --defined-only "$library" | grep -c ' mapfile_')" -gt 0 ]
  readelf -d "$library" | grep -q NODELETE || fail "the library was not linked with -z nodelete"
  count 1 0 0
}

# Every call has a page in the manual, but for those that only the macros call.
look_at_manual() {
  local call missing=
  for call in $(nm -D --defined-only "$1/lib/libmapfile.so" | sed -n 's/.* \(mapfile_[a-z_]*\).*/\1/p'); do
    case $call in
      mapfile_scope_enter | mapfile_scope_save | mapfile_scope_leave) ;;
      *) [ -f "$1/share/man/man3/$call.3" ] || missing+=" $call" ;;
    esac
  done
  [ -z "$missing" ] || fail "no page in the manual for$missing"
  count 1 0 0
}

# The build's prefix is build/check/installed.
stage_install() {
  local root=$WORK/installed minimal=$SOURCE/examples/minimal.c hosts=$SOURCE/tests/hosts
  local -a strict=(-pedantic -Wall -Wextra -Werror) flags static
  rm -rf "$root"
  make -C "$WORK/gcc" install >/dev/null
  find "$root" ! -type d | sort
  export PKG_CONFIG_PATH=$root/lib/pkgconfig
  [ "$(pkg-config --modversion mapfile)" = "$("$WORK/gcc/config.status" --version | sed -n '1s/.* //p')" ]
  read -r -a flags < <(pkg-config --cflags --libs mapfile)
  read -r -a static < <(pkg-config --cflags --libs --static mapfile)
  try_program "shared" gcc -std=c11 "${strict[@]}" "$minimal" "${flags[@]}" -Wl,-rpath,"$root/lib"
  try_program "static" gcc -std=c11 -static "$minimal" "${static[@]}"
  plus_plus_program >"$TMPDIR/lines.cc"
  try_program "C++" g++ -std=c++17 "${strict[@]}" "$TMPDIR/lines.cc" "${flags[@]}" -Wl,-rpath,"$root/lib"
  look_at_library "$root/lib/libmapfile.so"
  look_at_manual "$root"
  if [ -f "$root/lib/pkgconfig/mapfile-sigsegv.pc" ]; then
    read -r -a flags < <(pkg-config --cflags --libs mapfile-sigsegv)
    read -r -a static < <(pkg-config --cflags --libs --static mapfile-sigsegv)
    gcc -o "$TMPDIR/adapter" "$hosts/libsigsegv.c" "${flags[@]}" -lsigsegv -Wl,-rpath,"$root/lib"
    run_tap adapter "$TMPDIR/adapter"
    gcc -static -o "$TMPDIR/adapter" "$hosts/libsigsegv.c" "${static[@]}"
    run_tap adapter-static "$TMPDIR/adapter"
  fi
  "$root/bin/mapfile-conformance" --list
  run_tap conformance "$root/bin/mapfile-conformance" --tap --access copied "$TMPDIR"
  make -C "$WORK/gcc" uninstall >/dev/null
  [ -z "$(find "$root" ! -type d)" ] || fail "uninstall left $(find "$root" ! -type d | head -n 3)"
}

# Every C file is as clang-format would have it.
stage_format() {
  local format=clang-format file bad=0
  need_commands "$format"
  case $("$format" --version) in
    *version\ 14.*) ;;
    *) skip "clang-format is not version 14" ;;
  esac
  while IFS= read -r -d '' file; do
    case $file in
      *.c | *.h | *.cpp)
        "$format" --dry-run -Werror "$SOURCE/$file" || bad=1
        ;;
    esac
  done <"$SOURCE.list"
  return $bad
}

# Shell scripts parse, and shellcheck finds no mistakes in them. Not looked at: variables that a script shares with one
# that it sources, and ulimit -c, which every sh has.
stage_scripts() {
  local file bad=0
  need_commands shellcheck
  while IFS= read -r -d '' file; do
    case $file in
      *.sh) ;;
      *.*) head -c 30 "$SOURCE/$file" | grep -q '^#!.*sh$' || continue ;;
      *) head -n 1 "$SOURCE/$file" | tr -d '\0' | grep -q '^#!.*sh$' || continue ;;
    esac
    (cd "$SOURCE" && shellcheck -x -S warning -e SC2034,SC2154,SC3045 "$file") || bad=1
  done <"$SOURCE.list"
  return $bad
}

# The manual's pages are set without a warning.
stage_manual() {
  need_commands groff
  groff -mandoc -Tutf8 -ww "$SOURCE"/docs/man/*.[1-9] 2>"$TMPDIR/warnings" >"$TMPDIR/pages"
  cat "$TMPDIR/warnings"
  [ ! -s "$TMPDIR/warnings" ]
}

# README shows examples/minimal.c as it is.
stage_readme() {
  sed -n '/^<!-- examples\/minimal.c -->$/,/^```$/p' "$SOURCE/README.md" | sed '1,2d;$d' |
    diff -u - "$SOURCE/examples/minimal.c"
}
