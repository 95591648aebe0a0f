#!/bin/sh
# Scopes inside a Java machine, beside its own use of SIGBUS and SIGSEGV. See java/Hosted.java and lib.sh.
# SPDX-License-Identifier: MIT

. "$(dirname "$0")/lib.sh"

need_command javac default-jdk-headless
need_command gcc gcc
javac=$(readlink -f "$(command -v javac)")
home=$(dirname "$(dirname "$javac")")
[ -f "$home/include/jni.h" ] || skip_all "$home/include/jni.h is not there (Debian: default-jdk-headless)"
[ -x "$home/bin/java" ] || skip_all "$home/bin/java is not there (Debian: default-jdk-headless)"
begin

build() {
  "$javac" -d "$folder/classes" "$sources/java/Hosted.java" &&
    gcc -O2 -fPIC -shared -I"$home/include" -I"$home/include/linux" -o "$folder/lib/libhosted_jni.so" \
      "$sources/java/hosted_jni.c" -L"$folder/lib" -lhosted -lmapfile
}

# java_host MODE [OPTION...]
java_host() {
  mode=$1
  shift
  "$home/bin/java" -Xmx128m -XX:-CreateCoredumpOnCrash -XX:ErrorFile="$folder/files/hs_err.log" \
    "$@" -cp "$folder/classes" Hosted "$folder/lib/libhosted_jni.so" "$mode" "$folder/files"
}

# libmapfile's handler is there before the machine's.
early_host() {
  HOSTED_EARLY=$folder/files
  LD_PRELOAD=$folder/lib/libhosted.so
  export HOSTED_EARLY LD_PRELOAD
  java_host "$@"
}

# The machine's report of its own death.
died_of_bus() {
  cat "$folder/files/hs_err.log"
  rm -f "$folder/files/hs_err.log"
}

prepare "build the Java program" build
check "the machine's handlers first" 0 "done" java_host first
check "the machine's handlers last" 0 "done" early_host last
check "access violations too" 0 "done" java_host access
check "interpreted only" 0 "done" java_host first -Xint
check "interpreted only, the machine's handlers last" 0 "done" early_host last -Xint
check "with the machine's checks" 0 "done" java_host first -Xcheck:jni
check "with the machine's checks, its handlers last" 0 "done" early_host last -Xcheck:jni
check "native code reads a cut map: the machine dies" 1 "SIGBUS (0x7)" java_host die
check "its report" 0 "hosted_fault" died_of_bus
check "native code reads a cut map, the machine's handlers last" BUS "" early_host die
finish
