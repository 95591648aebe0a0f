// A Go program that uses libmapfile from C: do scopes, Go's own panics for memory faults, and its signals get along?
//
// SPDX-License-Identifier: MIT
//
// Usage: host MODE FOLDER. Modes:
//
//	first   libmapfile's handler is installed over Go's, by the first scope
//	last    it was there before Go's runtime (hosted.c's HOSTED_EARLY), and is put on top again later
//	access  as first, with SIGSEGV handled by libmapfile too
//	die-go, die-nil, die-c, die-sent
//	        after some recoveries, end by a fault in Go code, a nil pointer, a fault in C code, a signal that is sent
package main

// #include "hosted.h"
// #include <stdlib.h>
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	goroutines = 8
	times      = 40
	rounds     = 50
)

var folder *C.char

func fail(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "FAILED: "+format+"\n", arguments...)
	os.Exit(1)
}

func need(what string, wrong *C.char) {
	if wrong != nil {
		fail("%s: %s", what, C.GoString(wrong))
	}
}

// A private file of two pages, mapped by Go, whose second page has been cut off.
func cutMap() []byte {
	file, err := os.CreateTemp(C.GoString(folder), "go-*")
	if err != nil {
		fail("no file: %v", err)
	}
	defer file.Close()
	os.Remove(file.Name())
	page := os.Getpagesize()
	if err = file.Truncate(int64(2 * page)); err != nil {
		fail("no room: %v", err)
	}
	data, err := syscall.Mmap(int(file.Fd()), 0, 2*page, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		fail("no map: %v", err)
	}
	if err = file.Truncate(int64(page)); err != nil {
		fail("cannot cut: %v", err)
	}
	return data
}

// A bad page that Go code touches becomes a panic that can be recovered and knows the address.
func faultInGo() {
	data := cutMap()
	defer syscall.Munmap(data)
	at := os.Getpagesize() + 5
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		err, is := recover().(interface {
			runtime.Error
			Addr() uintptr
		})
		if !is {
			fail("no memory panic")
		} else if err.Addr() != uintptr(unsafe.Pointer(&data[at])) {
			fail("panic for another address: %v", err)
		}
	}()
	if data[at] == 'x' {
		fail("the cut page can be read")
	}
	fail("no panic")
}

type node struct{ next *node }

// A nil pointer is a panic, by SIGSEGV.
func nilInGo() {
	defer func() {
		if err, is := recover().(runtime.Error); !is {
			fail("no panic for a nil pointer: %v", err)
		}
	}()
	var nothing *node
	fmt.Fprint(os.Stderr, nothing.next)
	fail("a nil pointer can be read")
}

// A signal that is sent to the process reaches the channel that asked for it.
func sentToGo() {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGBUS)
	defer signal.Stop(signals)
	for i := 0; i < 3; i++ {
		if err := syscall.Kill(os.Getpid(), syscall.SIGBUS); err != nil {
			fail("kill: %v", err)
		}
		select {
		case <-signals:
		case <-time.After(60 * time.Second):
			fail("the signal that was sent did not arrive")
		}
	}
}

func everything(access bool) {
	var all sync.WaitGroup
	for i := 0; i < goroutines; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := 0; j < rounds; j++ {
				// Text that C returns belongs to the thread.
				runtime.LockOSThread()
				need("in a goroutine", C.hosted_recover(folder, times))
				if access {
					need("access in a goroutine", C.hosted_violate(folder, times))
				}
				runtime.UnlockOSThread()
				faultInGo()
				nilInGo()
			}
		}()
	}
	all.Wait()
	need("in C threads", C.hosted_recover_in_threads(folder, 4, times))
	sentToGo()
	need("after a signal that was sent", C.hosted_recover(folder, times))
	faultInGo()
	nilInGo()
}

func first() {
	nilInGo()
	faultInGo()
	need("first scope", C.hosted_recover(folder, 1))
	need("on top", C.hosted_handler_is_on_top(1))
	everything(false)
	need("on top at the end", C.hosted_handler_is_on_top(1))
}

// Go keeps the handler that was there before its own, and hands faults in C code on to it.
func last() {
	need("below", C.hosted_handler_is_on_top(0))
	everything(false)
	need("still below", C.hosted_handler_is_on_top(0))
	need("rearm", C.hosted_rearm())
	need("on top", C.hosted_handler_is_on_top(1))
	everything(false)
	need("on top at the end", C.hosted_handler_is_on_top(1))
}

func access() {
	need("configure", C.hosted_take_access())
	need("access", C.hosted_violate(folder, times))
	everything(true)
	need("on top at the end", C.hosted_handler_is_on_top(1))
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: host MODE FOLDER")
	}
	folder = C.CString(os.Args[2])
	runtime.LockOSThread()
	switch os.Args[1] {
	case "first":
		first()
	case "last":
		last()
	case "access":
		access()
	case "die-go":
		need("before", C.hosted_recover(folder, times))
		fmt.Fprint(os.Stderr, cutMap()[os.Getpagesize()])
	case "die-nil":
		need("before", C.hosted_recover(folder, times))
		var nothing *node
		fmt.Fprint(os.Stderr, nothing.next)
	case "die-c":
		need("before", C.hosted_recover(folder, times))
		C.hosted_fault(folder, nil)
	case "die-sent":
		need("before", C.hosted_recover(folder, times))
		syscall.Kill(os.Getpid(), syscall.SIGBUS)
		time.Sleep(60 * time.Second)
	default:
		fail("unknown mode")
	}
	fmt.Println("done")
}
