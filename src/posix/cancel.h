/*
 * cancel.h - keeps a thread from being cancelled (pthread_cancel) inside the library.
 *
 * SPDX-License-Identifier: MIT
 *
 * Reading, writing, opening, closing and waiting are cancellation points. A thread that ended there would leave a
 * mapfile held, a descriptor open or the library's lock taken. So each such call is made here, and the thread is
 * cancelled at the next point of the program's own. The state is that of the thread again afterwards; errno is kept.
 */
#ifndef MF_POSIX_CANCEL_H
#define MF_POSIX_CANCEL_H

#include <pthread.h>

#define WITHOUT_CANCELLATION(statement)                      \
  do {                                                       \
    int state_;                                              \
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state_); \
    statement;                                               \
    pthread_setcancelstate(state_, &state_);                 \
  } while (0)

#endif
