/*
 * pins.pml - a Spin model of how pins and those who take maps away agree: the count-and-gate protocol.
 *
 * SPDX-License-Identifier: MIT
 *
 * docs/protocol.md describes the protocol, and why a sequentially consistent model is enough. One mapfile is modelled,
 * with RECORDS segment records that are used again and again for the PARTS parts of its file; each record has a gate, a
 * range of two words and STRIPES counters, which are read one after the other when they are summed.
 *
 *   Pinner    pins a part (the fast way, else the slow way under the mutex), touches it, and unpins it or hands it over
 *   Unpinner  touches and unpins what was handed over, on another thread than the one that pinned
 *   Evictor   gives idle maps up, and uses their records for another part (a budget; perhaps on behalf of another file)
 *   Shrinker  makes the file shorter, which needs the maps beyond the new end to be unpinned, and longer again
 *   Closer    closes the mapfile while no other call on it runs; views may still be pinned, and touched meanwhile
 *
 * What is looked at:
 *   - a touch finds its record mapped and showing the part that was pinned, and that part within the file;
 *   - nothing is unmapped while a view of it is held;
 *   - no counter goes below 0;
 *   - whenever the mutex is free, exactly the mapped records have an open gate, so BUSY has lost nothing;
 *   - close is BUSY exactly where views are held; after the last unpin every eviction and the close succeed;
 *   - every process ends (no deadlock), also where a pinner stops for ever inside its fast way (STOP);
 *   - no retry goes on for ever (LIVE, checked for cycles without progress).
 *
 * Macros choose what runs: EVICT, SHRINK, CLOSE, HAND, STOP, LIVE, and one mistake at a time: BAD_... . Each mistake must
 * be found by the checker; the model is worth nothing where it is not. SEE_... claims that something never happens which
 * must happen in a model that is not empty. `run` beside this file knows which macros go together.
 *
 * The library has no call yet that makes a file shorter. The Shrinker shows what such a call has to do, and
 * BAD_EARLY_LENGTH that pins then have to look at the length again after they have counted.
 */

#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef SLOTS
#define SLOTS 1 /* 1: a slot may hold a record of another part */
#endif
#ifndef TURNS
#define TURNS 2 /* of the first pinner and of those who take away */
#endif
#ifndef TURNS_OF_SECOND
#define TURNS_OF_SECOND 1
#endif
#define STRIPES 2
#define PARTS 2
#define PINNERS 2
#define NONE 9

#define CLOSED 0
#define OPEN 1

/* What the program shares. */
bit gate[RECORDS];                /* atomic, written under the mutex */
byte count[RECORDS * STRIPES];    /* atomic */
byte low[RECORDS], high[RECORDS]; /* plain memory, written under the mutex while the gate is closed */
byte slot[SLOTS];                 /* atomic: the number of a record, or NONE */
byte length = PARTS;              /* atomic: the size of the file as known, in parts */
bit mutex;                        /* the registry's */

/* What is true, and what the program can see only by touching. */
bit mapped[RECORDS];
byte shows[RECORDS];
byte held[RECORDS];    /* views that the program holds */
byte file_end = PARTS; /* the file's real end */

/* The caller's side: the rule about closing, the letter box for views, and who has finished. */
byte calls;
bit closing, closed;
bit box_full;
byte box_record, box_stripe, box_part;
byte finished;

#if RECORDS > 1
#define NOTHING_MAPPED (!mapped[0] && !mapped[1])
#define VIEWS_HELD (held[0] + held[1])
#define MAPPED_ELSEWHERE(r, p) (mapped[1 - (r)] && low[1 - (r)] == (p))
#else
#define NOTHING_MAPPED (!mapped[0])
#define VIEWS_HELD held[0]
#define MAPPED_ELSEWHERE(r, p) false
#endif

#ifdef SEE_BACK_OFF_GATE
#define NEVER_BACK_OFF_GATE assert(false);
#else
#define NEVER_BACK_OFF_GATE
#endif
#ifdef SEE_BACK_OFF_RANGE
#define NEVER_BACK_OFF_RANGE assert(false);
#else
#define NEVER_BACK_OFF_RANGE
#endif

#define COUNT(r, s) count[(r) * STRIPES + (s)]

/* The caller's rule: no call runs beside close. Only counted where there is a close, to keep the state small. */
#ifdef CLOSE
#define ENTER \
  atomic {    \
    !closing; \
    calls++   \
  }
#define LEAVE calls--
#else
#define ENTER skip
#define LEAVE skip
#endif

/* The mutex is fair where progress is looked at: who waits for it has it in the end. */
#ifdef LIVE
#define TURNSTILE 4 /* more than can wait */
byte next_ticket, serving;
#define TICKET byte ticket;
inline lock() {
  atomic {
    ticket = next_ticket;
    next_ticket = (next_ticket + 1) % TURNSTILE
  }
  atomic {
    serving == ticket;
    ticket = 0;
    mutex = 1
  }
}
#else
#define TICKET
inline lock() {
  atomic {
    mutex == 0;
    mutex = 1
  }
}
#endif

/* The gates tell the truth whenever the mutex is let go. */
inline unlock() {
  d_step {
    assert(gate[0] == mapped[0]);
#if RECORDS > 1
    assert(gate[1] == mapped[1]);
#endif
#ifdef LIVE
    serving = (serving + 1) % TURNSTILE;
#endif
    mutex = 0
  }
}

/* Every write of a counter is one atomic operation on memory, except in the mistake that makes it two. */
inline count_up(r, s) {
#ifdef BAD_PLAIN_COUNT
  old = COUNT(r, s);
  COUNT(r, s) = old + 1
#else
  COUNT(r, s)++
#endif
}

inline count_down(r, s) {
  d_step {
    assert(COUNT(r, s) > 0);
    COUNT(r, s)--
  }
}

inline clear_slot(k, r) {
  if
  :: slot[k] == r -> slot[k] = NONE
  :: else
  fi
}

inline unmap(r) {
  d_step {
    assert(mapped[r]);
    assert(held[r] == 0);
    mapped[r] = 0;
    shows[r] = NONE
  }
  clear_slot(0, r)
#if SLOTS > 1
  clear_slot(1, r)
#endif
}

/* Under the mutex: record r becomes a map of part p. */
inline map(r, p) {
  d_step {
    assert(!mapped[r]);
    mapped[r] = 1;
    shows[r] = p
  }
#ifdef BAD_OPEN_FIRST
  gate[r] = OPEN;
#endif
  low[r] = p;
#ifdef REACH
  high[r] = PARTS; /* a map may reach past the end of the file, so that growth needs no new one */
#else
  high[r] = p + 1;
#endif
#ifndef BAD_OPEN_FIRST
  gate[r] = OPEN
#endif
}

/* Under the mutex: shut the gate of record r and sum its counters one by one. total is 0 where nobody has it pinned. */
inline shut(r) {
#ifdef BAD_SUM_FIRST
  total = COUNT(r, 0);
  total = total + COUNT(r, 1);
  gate[r] = CLOSED
#else
  gate[r] = CLOSED;
  total = COUNT(r, 0);
#ifndef BAD_ONE_STRIPE
  total = total + COUNT(r, 1)
#else
  skip
#endif
#endif
}

/* Under the mutex: give record r up unless it is pinned. total says how that went. */
inline give_up(r) {
  shut(r);
  if
  :: total == 0 -> unmap(r)
#ifdef SEE_EVICT_BUSY
  :: total != 0 -> assert(false)
#elif defined(BAD_STAY_SHUT)
  :: total != 0 -> skip
#else
  :: total != 0 -> gate[r] = OPEN
#endif
  fi
}

inline touch(r, p) {
  d_step {
    assert(mapped[r]);
#ifdef REACH
    assert(shows[r] <= p);
#else
    assert(shows[r] == p);
#endif
    assert(p < file_end)
  }
}

/* Unpin a view of record r counted on stripe s: from here on its bytes are not touched. */
inline unpin(r, s, own) {
#ifdef BAD_WRONG_STRIPE
  d_step {
    held[r]--;
    assert(COUNT(r, own) > 0);
    COUNT(r, own)--
  }
#elif defined(BAD_WRONG_RECORD)
  /* looks for the record anew instead of remembering it */
  d_step {
    held[r]--;
    if
    :: slot[0] == NONE -> wrong = r
    :: else -> wrong = slot[0]
    fi;
    assert(COUNT(wrong, s) > 0);
    COUNT(wrong, s)--;
    wrong = 0
  }
#else
  d_step {
    held[r]--;
    assert(COUNT(r, s) > 0);
    COUNT(r, s)--
  }
#endif
}

/* A pinner that may stop for ever here: it holds no mutex, so it may hold nobody up. */
#ifdef STOP
#define MAY_STOP       \
  if                   \
  :: me == 0 ->        \
    finished++;        \
    goto stopped       \
  :: skip              \
  fi
#else
#define MAY_STOP skip
#endif

proctype Pinner(byte me) {
  TICKET
  byte record = NONE, stripe, part, total, i;
  byte turns = (me == 0 -> TURNS : TURNS_OF_SECOND);
#ifdef BAD_PLAIN_COUNT
  byte old;
#endif
#ifdef BAD_WRONG_RECORD
  byte wrong;
#endif

again:
  if
  :: turns == 0 -> goto done
  :: else -> turns--
  fi;
#ifdef CLOSE
  atomic {
    if
    :: closed -> goto done
    :: !closed && !closing -> calls++
    fi
  }
#endif
  atomic {
    select(part : 0 .. PARTS - 1);
    select(stripe : 0 .. STRIPES - 1);
    i = part % SLOTS
  }
#ifdef BAD_EARLY_LENGTH
  if
  :: part >= length -> goto refused
  :: else
  fi;
#endif

  /* The fast way. */
  record = slot[i];
  if
  :: record == NONE -> goto slow
  :: else
  fi;
  MAY_STOP;
#ifdef BAD_GATE_FIRST
  if
  :: gate[record] == CLOSED -> goto slow
  :: else
  fi;
#endif
#ifdef BAD_RANGE_FIRST
  if
  :: low[record] > part || high[record] <= part -> goto slow
  :: else
  fi;
#endif
  count_up(record, stripe);
  MAY_STOP;
#ifndef BAD_GATE_FIRST
  if
  :: gate[record] == CLOSED ->
    NEVER_BACK_OFF_GATE
    goto back_off
  :: else
  fi;
  MAY_STOP;
#endif
#ifndef BAD_RANGE_FIRST
  if
  :: low[record] > part ->
    NEVER_BACK_OFF_RANGE
    goto back_off
  :: else
  fi;
  if
  :: high[record] <= part -> goto back_off
  :: else
  fi;
  MAY_STOP;
#endif
#ifndef BAD_EARLY_LENGTH
  if
  :: part >= length -> goto back_off
  :: else
  fi;
#endif
  atomic {
    held[record]++;
    goto pinned
  };

back_off:
#ifndef BAD_NO_BACK_OFF
  count_down(record, stripe);
#endif
  MAY_STOP;

slow:
  lock();
  if
  :: part >= length ->
    unlock();
    goto refused
  :: else
  fi;
  record = NONE;
  d_step {
    if
    :: mapped[0] && low[0] <= part && part < high[0] -> record = 0
#if RECORDS > 1
    :: mapped[1] && low[1] <= part && part < high[1] -> record = 1
#endif
    :: else
    fi
  }
  if
  :: record != NONE -> goto slow_count
  :: else
  fi;
  if
  :: !mapped[0] -> record = 0
#if RECORDS > 1
  :: !mapped[1] -> record = 1
  :: mapped[0] && mapped[1] ->
    /* an idle map is given up for this one; where it is pinned, the bytes are copied */
    atomic { select(i : 0 .. RECORDS - 1) }
    give_up(i);
    if
    :: total == 0 -> record = i
    :: else
    fi
#else
  :: mapped[0] ->
    give_up(0);
    if
    :: total == 0 -> record = 0
    :: else
    fi
#endif
  fi;
  if
  :: record == NONE ->
#ifdef SEE_COPY
    assert(false);
#endif
    unlock();
    goto refused /* a copy: nothing of it is shared */
  :: else -> map(record, part)
  fi;
slow_count:
  count_up(record, stripe);
  slot[part % SLOTS] = record;
  held[record]++;
  unlock();

pinned:
  LEAVE;
  touch(record, part);
#ifdef HAND
  if
  :: atomic {
      !box_full ->
      box_full = 1;
      box_record = record;
      box_stripe = stripe;
      box_part = part
    };
    goto let_go
  :: skip
  fi;
#endif
  ENTER;
  unpin(record, stripe, stripe);
  LEAVE;

let_go:
  atomic {
    record = NONE;
    stripe = 0;
    part = 0;
    i = 0;
    total = 0
  }
  goto again;

refused:
  LEAVE;
  goto let_go;

#ifdef STOP
stopped:
end_stopped:
  false;
#endif

done:
  finished++
}

#ifdef HAND
proctype Unpinner() {
  byte record, stripe, part;
#ifdef BAD_WRONG_RECORD
  byte wrong;
#endif
  do
  :: box_full ->
    d_step {
      record = box_record;
      stripe = box_stripe;
      part = box_part;
      box_record = 0;
      box_stripe = 0;
      box_part = 0
    }
    touch(record, part);
    ENTER;
    unpin(record, stripe, 1 - stripe);
    atomic {
      LEAVE;
      box_full = 0;
      record = 0;
      stripe = 0;
      part = 0
    }
  :: finished == PINNERS && !box_full -> break
  od
}
#endif

#define ALL_DONE (finished == PINNERS && !box_full && calls == 0 && !closing)

#ifdef EVICT
proctype Evictor() {
  TICKET
  byte r, part, total;
  byte turns = TURNS;
#ifdef LIVE
  /* Until it has had its way with every map there is, however often the pinners are in the way. */
  do
  :: atomic {
      NOTHING_MAPPED && ALL_DONE -> break
    }
  :: else ->
    r = (r + 1) % RECORDS;
    lock();
    if
    :: mapped[r] -> give_up(r)
    :: else
    fi;
    unlock()
  od
#else
  do
  :: turns > 0 && !closed ->
    turns--;
    atomic {
      select(r : 0 .. RECORDS - 1);
      select(part : 0 .. PARTS - 1)
    }
#ifndef BAD_NO_MUTEX
    lock();
#endif
    if
    :: mapped[r] ->
      give_up(r);
      if
      :: total == 0 && part < length && !MAPPED_ELSEWHERE(r, part) ->
        map(r, part);
        slot[part % SLOTS] = r
      :: skip
      fi
    :: else
    fi;
#ifndef BAD_NO_MUTEX
    unlock();
#endif
    atomic {
      r = 0;
      part = 0;
      total = 0
    }
  :: else -> break
  od;
#ifndef STOP
  /* No view is held and no call runs: nothing may stand in the way now. */
  ALL_DONE;
  r = 0;
  do
  :: r < RECORDS ->
    lock();
    if
    :: mapped[r] ->
      give_up(r);
      assert(total == 0)
    :: else
    fi;
    unlock();
    r++
  :: else -> break
  od
#endif
#endif
}
#endif

#ifdef SHRINK
/* To one part, and back to all. All gates beyond the new end are shut before the length goes down; where one of them is
   pinned, those that were shut open again. Here at most one record maps the part that goes. */
proctype Shrinker() {
  TICKET
  byte r, total;
  bit busy;
  byte turns = TURNS;

  do
  :: turns > 0 ->
    turns--;
#ifdef CLOSE
    atomic {
      if
      :: closed -> break
      :: !closed && !closing -> calls++
      fi
    }
#endif
    lock();
    if
    :: length == PARTS ->
      busy = 0;
      r = 0;
      do
      :: r < RECORDS && mapped[r] && high[r] == PARTS ->
        give_up(r);
        if
        :: total != 0 -> busy = 1
        :: else
        fi;
        r++
      :: r < RECORDS && !(mapped[r] && high[r] == PARTS) -> r++
      :: r == RECORDS -> break
      od;
#ifdef SEE_SHRINK_BUSY
      assert(!busy);
#endif
      if
      :: !busy ->
        length = PARTS - 1;
        file_end = PARTS - 1
      :: else
      fi
    :: else ->
      file_end = PARTS;
      length = PARTS
    fi;
    unlock();
    atomic {
      LEAVE;
      r = 0;
      total = 0;
      busy = 0
    }
  :: else -> break
  od
}
#endif

#ifdef CLOSE
proctype Closer() {
  TICKET
  byte r, total, views;
  bit busy;

  do
  :: atomic {
      calls == 0 ->
      closing = 1;
      /* views can only become fewer by a call, and none runs: what is held now is held to the end of this call */
      views = VIEWS_HELD
    }
    lock();
    busy = 0;
    /* no pin can be under way, so the gates may stay as they are; all sums come before anything is unmapped */
    r = 0;
    do
    :: r < RECORDS ->
      if
      :: mapped[r] ->
        total = COUNT(r, 0);
        total = total + COUNT(r, 1);
        if
        :: total != 0 -> busy = 1
        :: else
        fi
      :: else
      fi;
      r++
    :: else -> break
    od;
    r = 0;
    do
    :: r < RECORDS && !busy ->
      if
      :: mapped[r] ->
        unmap(r);
        gate[r] = CLOSED /* the record is freed here */
      :: else
      fi;
      r++
    :: else -> break
    od;
    assert(busy == (views > 0));
#ifdef SEE_CLOSE_BUSY
    assert(!busy);
#endif
    unlock();
    atomic {
      if
      :: !busy -> closed = 1
      :: else
      fi;
      closing = 0;
      r = 0;
      total = 0;
      views = 0
    }
    if
    :: !busy -> break
    :: else ->
      /* the caller lets go of a view before it tries again */
      VIEWS_HELD == 0
    fi
  od
}
#endif

init {
  atomic {
    slot[0] = NONE;
    shows[0] = NONE;
#if SLOTS > 1
    slot[1] = NONE;
#endif
#if RECORDS > 1
    shows[1] = NONE;
#endif
    run Pinner(0);
    run Pinner(1);
#ifdef HAND
    run Unpinner();
#endif
#ifdef EVICT
    run Evictor();
#endif
#ifdef SHRINK
    run Shrinker();
#endif
#ifdef CLOSE
    run Closer();
#endif
  }
}
