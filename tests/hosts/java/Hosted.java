// A Java program that uses libmapfile from native code: do scopes and the Java machine's own faults get along?
//
// SPDX-License-Identifier: MIT
//
// Usage: java Hosted LIBRARY MODE FOLDER. Modes:
//
//   first   libmapfile's handler is installed over the machine's, by the first scope
//   last    it was there before the machine (hosted.c's HOSTED_EARLY), and is put on top again later
//   access  as first, with SIGSEGV handled by libmapfile too
//   die     after some recoveries, touch a bad page in native code, outside every scope
//
// The machine makes exceptions of memory faults: SIGBUS on a mapped file of which a part is gone is an InternalError,
// SIGSEGV near 0 a NullPointerException; SIGSEGV on guard pages is a StackOverflowError or stops threads for the garbage
// collector.

import java.io.File;
import java.io.RandomAccessFile;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;

public final class Hosted {
    private static final int THREADS = 4;
    private static final int TIMES = 40;
    private static final int ROUNDS = 20;
    private static final int PAGE = 4096;

    private static String folder;
    private static volatile String failure;
    private static volatile int sink;

    static native String recover(String folder, int times);

    static native String recoverInThreads(String folder, int threads, int times);

    static native String takeAccess();

    static native String violate(String folder, int times);

    static native String handlerIsOnTop(boolean expected);

    static native String rearm();

    static native void fault(String folder);

    private static void need(String what, String wrong) {
        if (wrong != null) {
            throw new IllegalStateException(what + ": " + wrong);
        }
    }

    private static MappedByteBuffer cutMap() throws Exception {
        File file = File.createTempFile("java-", null, new File(folder));
        try (RandomAccessFile open = new RandomAccessFile(file, "rw")) {
            open.setLength(64 * PAGE);
            MappedByteBuffer map = open.getChannel().map(FileChannel.MapMode.READ_ONLY, 0, 64 * PAGE);
            open.setLength(0);
            return map;
        } finally {
            file.delete();
        }
    }

    private static int readAll(MappedByteBuffer map) {
        int sum = 0;
        for (int at = 0; at < map.limit(); at += 64) {
            sum += map.get(at);
        }
        return sum;
    }

    // In compiled code the error may come a little later than the access.
    private static void faultInJava() throws Exception {
        MappedByteBuffer map = cutMap();
        try {
            sink = readAll(map);
            Thread.sleep(1);
            throw new IllegalStateException("no InternalError for a cut file");
        } catch (InternalError expected) {
            sink = 0;
        }
    }

    private static int lengthOf(int[] numbers) {
        return numbers.length;
    }

    private static void nullInJava(int times) {
        for (int i = 0; i < times; i++) {
            try {
                sink = lengthOf(null);
            } catch (NullPointerException expected) {
                continue;
            }
            throw new IllegalStateException("no NullPointerException");
        }
    }

    private static int descend(int depth) {
        return depth == Integer.MAX_VALUE ? 0 : descend(depth + 1) + 1;
    }

    private static void overflowInJava() {
        try {
            sink = descend(0);
        } catch (StackOverflowError expected) {
            return;
        }
        throw new IllegalStateException("no StackOverflowError");
    }

    private static void compile() {
        int[] some = new int[3];
        for (int i = 0; i < 50_000; i++) {
            sink = lengthOf(some);
        }
    }

    private static void work(boolean access) {
        try {
            for (int i = 0; i < ROUNDS; i++) {
                need("in a thread", recover(folder, TIMES));
                if (access) {
                    need("access in a thread", violate(folder, TIMES));
                }
                faultInJava();
                nullInJava(1000);
                overflowInJava();
            }
        } catch (Throwable wrong) {
            wrong.printStackTrace();
            failure = wrong.toString();
        }
    }

    private static void everything(boolean access) throws Exception {
        Thread[] threads = new Thread[THREADS];
        compile();
        for (int i = 0; i < THREADS; i++) {
            threads[i] = new Thread(() -> work(access));
            threads[i].start();
        }
        for (Thread thread : threads) {
            while (thread.isAlive()) {
                System.gc();
                thread.join(20);
            }
        }
        if (failure != null) {
            throw new IllegalStateException(failure);
        }
        need("in threads the machine does not know", recoverInThreads(folder, 4, TIMES));
    }

    private static void first() throws Exception {
        faultInJava();
        nullInJava(1);
        need("first scope", recover(folder, 1));
        need("on top", handlerIsOnTop(true));
        everything(false);
        need("on top at the end", handlerIsOnTop(true));
    }

    private static void last() throws Exception {
        need("below", handlerIsOnTop(false));
        everything(false);
        need("still below", handlerIsOnTop(false));
        need("rearm", rearm());
        need("on top", handlerIsOnTop(true));
        everything(false);
        need("on top at the end", handlerIsOnTop(true));
    }

    private static void access() throws Exception {
        need("configure", takeAccess());
        need("access", violate(folder, TIMES));
        everything(true);
        need("on top at the end", handlerIsOnTop(true));
    }

    public static void main(String[] arguments) throws Exception {
        System.load(arguments[0]);
        folder = arguments[2];
        switch (arguments[1]) {
            case "first":
                first();
                break;
            case "last":
                last();
                break;
            case "access":
                access();
                break;
            case "die":
                need("before", recover(folder, TIMES));
                faultInJava();
                fault(folder);
                break;
            default:
                throw new IllegalArgumentException(arguments[1]);
        }
        System.out.println("done");
    }
}
