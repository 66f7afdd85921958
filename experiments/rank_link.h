/* experiments/rank_link.h - between a rank's two processes: the one that works, and the one that
 * speaks MPI. */
#ifndef MB_EXPERIMENTS_RANK_LINK_H
#define MB_EXPERIMENTS_RANK_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "experiments/crew.h"

/** What a note says. */
typedef enum mb_note_kind {
  MB_NOTE_START, /* to the worker: its rank is `number`, and `share` ranks share its machine */
  MB_NOTE_BEGIN, /* mb_crew.begin() with that status; the answer has what it returns */
  MB_NOTE_NEXT,  /* mb_crew.next(); the answer has the cell's number */
  MB_NOTE_ALIVE, /* between ranks: nothing but a sign of life, answered by one */
  MB_NOTE_BYE,   /* the rank's work has ended, with that exit status, and for that reason */
  MB_NOTE_STOP,  /* to ranks: rank 0 has given up, so stop */
  MB_NOTE_LEAVE, /* to ranks: end with that exit status; number 1: by MPI_Finalize() */
} mb_note_kind;

/** What is sent, between processes of one machine type, and on to other ranks as it is. */
typedef struct mb_note {
  int32_t kind;
  int32_t status; /* mb_status, or an exit status */
  int64_t number;
  int32_t share;
  char text[1028]; /* why, as one line; "": nothing to say */
} mb_note;

/** The worker's side, the context of its crew's functions. */
typedef struct mb_rank_link {
  int socket;
} mb_rank_link;

/** Makes the two ends of a link. @return MB_OK; MB_ERR_IO. */
MB_NODISCARD mb_status mb_rank_link_open(int ends[2]);

/** Sends a note, or waits for one. @return whether the other side is still there. */
bool mb_rank_link_send(int end, const mb_note *note);
bool mb_rank_link_receive(int end, mb_note *note);

/** In the worker: waits for the start. @param link Borrowed as long as the crew is used.
 *  @return MB_OK; MB_ERR_CANCELLED: the rank ended before. */
MB_NODISCARD mb_status mb_rank_link_start(mb_rank_link *link, mb_crew *crew);

/** In the worker, last: with what exit status the work ended, and the message of its failure. */
void mb_rank_link_end(const mb_rank_link *link, int exit_status);

#endif
