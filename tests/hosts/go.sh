#!/bin/sh
# Scopes inside a Go program, beside Go's own use of SIGBUS and SIGSEGV. See go/main.go and lib.sh.
# SPDX-License-Identifier: MIT

. "$(dirname "$0")/lib.sh"

need_command go golang-go
need_command gcc gcc
begin

# Nothing is fetched, and nothing is written outside the folder.
build() {
  env HOME="$folder" GOPATH="$folder/path" GOCACHE="$folder/cache" GOENV=off GO111MODULE=off GOPROXY=off GOFLAGS='' \
    GOTOOLCHAIN=local CGO_ENABLED=1 CC=gcc CGO_CFLAGS="-O2 -I$sources" \
    CGO_LDFLAGS="-L$folder/lib -lhosted -lmapfile" go build -o "$folder/host" "$sources/go/main.go"
}

host() {
  "$folder/host" "$1" "$folder/files"
}

# libmapfile's handler is there before Go's.
early_host() {
  HOSTED_EARLY=$folder/files "$folder/host" "$1" "$folder/files"
}

prepare "build the Go program" build
check "Go's handlers first" 0 "done" host first
check "Go's handlers last" 0 "done" early_host last
check "access violations too" 0 "done" host access
check "Go code reads a cut map and dies of it" 2 "unexpected fault address" host die-go
check "the same, Go's handlers last" 2 "unexpected fault address" early_host die-go
check "Go code follows a nil pointer and dies of it" 2 "nil pointer dereference" host die-nil
check "the same, Go's handlers last" 2 "nil pointer dereference" early_host die-nil
check "C code reads a cut map: Go reports it" 2 "SIGBUS: bus error" host die-c
# Go hands faults in C code on to the handler before its own: here to libmapfile's, and so to the default action.
check "the same, Go's handlers last" BUS "" early_host die-c
check "a signal that is sent kills as Go has it" 2 "SIGBUS: bus error" host die-sent
check "the same, Go's handlers last" 2 "SIGBUS: bus error" early_host die-sent
finish
